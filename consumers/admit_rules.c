/* Decisions of admit (admit_rules.h). */
#include "consumers/admit_rules.h"
#include "lib/base/clock.h"
#include "lib/base/strict.h"
#include <inttypes.h>
#include <stdio.h>

static const char *const decision_names[] = {
#define X(name) [DECISION_##name] = #name,
    ADMIT_DECISIONS(X)
#undef X
};

const char *admit_decision_name(enum admit_decision decision)
{
    CHECK((unsigned)decision < DECISION_COUNT);
    return decision_names[decision];
}

int admit_decision_find(struct span name, enum admit_decision *out)
{
    for (unsigned i = 0; i < DECISION_COUNT; i++)
        if (span_is(name, decision_names[i])) {
            *out = (enum admit_decision)i;
            return 0;
        }
    return -1;
}

const char *counter_kind_name(enum counter_kind kind)
{
    static const char *const names[] = {"requests", "requests_month", "cpu_ns"};
    return names[kind];
}

static enum admit_finding say(enum admit_finding finding, const char *text,
                              char message[RESULT_MESSAGE_MAX])
{
    snprintf(message, RESULT_MESSAGE_MAX, "%s", text);
    return finding;
}

enum admit_finding admit_judge(const struct envelope *env, bool decoded, int32_t partition,
                               int64_t broker_ms, char message[RESULT_MESSAGE_MAX])
{
    if (env->type == RECORD_probe)
        return ADMIT_IGNORE;
    if (!decoded)
        return say(ADMIT_DEAD, "submissions: the headers cannot be read", message);
    if (env->type != RECORD_submission)
        return say(ADMIT_DEAD, "submissions: the record's type is not submission", message);
    if (!owner_day_fits(uuid_day(&env->id), broker_ms))
        return say(ADMIT_DEAD, "submissions: the id's day is over an hour from the broker's time",
                   message);
    if (!owner_place_fits(env, partition, broker_ms))
        return say(ADMIT_FORGED, "partition: must be the one of the key hash, else of the id",
                   message);
    return ADMIT_FINE;
}

enum admit_finding admit_opened(const struct err *err, char message[RESULT_MESSAGE_MAX])
{
    if (err->code == ERR_ERASED)
        return ADMIT_ERASED;
    if (err->code == ERR_CORRUPT)
        return ADMIT_UNREADABLE;
    return say(ADMIT_REJECTED, err->message, message);
}

/* ---- budgets ---- */

static int order(const struct counter *counter, const struct uuid *project, int32_t day,
                 enum counter_kind kind)
{
    int by_project = memcmp(counter->project.bytes, project->bytes, sizeof project->bytes);
    if (by_project)
        return by_project;
    if (counter->day != day)
        return counter->day < day ? -1 : 1;
    return (counter->kind > kind) - (counter->kind < kind);
}

struct counter *budget_counter(struct budgets *budgets, const struct uuid *project, int32_t day,
                               enum counter_kind kind)
{
    size_t at = 0;
    while (at < budgets->count && order(&budgets->counters[at], project, day, kind) < 0)
        at++;
    struct counter *counter = &budgets->counters[at];
    if (at < budgets->count && order(counter, project, day, kind) == 0)
        return counter;
    CHECK(budgets->count < budgets->capacity);
    memmove(counter + 1, counter, (budgets->count - at) * sizeof *counter);
    budgets->count++;
    *counter = (struct counter){.project = *project, .day = day, .kind = kind};
    return counter;
}

int32_t month_first(int32_t day)
{
    char text[DAY_TEXT];
    int32_t first = day;
    day_format(day, text);
    text[8] = '0';
    text[9] = '1';
    CHECK(day_parse(text, &first) == 0);
    return first;
}

static bool refuse(const char *budget, uint64_t limit, const char *span,
                   char message[RESULT_MESSAGE_MAX])
{
    snprintf(message, RESULT_MESSAGE_MAX, "%s: the project's plan allows %" PRIu64 " a %s", budget,
             limit, span);
    return false;
}

