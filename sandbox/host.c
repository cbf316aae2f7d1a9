/* Making the launcher's surroundings: its mount namespace, roots, filters, control groups. */
#include "sandbox/host.h"
#include "lib/base/cleanup.h"
#include "lib/log/log.h"
#include "sandbox/caps.h"
#include "sandbox/landlock.h"
#include "sandbox/mounts.h"
#include "sandbox/prebuilt.h"
#include "sandbox/readback.h"
#include "sandbox/server.h"
#include "sandbox/shelf.h"
#include "sandbox/template.h"
#include "sandbox/warm.h"
#include <fcntl.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

/* The launcher's with what remains of sandboxes, its clients', and a deep harvest. */
#define DESCRIPTORS_OWN (200 + 24 * REMAINS_MAX)
/* A running job takes about 25; a queued or reporting one, of which every client may have as many
 * as there are slots, takes 2; an idle sandbox takes 3. */
#define DESCRIPTORS_SLOT (32 + 2 * SERVER_CLIENTS + 3 * SHELF_MAX_PER_SLOT)
#define DESCRIPTORS_WARM 24
#define DESCRIPTORS_SPARE 64

static int make_root(struct host *host, enum language language, bool compile,
                     const char *const *binds, struct err *err)
{
    char name[64];
    snprintf(name, sizeof name, "%s-%s", language_name(language), compile ? "compile" : "run");
    if (mounts_root(host->config.state_dir, name, binds, err) != 0)
        return -1;
    host->roots[language][compile] = mounts_template(host->config.state_dir, name, err);
    return host->roots[language][compile] >= 0 ? 0 : -1;
}

static int make_roots(struct host *host, struct err *err)
{
    if (mounts_private(host->config.state_dir, err) != 0 ||
        mounts_dev(host->config.state_dir, err) != 0)
        return -1;
    if (host->prebuilt >= 0 &&
        mounts_attach_prebuilt(host->config.state_dir, host->prebuilt, err) != 0)
        return -1;
    for (int i = 0; i < LANGUAGE_COUNT; i++) {
        const struct toolchain *toolchain = &host->toolchains[i];
        enum language language = (enum language)i;
        if (!toolchain->available) {
            log_event(LOG_WARN, "toolchain_missing", kv("language", language_name(language)),
                      kv("why", toolchain->why_missing));
            continue;
        }
        if (make_root(host, language, false, toolchain->run.binds, err) != 0 ||
            (toolchain->has_compile &&
             make_root(host, language, true, toolchain->compile.binds, err) != 0))
            return -1;
    }
    return 0;
}

/* Refuses to start with fewer descriptors than jobs can need: a listener that cannot accept stays
 * readable, and the loop would spin. */
static int raise_descriptors(uint32_t slots, uint32_t warm, struct err *err)
{
    struct rlimit limit;
    uint64_t needed = DESCRIPTORS_OWN + (uint64_t)slots * DESCRIPTORS_SLOT +
                      (uint64_t)warm * LANGUAGE_COUNT * DESCRIPTORS_WARM;
    if (getrlimit(RLIMIT_NOFILE, &limit) != 0)
        return err_sys(err, ERR_SYSTEM, "limit of open descriptors");
    limit.rlim_cur = limit.rlim_max;
    if (limit.rlim_max < needed)
        return err_set(err, ERR_CONFIG,
                       "%u slots need %llu descriptors and the limit is %llu: raise it (ulimit -n, "
                       "systemd LimitNOFILE) or use fewer slots",
                       slots, (unsigned long long)needed, (unsigned long long)limit.rlim_max);
    if (setrlimit(RLIMIT_NOFILE, &limit) != 0)
        return err_sys(err, ERR_SYSTEM, "raise the limit of open descriptors");
    return 0;
}

static unsigned count_cores(void)
{
    cpu_set_t set;
    if (sched_getaffinity(0, sizeof set, &set) != 0)
        return 1;
    int count = CPU_COUNT(&set);
    return count > 0 ? (unsigned)count : 1;
}

/* What the launcher's starter ignored, no job shall inherit. */
static void usual_signals(void)
{
    struct sigaction usual = {.sa_handler = SIG_DFL}, found;
    for (int s = 1; s < NSIG; s++)
        if (sigaction(s, NULL, &found) == 0 && found.sa_handler == SIG_IGN)
            sigaction(s, &usual, NULL);
}

