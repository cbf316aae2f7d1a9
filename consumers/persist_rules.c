/* Decisions of persist (persist_rules.h). */
#include "consumers/persist_rules.h"

enum persist_finding persist_judge(const struct envelope *env, bool decoded, int32_t partition,
                                   struct span value, const char **why)
{
    if (env->type == RECORD_probe)
        return PERSIST_IGNORE;
    *why = NULL;
    if (!decoded)
        *why = "verdicts: the headers cannot be read";
    else if (env->type != RECORD_verdict)
        *why = "verdicts: the record's type is not verdict";
    else if (envelope_partition(env, TOPIC_verdicts) != partition)
        *why = "verdicts: the partition is not the id's";
    if (*why)
        return PERSIST_DEAD;
    return value.len == 0 ? PERSIST_ERASED : PERSIST_STORE;
}

enum persist_finding persist_opened(enum err_code code, const char **why)
{
    if (code == ERR_NONE)
        return PERSIST_STORE;
    if (code == ERR_ERASED)
        return PERSIST_ERASED;
    *why = "verdicts: the value cannot be opened or is no result";
    return PERSIST_DEAD;
}

static int compare(const struct charge *charge, const struct uuid *project, int32_t day)
{
    int order = memcmp(charge->project.bytes, project->bytes, sizeof project->bytes);
    return order ? order : (charge->day > day) - (charge->day < day);
}

size_t persist_charge(struct charge *charges, size_t count, const struct uuid *project, int32_t day,
                      uint64_t cpu_ns)
{
    if (cpu_ns == 0)
        return count;
    size_t at = 0;
    while (at < count && compare(&charges[at], project, day) < 0)
        at++;
    if (at < count && compare(&charges[at], project, day) == 0) {
        charges[at].cpu_ns += cpu_ns;
        return count;
    }
    memmove(&charges[at + 1], &charges[at], (count - at) * sizeof *charges);
    charges[at] = (struct charge){*project, day, cpu_ns};
    return count + 1;
}

const char *persist_event(enum verdict verdict)
{
    return strcmp(verdict_job_status(verdict), "error") == 0 ? "submission.failed"
                                                             : "submission.completed";
}

bool persist_tells(enum cause cause)
{
    return cause != CAUSE_ie_rejected_conflict;
}

bool persist_failed(const struct webhook_attempt *attempt)
{
    if (attempt->outcome != OUTCOME_RETRY && attempt->outcome != OUTCOME_DEAD)
        return false;
    return attempt->error != ATTEMPT_unreadable && attempt->error != ATTEMPT_internal;
}
