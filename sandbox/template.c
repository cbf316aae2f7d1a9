/* The launcher's side of template.h: starting, ordering, replacing. Three live at most: the one in
 * use, the one about to take its place, and the one before, which still carries out what it was
 * ordered. */
#include "sandbox/template.h"
#include "lib/base/cleanup.h"
#include "lib/log/log.h"
#include "sandbox/caps.h"
#include "sandbox/mounts.h"
#include "sandbox/pass.h"
#include "sandbox/template_blob.h"
#include "sandbox/template_wire.h"
#include <errno.h>
#include <fcntl.h>
#include <linux/close_range.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/mount.h>
#include <sys/pidfd.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#define BACKOFF_MIN_NS INT64_C(1000000000)
#define BACKOFF_MAX_NS INT64_C(60000000000)
#define START_NS INT64_C(20000000000) /* to say that it is ready, or to leave */
#define ROOT_BYTES (8 << 20)

struct template
{
    struct watch watch;
    pid_t pid;     /* 0 = none */
    int fd, words; /* its pair; what it says on stderr, for the log */
    bool ready;
    uint32_t generation, jobs;
    int64_t born_ns, retired_ns;
};

struct template_pool {
    struct host *host;
    struct template current, next, retired;
    uint32_t generations, failures;
    int64_t retry_ns;
    uint64_t stack_bytes; /* forks have the stack and the threads' stacks of their template */
};

static void drop(struct template *tpl, const char *why)
{
    char words[300] = "";
    if (tpl->pid == 0)
        return;
    loop_remove(&((struct template_pool *)tpl->watch.owner)->host->loop, &tpl->watch);
    kill(tpl->pid, SIGKILL);
    while (waitpid(tpl->pid, NULL, 0) < 0 && errno == EINTR)
        ;
    ssize_t got = why ? read(tpl->words, words, sizeof words - 1) : 0;
    if (got > 0) /* of a traceback the last line says it */
        words[got - (words[got - 1] == '\n')] = '\0';
    const char *last = strrchr(words, '\n');
    if (why)
        log_event(LOG_WARN, "template_ended", kv("language", "python"),
                  kv("generation", tpl->generation), kv("jobs", tpl->jobs), kv("why", why),
                  kv("said", last ? last + 1 : words));
    cleanup_fd(&tpl->fd);
    cleanup_fd(&tpl->words);
    tpl->pid = 0;
    tpl->ready = false;
}

static void failed(struct template_pool *pool, struct template *tpl, const char *why)
{
    drop(tpl, why);
    int64_t pause = BACKOFF_MIN_NS << (pool->failures < 6 ? pool->failures : 6);
    pool->failures++;
    pool->retry_ns = loop_now_ns() + (pause < BACKOFF_MAX_NS ? pause : BACKOFF_MAX_NS);
}

/* Another place in the pool for the same template. */
static void move(struct template_pool *pool, struct template *from, struct template *to)
{
    struct err err;
    loop_remove(&pool->host->loop, &from->watch);
    *to = *from;
    from->pid = 0;
    if (loop_add(&pool->host->loop, &to->watch, to->fd, EPOLLIN, &err) != 0)
        failed(pool, to, err.message);
}

/* Killed, it would take the orders along that it has not read, and leave its helper to whoever
 * reaps orphans: a sandbox's init cannot end before that. So it reads to the end and goes. */
static void retire(struct template_pool *pool)
{
    drop(&pool->retired, "it did not leave");
    shutdown(pool->current.fd, SHUT_WR);
    pool->current.retired_ns = loop_now_ns();
    move(pool, &pool->current, &pool->retired);
}

static void on_template(struct watch *watch, uint32_t events)
{
    (void)events;
    struct template_pool *pool = watch->owner;
    struct template *tpl = watch == &pool->current.watch ? &pool->current
                           : watch == &pool->next.watch  ? &pool->next
                                                         : &pool->retired;
    char byte;
    if (tpl == &pool->retired)
        return drop(tpl, NULL);
    if (recv(tpl->fd, &byte, 1, MSG_DONTWAIT) != 1)
        return failed(pool, tpl, tpl->ready ? "it died" : "it did not start");
    tpl->ready = true;
    pool->failures = 0;
    log_event(LOG_INFO, "template_ready", kv("language", "python"),
              kv("generation", tpl->generation),
              kv("start_ms", (loop_now_ns() - tpl->born_ns) / 1000000));
    if (tpl == &pool->current)
        return;
    if (pool->current.pid)
        retire(pool);
    move(pool, &pool->next, &pool->current);
}