int host_open(const struct host_config *config, struct host *host, struct err *err)
{
    unsigned swept = 0;
    *host = (struct host){.config = *config,
                          .loop.epoll_fd = -1,
                          .prebuilt = -1,
                          .null_fd = -1,
                          .home_ns = -1,
                          .last_pid = -1,
                          .remains = {.timer_fd = -1, .timer.fd = -1},
                          .maker = {.fd = -1, .program = -1}};
    memset(host->roots, -1, sizeof host->roots);
    if (geteuid() != 0)
        return err_set(err, ERR_CONFIG, "rustbox-box makes namespaces and mounts: run it as root");
    umask(022);
    usual_signals();
    signal(SIGPIPE, SIG_IGN);
    signal(SIGXFSZ, SIG_IGN); /* outputs are files: a limit on them is an error, not the end */
    host->cores = count_cores();
    host->landlock_abi = landlock_abi();
    if (host->config.slots == 0)
        host->config.slots = host->cores;
    if (raise_descriptors(host->config.slots, host->config.warm, err) != 0)
        return -1;
    AUTO_FD int self = readback_process(getpid());
    readback_namespaces(self, host->own_ns);
    host->null_fd = open("/dev/null", O_RDONLY | O_CLOEXEC);
    if (host->null_fd < 0)
        return err_sys(err, ERR_CONFIG, "open /dev/null");
    host->prebuilt = prebuilt_load(host->config.prebuilt);
    if (toolchains_probe(host->toolchains, host->prebuilt >= 0, err) != 0 ||
        filters_build(host->filters, err) != 0)
        return -1;
    if (cgroup_detect("/sys/fs/cgroup", &host->cgroups, err) != 0 ||
        cgroup_root_open(&host->cgroups, &swept, err) != 0)
        return -1;
    if (swept > 0)
        log_event(LOG_WARN, "swept_dead_launcher", kv("groups", swept));
    if (make_roots(host, err) != 0)
        return -1;
    host->home_ns = open("/proc/self/ns/mnt", O_RDONLY | O_CLOEXEC);
    if (host->home_ns < 0)
        return err_sys(err, ERR_CONFIG, "open /proc/self/ns/mnt");
    host->last_pid = open("/proc/sys/kernel/ns_last_pid", O_WRONLY | O_CLOEXEC);
    /* Now: the bounding set will be empty when a later maker or template is started. */
    if (caps_keep_over_exec(CAPS_SANDBOX) != 0)
        return err_sys(err, ERR_CONFIG, "keep capabilities for sandboxes");
    if (maker_open(&host->maker, host->config.layers_off, err) != 0)
        return -1;
    if (warm_open(host, err) != 0)
        return -1;
    if (loop_open(&host->loop, err) != 0 || remains_open(host, err) != 0)
        return -1;
    if (cache_open(&host->loop, &host->config.cache, &host->cache, err) != 0)
        return -1;
    return template_open(host, err);
}

/* Whether there would still be descriptors for a client's message and a job: the lowest free number
 * tells. */
static bool has_room(const struct host *host)
{
    struct rlimit limit;
    AUTO_FD int next = fcntl(host->null_fd, F_DUPFD_CLOEXEC, 3);
    return next >= 0 && getrlimit(RLIMIT_NOFILE, &limit) == 0 &&
           (rlim_t)next + DESCRIPTORS_SPARE < limit.rlim_cur;
}

bool host_replenish(struct host *host)
{
    bool full =
        host->maker.blank_count == MAKER_BLANKS && host->cgroups.ahead_count == CGROUP_AHEAD;
    if (full || !has_room(host))
        return false;
    bool ordered = maker_refill(&host->maker);
    return cgroup_make_ahead(&host->cgroups) || ordered;
}

bool host_idle(void *context)
{
    struct host *host = context;
    struct err err;
    if (host->busy > 0)
        return false;
    if (!remains_full(host) && loop_now_ns() < host->rest_until_ns &&
        remains_later(host, host->rest_until_ns, &err) == 0)
        return false;
    return remains_work(host) || host_replenish(host) || (host->warm && warm_fill(host));
}

void host_has_work(struct host *host)
{
    host->loop.idle = host_idle;
    host->loop.idle_context = host;
}

void host_rest(struct host *host)
{
    host->rest_until_ns = loop_now_ns() + host->config.rest_ms * INT64_C(1000000);
    host_has_work(host);
}

void host_close(struct host *host)
{
    warm_close(host);
    remains_close(host);
    template_close(host);
    cgroup_root_close(&host->cgroups);
    cache_close(host->cache);
    loop_close(&host->loop);
    filters_done(host->filters);
    maker_close(&host->maker);
    cleanup_fd(&host->prebuilt);
    cleanup_fd(&host->null_fd);
    cleanup_fd(&host->home_ns);
    cleanup_fd(&host->last_pid);
    for (int i = 0; i < LANGUAGE_COUNT; i++)
        for (int k = 0; k < 2; k++)
            cleanup_fd(&host->roots[i][k]);
}

uid_t host_uid_get(struct host *host)
{
    uid_t first = HOST_UID_FIRST + host->cgroups.instance * HOST_UIDS;
    for (uint32_t tried = 0; tried < HOST_UIDS; tried++) {
        uint32_t n = host->next_uid++ % HOST_UIDS;
        if (host->uids_in_use[n / 8] & (1u << n % 8))
            continue;
        host->uids_in_use[n / 8] = (uint8_t)(host->uids_in_use[n / 8] | (1u << n % 8));
        return first + n;
    }
    return 0;
}

void host_uid_put(struct host *host, uid_t uid)
{
    uint32_t n = (uid - HOST_UID_FIRST) % HOST_UIDS;
    host->uids_in_use[n / 8] = (uint8_t)(host->uids_in_use[n / 8] & ~(1u << n % 8));
}