bool budget_take(struct budgets *budgets, const struct uuid *project, const struct plan *plan,
                 int32_t day, char message[RESULT_MESSAGE_MAX])
{
    /* By value or one at a time: adding a counter moves the others. */
    struct counter cpu = *budget_counter(budgets, project, day, COUNTER_cpu_ns);
    if (plan->cpu_seconds_day && cpu.used >= plan->cpu_seconds_day * 1000000000)
        return refuse("cpu_seconds", plan->cpu_seconds_day, "UTC day", message);
    struct counter *day_count = budget_counter(budgets, project, day, COUNTER_requests);
    day_count->limit = plan->requests_day;
    if (day_count->limit && day_count->used + day_count->added >= day_count->limit)
        return refuse("requests", plan->requests_day, "UTC day", message);
    struct counter *month =
        budget_counter(budgets, project, month_first(day), COUNTER_requests_month);
    month->limit = plan->requests_month;
    if (month->limit && month->used + month->added >= month->limit)
        return refuse("requests", plan->requests_month, "month", message);
    month->added++;
    budget_counter(budgets, project, day, COUNTER_requests)->added++;
    return true;
}

/* ---- the decision ---- */

static void reject(struct admit_row *row, enum admit_decision decision, enum cause cause,
                   const char *message)
{
    row->decision = decision;
    row->cause = cause;
    snprintf(row->message, sizeof row->message, "%s", message);
}

/* A repeat never owns; returns false when the key is free. */
static bool decide_by_key(const struct admit_case *in, struct admit_row *row)
{
    if (!in->keyed || in->key == KEY_FREE)
        return false;
    row->has_owner = true;
    row->owner = in->owner->id;
    if (in->key == KEY_REPEAT)
        row->decision = DECISION_alias;
    else if (in->key == KEY_ERASED)
        row->decision = DECISION_erased;
    else
        reject(row, DECISION_conflict, CAUSE_ie_rejected_conflict, "");
    return true;
}

void admit_decide(const struct admit_case *in, const struct envelope *env, struct budgets *budgets,
                  struct admit_row *row)
{
    char message[RESULT_MESSAGE_MAX];
    *row = (struct admit_row){.decision = DECISION_admit};
    if (in->finding == ADMIT_FORGED) {
        reject(row, DECISION_rejected, CAUSE_ie_rejected_invalid, in->message);
        return;
    }
    if (decide_by_key(in, row))
        return;
    row->owns = in->keyed; /* rejected, erased and unreadable owners own too */
    if (in->finding == ADMIT_ERASED)
        row->decision = DECISION_erased;
    else if (in->finding == ADMIT_UNREADABLE)
        reject(row, DECISION_unreadable, CAUSE_ie_unreadable, "");
    else if (in->finding == ADMIT_REJECTED)
        reject(row, DECISION_rejected, CAUSE_ie_rejected_invalid, in->message);
    else if (!in->plan)
        reject(row, DECISION_rejected, CAUSE_ie_rejected_invalid,
               "project: must exist and not be deleted");
    else if (!budget_take(budgets, &env->project, in->plan, uuid_day(&env->id), message))
        reject(row, DECISION_rejected, CAUSE_ie_rejected_quota, message);
}

enum admit_output admit_output_of(const struct admit_row *row, int32_t partition, int64_t offset)
{
    if (row->partition != partition || row->offset != offset)
        return OUTPUT_NOTHING; /* a copy: the row's own record produces */
    switch (row->decision) {
    case DECISION_admit:
        return OUTPUT_JOB;
    case DECISION_rejected:
    case DECISION_cancelled:
    case DECISION_unreadable:
    case DECISION_conflict:
        return OUTPUT_VERDICT;
    case DECISION_erased:
        return OUTPUT_ERASED;
    case DECISION_held:
    case DECISION_alias:
    case DECISION_COUNT:
        break;
    }
    return OUTPUT_NOTHING;
}