static int add_file(int dir, const char *name, struct span content)
{
    AUTO_FD int fd = openat(dir, name, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0444);
    return fd >= 0 && write(fd, content.data, content.len) == (ssize_t)content.len ? 0 : -1;
}

/* The template's /box: the loader under the name every program has, and the extension. */
static int make_box(struct err *err)
{
    AUTO_FD int box = mounts_tmpfs(ROOT_BYTES, 16, 0755, err);
    if (box < 0)
        return -1;
    if (add_file(box, "main.py", template_loader()) != 0 ||
        add_file(box, "_rustbox_template.so", template_extension()) != 0)
        return err_sys(err, ERR_SYSTEM, "write the template's files");
    return mounts_seal(box, true, err) == 0 ? take_fd(&box) : -1;
}

static int filter_memfd(const struct filter *filter, struct err *err)
{
    AUTO_FD int fd = memfd_create("filter", MFD_CLOEXEC);
    size_t bytes = filter->prog.len * sizeof filter->prog.filter[0];
    if (fd < 0 || write(fd, filter->prog.filter, bytes) != (ssize_t)bytes)
        return err_sys(err, ERR_SYSTEM, "hand the filter to a template");
    return take_fd(&fd);
}

static void usual_signals(void)
{
    struct sigaction usual = {.sa_handler = SIG_DFL};
    sigset_t none;
    for (int s = 1; s < NSIG; s++)
        sigaction(s, &usual, NULL);
    sigemptyset(&none);
    sigprocmask(SIG_SETMASK, &none, NULL);
}

struct start {
    int box, filter, pair, words, root_ns;
    uint64_t stack_bytes;
    bool keep_caps;
    const struct toolchain_phase *run;
};

/* The standard streams are of the kinds that a job's are, or Python would remember the difference.
 */
static int order_descriptors(const struct start *start, int stdin_fd)
{
    const int from[] = {stdin_fd, start->words, start->words, start->pair, start->filter};
    int high[5];
    for (int i = 0; i < 5; i++)
        if ((high[i] = fcntl(from[i], F_DUPFD_CLOEXEC, 5)) < 0)
            return -1;
    for (int i = 0; i < 5; i++)
        if (dup2(high[i], i) < 0)
            return -1;
    return close_range(5, ~0U, 0);
}

static _Noreturn void become_template(const struct start *start)
{
    static const char why[] = "its surroundings could not be made\n";
    struct rlimit stack = {start->stack_bytes, start->stack_bytes};
    prctl(PR_SET_PDEATHSIG, SIGKILL);
    usual_signals();
    setsid();
    bool made = setns(start->root_ns, CLONE_NEWNS) == 0 && unshare(CLONE_NEWNS) == 0 &&
                move_mount(start->box, "", AT_FDCWD, "/box", MOVE_MOUNT_F_EMPTY_PATH) == 0 &&
                chdir("/tmp") == 0 && setrlimit(RLIMIT_STACK, &stack) == 0;
    int stdin_fd = made ? open("/box/main.py", O_RDONLY | O_CLOEXEC) : -1;
    if (stdin_fd >= 0 && order_descriptors(start, stdin_fd) == 0 &&
        (start->keep_caps || caps_only_over_exec(CAPS_TEMPLATE) == 0))
        execve(start->run->steps[0][0], (char *const *)(uintptr_t)start->run->steps[0],
               (char *const *)(uintptr_t)start->run->env);
    (void)!write(start->words, why, sizeof why - 1);
    _exit(127);
}

static int spawn(struct template_pool *pool, struct template *tpl, struct err *err)
{
    struct host *host = pool->host;
    const struct toolchain_phase *run = &host->toolchains[LANGUAGE_python].run;
    int pair[2], words[2];
    AUTO_FD int box = make_box(err);
    AUTO_FD int filter = box < 0 ? -1 : filter_memfd(&host->filters[run->family], err);
    if (filter < 0)
        return -1;
    if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, pair) != 0)
        return err_sys(err, ERR_SYSTEM, "socketpair");
    AUTO_FD int near = pair[0], far = pair[1];
    if (pipe2(words, O_CLOEXEC | O_NONBLOCK) != 0)
        return err_sys(err, ERR_SYSTEM, "pipe");
    AUTO_FD int words_in = words[0], words_out = words[1];
    struct start start = {.box = box,
                          .filter = filter,
                          .pair = far,
                          .words = words_out,
                          .root_ns = host->roots[LANGUAGE_python][0],
                          .stack_bytes = pool->stack_bytes,
                          .keep_caps = (host->config.layers_off & LAYER_CAPS) != 0,
                          .run = run};
    pid_t pid = fork();
    if (pid < 0)
        return err_sys(err, ERR_SYSTEM, "start a template");
    if (pid == 0)
        become_template(&start);
    *tpl = (struct template){.watch = {.fd = -1, .ready = on_template, .owner = pool},
                             .pid = pid,
                             .fd = take_fd(&near),
                             .words = take_fd(&words_in),
                             .generation = ++pool->generations,
                             .born_ns = loop_now_ns()};
    return loop_add(&host->loop, &tpl->watch, tpl->fd, EPOLLIN, err);
}

