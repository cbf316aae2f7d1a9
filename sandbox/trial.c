/* The trial uses the very code of a job and ends it where the payload would start the program. */
#include "sandbox/trial.h"
#include "lib/base/cleanup.h"
#include "sandbox/mounts.h"
#include "sandbox/phase.h"
#include "sandbox/readback.h"
#include <stdio.h>

static const char *remedy(enum control control)
{
    switch (control) {
    case CONTROL_memory_limit:
    case CONTROL_process_limit:
    case CONTROL_cpu_accounting:
        return "mount the memory, pids, cpuacct and cpu controllers (v1) or delegate a v2 group";
    case CONTROL_seccomp_filter:
        return "use a kernel with CONFIG_SECCOMP_FILTER";
    case CONTROL_landlock:
        return "use Linux 5.19 or later with landlock among its security modules (lsm=)";
    case CONTROL_pid_namespace:
    case CONTROL_mount_namespace:
    case CONTROL_network_namespace:
    case CONTROL_user_namespace:
    case CONTROL_ipc_namespace:
    case CONTROL_uts_namespace:
    case CONTROL_cgroup_namespace:
        return "use a kernel with that namespace and run the launcher as root outside of "
               "containers";
    case CONTROL_no_new_privileges:
    case CONTROL_process_lifecycle:
    case CONTROL_capabilities_dropped:
    case CONTROL_rlimits:
    case CONTROL_readonly_root:
    case CONTROL_COUNT:
        break;
    }
    return "run the launcher as root with all capabilities";
}

static void on_done(struct phase *phase)
{
    phase->host->loop.stop = true;
}

static int run_probe(struct host *host, enum language language, struct evidence *ev,
                     struct err *err)
{
    static struct phase phase;
    AUTO_FD int box = mounts_tmpfs(65536, 16, 0755, err);
    if (box < 0)
        return -1;
    phase = (struct phase){.host = host, .ev = ev, .pe = &ev->run, .done = on_done};
    struct phase_start start = {.language = language,
                                .probe = true,
                                .limits = limits_run(language, PROFILE_JUDGE),
                                .stdin_fd = host->null_fd,
                                .box_mount = box,
                                .files = {&host->null_fd, &host->null_fd}};
    if (mounts_seal(box, false, err) != 0 || phase_start(&phase, &start, err) != 0)
        return -1;
    host->loop.stop = false;
    int result = loop_run(&host->loop, err);
    host->loop.stop = false;
    phase_release(&phase);
    remains_finish(host); /* nothing of it is there when the service begins */
    return result;
}

static void print_controls(const struct evidence *ev)
{
    for (int i = 0; i < CONTROL_COUNT; i++)
        printf("%-24s %s%s\n", control_name((enum control)i),
               ev->controls_applied & (1u << i) ? "in force" : "missing",
               readback_required() & (1u << i) ? "" : " (optional)");
}

int trial_run(struct host *host, bool print, struct err *err)
{
    struct evidence ev = {.setup_ok = true};
    int language = 0;
    while (language < LANGUAGE_COUNT && !host->toolchains[language].available)
        language++;
    if (language == LANGUAGE_COUNT)
        return err_set(err, ERR_CONFIG, "no language has a toolchain: install gcc or python3");
    if (run_probe(host, (enum language)language, &ev, err) != 0)
        return err_wrap(err, "trial sandbox");
    if (!ev.setup_ok)
        return err_set(err, ERR_CONFIG, "trial sandbox: %s", ev.setup_error);
    host->controls = ev.controls_applied;
    if (print)
        print_controls(&ev);
    uint32_t lacking = readback_required() & ~ev.controls_applied;
    for (int i = 0; i < CONTROL_COUNT && !host->config.permissive; i++)
        if (lacking & (1u << i))
            return err_set(err, ERR_CONFIG,
                           "isolation control %s is not in force: %s; --permissive runs without it "
                           "and marks every verdict",
                           control_name((enum control)i), remedy((enum control)i));
    return 0;
}
