/* Prints the attempts by the layer that stops them, as the table of README.md, and below it their
 * numbers. check_table compares; nothing else calls this. */
#include "tests/escape/attempt.h"
#include "tests/unit/unit.h"

static const struct {
    const char *layer, *what;
} layers[] = {
    {"seccomp", "filter of system calls"},
    {"view", "a root that holds the language's toolchain and nothing else of the host"},
    {"readonly", "that root and /box cannot be written"},
    {"noexec", "nothing that a program wrote can be executed"},
    {"hidepid", "/proc shows the job's own processes, and nothing of the machine"},
    {"uid", "a user id of its own"},
    {"caps", "no capability, in any set"},
    {"nnp", "no_new_privs: setuid programs give nothing"},
    {"pid", "pid namespace"},
    {"network", "network namespace: no interface, no other's abstract sockets"},
    {"ipc", "IPC namespace"},
    {"uts", "UTS namespace: the host's name"},
    {"cgroup", "control group namespace"},
    {"fds", "no inherited descriptor"},
    {"env", "no environment of the launcher's"},
    {"fresh", "/tmp and /dev/shm are made for one phase"},
    {"rlimits", "resource limits"},
    {"memory", "limits of the control group: memory and processes"},
    {"cpu", "CPU time of the control group"},
    {"wall", "wall time"},
    {"output", "bytes of stdout and stderr"},
    {"tmp", "bytes and files of /tmp and /dev/shm"},
    {"landlock", "Landlock, alone: the other layers of these are off"},
    {"always", "nothing to leave off: the refusal is the tool's own, or all is copied anyway"},
};

static struct attempt attempts[ATTEMPTS_MAX];
static size_t attempt_count;

static bool stopped_by(const struct attempt *attempt, const char *layer)
{
    size_t len = strcspn(attempt->layers, ",");
    return strlen(layer) == len && strncmp(attempt->layers, layer, len) == 0;
}

static bool is_call(const struct attempt *attempt)
{
    return strncmp(attempt->name, "call_", strlen("call_")) == 0;
}

/* Each name once, with its languages unless that is C alone. */
static size_t print_names(const char *layer)
{
    size_t count = 0, calls = 0;
    const char *comma = "";
    for (size_t i = 0; i < attempt_count; i++) {
        bool seen = false, others = false;
        if (!stopped_by(&attempts[i], layer))
            continue;
        count++;
        if (is_call(&attempts[i])) {
            calls++;
            continue;
        }
        for (size_t j = 0; j < i; j++)
            seen |=
                stopped_by(&attempts[j], layer) && strcmp(attempts[j].name, attempts[i].name) == 0;
        if (seen)
            continue;
        printf("%s%s", comma, attempts[i].name);
        comma = ", ";
        for (size_t j = i; j < attempt_count; j++)
            others |= stopped_by(&attempts[j], layer) && attempts[j].language != LANGUAGE_c &&
                      strcmp(attempts[j].name, attempts[i].name) == 0;
        for (size_t j = i; others && j < attempt_count; j++)
            if (stopped_by(&attempts[j], layer) && strcmp(attempts[j].name, attempts[i].name) == 0)
                printf("%s%s", j == i ? " (" : " ", language_name(attempts[j].language));
        printf("%s", others ? ")" : "");
    }
    if (calls)
        printf("%s%zu calls of calls.def", comma, calls);
    printf(" | %zu |\n", count);
    return count;
}

int main(void)
{
    size_t listed = 0, always = 0;
    attempt_count = attempts_load(attempts);
    printf("| Layer | What it is | Attempts | |\n|---|---|---|---|\n");
    for (size_t i = 0; i < COUNT_OF(layers); i++) {
        printf("| %s | %s | ", layers[i].layer, layers[i].what);
        size_t count = print_names(layers[i].layer);
        listed += count;
        always += strcmp(layers[i].layer, "always") == 0 ? count : 0;
    }
    printf("\n%zu attempts, %zu of them with a layer to leave off.\n", listed, listed - always);
    attempts_done(attempts, attempt_count);
    return listed == attempt_count ? 0 : (fprintf(stderr, "a layer is not in table.c\n"), 1);
}