static void start(struct template_pool *pool, struct template *tpl)
{
    struct err err;
    if (loop_now_ns() < pool->retry_ns)
        return;
    if (spawn(pool, tpl, &err) != 0) {
        log_event(LOG_WARN, "template_failed", kv_err(&err));
        failed(pool, tpl, err.message);
    }
}

int template_open(struct host *host, struct err *err)
{
    if (!host->config.template_python || !template_built() ||
        !host->toolchains[LANGUAGE_python].available ||
        (host->config.layers_off & (LAYER_PID | LAYER_VIEW)))
        return 0;
    host->templates = calloc(1, sizeof *host->templates);
    if (!host->templates)
        return err_set(err, ERR_NO_MEMORY, "no memory for the template tier");
    host->templates->host = host;
    host->templates->stack_bytes = limits_run(LANGUAGE_python, PROFILE_JUDGE).stack_bytes;
    start(host->templates, &host->templates->current);
    return 0;
}

void template_close(struct host *host)
{
    if (!host->templates)
        return;
    drop(&host->templates->current, NULL);
    drop(&host->templates->next, NULL);
    drop(&host->templates->retired, NULL);
    free(host->templates);
    host->templates = NULL;
}

bool template_ready(struct host *host, enum language language, const struct limits *limits)
{
    struct template_pool *pool = host->templates;
    if (!pool || language != LANGUAGE_python || limits->stack_bytes != pool->stack_bytes)
        return false;
    struct template *now = &pool->current;
    const int64_t age = loop_now_ns() - now->born_ns;
    if (pool->retired.pid && loop_now_ns() - pool->retired.retired_ns > START_NS)
        drop(&pool->retired, "it did not leave");
    if (now->pid == 0)
        start(pool, now);
    else if (!now->ready && age > START_NS)
        failed(pool, now, "it was not ready in time");
    else if (now->ready && pool->next.pid == 0 &&
             (now->jobs >= host->config.template_jobs ||
              age > (int64_t)host->config.template_minutes * 60 * INT64_C(1000000000)))
        start(pool, &pool->next);
    return now->pid != 0 && now->ready;
}

/* No more than what the phase holds anyway; sent descriptors are copies. */
static void fill(const struct phase *phase, struct template_order *order, int *fds, size_t *count)
{
    const struct child_spec *spec = &phase->spec;
    *order = (struct template_order){.limits = spec->limits,
                                     .uid = spec->uid,
                                     .layers = spec->layers,
                                     .landlock_abi = spec->landlock_abi,
                                     .ahead = !phase->given};
    fds[TEMPLATE_INIT] = phase->init_fd;
    fds[TEMPLATE_SYNC] = phase->far[PHASE_FAR_SYNC];
    fds[TEMPLATE_STDIN] = phase->far[PHASE_FAR_STDIN];
    fds[TEMPLATE_STDOUT] = phase->far[PHASE_FAR_STDOUT];
    fds[TEMPLATE_STDERR] = phase->far[PHASE_FAR_STDERR];
    *count =
        TEMPLATE_GROUPS + cgroup_joins(&phase->host->cgroups, &phase->group, fds + TEMPLATE_GROUPS);
}

int template_fork(struct phase *phase, struct err *err)
{
    struct template_pool *pool = phase->host->templates;
    struct template *tpl = pool ? &pool->current : NULL;
    struct template_order order;
    int fds[TEMPLATE_FDS_MAX];
    size_t count;
    if (!tpl || tpl->pid == 0 || !tpl->ready)
        return err_set(err, ERR_SYSTEM, "the template is gone");
    fill(phase, &order, fds, &count);
    struct iovec part = {&order, sizeof order};
    if (!pass_send(tpl->fd, &part, 1, fds, count))
        return err_sys(err, ERR_SYSTEM, "order a fork of the template");
    phase->template_generation = tpl->generation;
    phase->template_jobs = ++tpl->jobs;
    return 0;
}

void template_blame(struct host *host)
{
    struct template_pool *pool = host->templates;
    if (pool && pool->current.ready)
        failed(pool, &pool->current, "a sandbox never heard of its fork");
}
