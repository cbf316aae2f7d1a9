/* rustbox-sandbox-bench: what a sandbox costs, measured on the launcher's own code in this process.
 *
 * Every round starts each thing once, so that all of them meet the same noise: the floor (spawn of
 * a static program), each case without a sandbox and with one, and the peers' commands. Prints the
 * raw samples as JSON; ops/bench makes figures of them. It judges nothing, and nothing of it runs
 * in the product. Root only. */
#include "lib/base/cleanup.h"
#include "lib/base/strict.h"
#include "lib/log/log.h"
#include "sandbox/caps.h"
#include "sandbox/job.h"
#include "sandbox/shelf.h"
#include "sandbox/template.h"
#include "sandbox/trial.h"
#include <fcntl.h>
#include <getopt.h>
#include <spawn.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/mount.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/timerfd.h>
#include <sys/wait.h>

#define CASES_MAX 16
#define PEERS_MAX 4
#define ARGS_MAX 40
#define SLICES 5 /* of a rate: the things measured take turns */
#define WARM_KEPT 2
#define SLOTS 2
#define SETTLE_NS INT64_C(15000000)

static const char help[] =
    "usage: rustbox-sandbox-bench --state-dir DIR --floor PROGRAM [options]\n"
    "  --case NAME:LANGUAGE:DIR   what the run finds at /box; the first one's rate is measured "
    "too\n"
    "  --peer NAME:COMMAND        words separated by spaces, started like the floor\n"
    "  --rounds N                 samples of each (default 100)\n"
    "  --warm N                   0: cold only; else the warm tier too, two kept ready\n"
    "  --rate N                   one-shot sandboxes for the rates (default 1000; 0 = none)\n"
    "  --runs N                   of one built program, five times, C and Python only (default "
    "0)\n";

static const char *const step_names[STEP_COUNT] = {
#define STEP(name, text) #name,
#include "sandbox/steps.def"
#undef STEP
};

struct series {
    const char *name;
    double *us;
    size_t count;
};

struct bench_case {
    char *name, *dir;
    enum language language;
    const char *argv[ARGS_MAX]; /* without a sandbox */
    char *room[ARGS_MAX];
    struct series bare, boxed, warm, steps[STEP_COUNT], warm_steps[STEP_COUNT];
    /* Forks of a template, made for the job and made ahead; empty where there is no template. */
    struct series fork, fork_ahead, fork_steps[STEP_COUNT];
    double forks_per_second;
    /* A further run of one built program, and one in a sandbox made for it; of both, and of spawns
     * of the floor between them. */
    struct per_run {
        double wall_us, cpu_us;
    } runs, single_runs, spawns;
};

struct peer {
    char *name;
    const char *argv[ARGS_MAX];
    struct series series;
    double per_second;
};

struct bench {
    struct host_config config;
    uint64_t rounds, rate, runs;
    struct peer floor, peers[PEERS_MAX];
    struct bench_case cases[CASES_MAX];
    size_t peer_count, case_count;
    double boxed_per_second;
};

static struct bench bench = {.rounds = 100, .rate = 1000};
static struct host host;

static _Noreturn void die(const char *what, const char *why)
{
    fprintf(stderr, "rustbox-sandbox-bench: %s: %s\n", what, why);
    exit(1);
}

static void add(struct series *series, int64_t ns)
{
    if (!series->us)
        series->us = calloc(bench.rounds, sizeof *series->us);
    if (!series->us)
        die("samples", "no memory");
    if (series->count < bench.rounds)
        series->us[series->count++] = (double)ns / 1000;
}

static int64_t spawn_once(const char *const *argv, const char *const *env)
{
    static char *const empty[] = {NULL};
    posix_spawn_file_actions_t actions;
    int64_t begin = loop_now_ns();
    pid_t pid;
    int status = 0;
    posix_spawn_file_actions_init(&actions);
    posix_spawn_file_actions_addopen(&actions, 0, "/dev/null", O_RDONLY, 0);
    posix_spawn_file_actions_addopen(&actions, 1, "/dev/null", O_WRONLY, 0);
    int error = posix_spawn(&pid, argv[0], &actions, NULL, (char *const *)(uintptr_t)argv,
                            env ? (char *const *)(uintptr_t)env : empty);
    if (error != 0)
        die(argv[0], strerror(error));
    waitpid(pid, &status, 0);
    posix_spawn_file_actions_destroy(&actions);
    if (!WIFEXITED(status) || WEXITSTATUS(status) != 0)
        die(argv[0], "did not exit 0");
    return loop_now_ns() - begin;
}

/* A client's memfd: sealed, with the contents of a file (NULL = empty). */
static int client_memfd(const char *path)
{
    int fd = memfd_create("bench", MFD_CLOEXEC | MFD_ALLOW_SEALING);
    AUTO_FD int from = path ? open(path, O_RDONLY | O_CLOEXEC) : -1;
    char bytes[4096];
    for (ssize_t got; from >= 0 && (got = read(from, bytes, sizeof bytes)) > 0;)
        if (write(fd, bytes, (size_t)got) != got)
            die("memfd", strerror(errno));
    if (fd < 0 || (path && from < 0) ||
        fcntl(fd, F_ADD_SEALS, F_SEAL_WRITE | F_SEAL_SHRINK | F_SEAL_GROW) != 0)
        die(path ? path : "memfd", strerror(errno));
    return fd;
}

/* What a harvested compile would be: a detached read-only mount. */
static int box_of(const char *dir)
{
    struct mount_attr attr = {.attr_set = MOUNT_ATTR_RDONLY | MOUNT_ATTR_NOSUID | MOUNT_ATTR_NODEV};
    int fd = open_tree(AT_FDCWD, dir, OPEN_TREE_CLONE | OPEN_TREE_CLOEXEC);
    if (fd < 0 || mount_setattr(fd, "", AT_EMPTY_PATH, &attr, sizeof attr) != 0)
        die(dir, strerror(errno));
    return fd;
}

struct slot {
    struct job job;
    const struct bench_case *of;
    struct shelf *shelf;
    int64_t begin_ns, end_ns;
    unsigned *left, *running; /* rates */
};

static void begin(struct slot *slot, void (*done)(struct job *))
{
    char path[4096];
    const struct bench_case *of = slot->of;
    bool compiled = host.toolchains[of->language].has_compile;
    snprintf(path, sizeof path, "%s/%s", of->dir, language_source(of->language));
    slot->job = (struct job){
        .host = &host,
        .request = {.language = of->language, .run = limits_run(of->language, PROFILE_JUDGE)},
        .code = slot->shelf ? -1 : client_memfd(compiled ? NULL : path),
        .input = client_memfd(NULL),
        .files = {-1, -1},
        .stdin_file = -1,
        .source_mount = -1,
        .box_mount = -1,
        .done = done,
        .owner = slot};
    slot->begin_ns = loop_now_ns();
    if (slot->shelf)
        slot->job.shelf = shelf_hold(slot->shelf);
    else if (compiled)
        slot->job.box_mount = box_of(of->dir);
    job_start(&slot->job);
}

static void check(const struct job *job)
{
    const struct evidence *ev = &job->ev;
    if (!ev->setup_ok || !ev->run.exited || ev->run.exit_code != 0)
        die("a sandboxed program did not exit 0", ev->setup_error);
}

static void on_single(struct job *job)
{
    struct slot *slot = job->owner;
    slot->end_ns = loop_now_ns();
    host.loop.stop = true;
}

static void on_settled(struct watch *watch, uint32_t events)
{
    (void)events;
    (void)watch;
    host.loop.stop = true;
}

/* Gives the launcher the time between two jobs that an idle service has: it takes down what
 * remains, and fills the warm tier. */
static void settle(void)
{
    struct err err;
    struct watch watch = {.fd = -1, .ready = on_settled};
    AUTO_FD int timer = timerfd_create(CLOCK_MONOTONIC, TFD_CLOEXEC | TFD_NONBLOCK);
    host.loop.stop = false;
    if (timer < 0 || loop_add(&host.loop, &watch, timer, EPOLLIN, &err) != 0 ||
        loop_timer(timer, loop_now_ns() + SETTLE_NS, &err) != 0 || loop_run(&host.loop, &err) != 0)
        die("settle", err.message);
    loop_remove(&host.loop, &watch);
}

static void run_boxed(struct bench_case *of, struct series *into, struct series *steps)
{
    static struct slot slot;
    struct err err;
    slot.of = of;
    host.loop.stop = false;
    begin(&slot, on_single);
    if (!host.loop.stop && loop_run(&host.loop, &err) != 0)
        die("loop", err.message);
    check(&slot.job);
    job_release(&slot.job);
    add(into, slot.end_ns - slot.begin_ns);
    const int64_t *at = slot.job.at;
    add(&steps[0], at[STEP_began] - slot.begin_ns);
    /* Of a warm one, the steps from channels to read_back were done before it was asked for. */
    bool warm = at[STEP_read_back] < at[STEP_began];
    int64_t latest = at[STEP_began];
    for (int i = warm ? STEP_placed : 1; i < STEP_COUNT; i++) {
        add(&steps[i], at[i] > latest ? at[i] - latest : 0);
        latest = at[i] > latest ? at[i] : latest;
    }
}

static void on_rated(struct job *job)
{
    struct slot *slot = job->owner;
    check(job);
    job_release(job);
    slot->end_ns = 1; /* free */
    host.loop.stop = true;
}

/* shelf: what they are runs of; NULL: each for itself. */
static int64_t rate_boxed(const struct bench_case *of, struct shelf *shelf, uint64_t count)
{
    static struct slot slots[SLOTS];
    struct err err;
    int64_t from = loop_now_ns();
    uint64_t started = 0, running = 0;
    for (int i = 0; i < SLOTS; i++)
        slots[i].end_ns = 1;
    while (started < count || running > 0) {
        for (int i = 0; i < SLOTS; i++) {
            if (!slots[i].end_ns)
                continue;
            running -= slots[i].of != NULL;
            slots[i].of = NULL;
            if (started >= count)
                continue;
            slots[i].of = of;
            slots[i].shelf = shelf;
            slots[i].end_ns = 0;
            started++;
            running++;
            begin(&slots[i], on_rated);
        }
        host.loop.stop = running == 0;
        if (loop_run(&host.loop, &err) != 0)
            die("loop", err.message);
    }
    remains_finish(&host); /* what a rate costs includes taking its sandboxes down */
    return loop_now_ns() - from;
}

static int64_t rate_spawn(const char *const *argv, uint64_t count)
{
    int64_t from = loop_now_ns();
    pid_t pids[SLOTS];
    for (int i = 0; i < SLOTS; i++) {
        pids[i] = fork();
        if (pids[i] < 0)
            die("fork", strerror(errno));
        for (uint64_t n = 0; pids[i] == 0 && n < count / SLOTS; n++)
            spawn_once(argv, NULL);
        if (pids[i] == 0)
            _exit(0);
    }
    for (int status, i = 0; i < SLOTS; i++)
        if (waitpid(pids[i], &status, 0) < 0 || status != 0)
            die(argv[0], "a worker failed");
    return loop_now_ns() - from;
}

/* Peers are started by a process that was forked before the launcher gave up anything: without a
 * bounding set they could not make their user namespaces. It holds all the time of a peer. */
struct peer_order {
    size_t peer;
    uint64_t count; /* 0 = one, alone */
};
static int peer_orders = -1;

static _Noreturn void start_peers(int orders)
{
    struct peer_order order;
    while (read(orders, &order, sizeof order) == (ssize_t)sizeof order) {
        const char *const *argv = bench.peers[order.peer].argv;
        int64_t ns = order.count ? rate_spawn(argv, order.count) : spawn_once(argv, NULL);
        if (write(orders, &ns, sizeof ns) != (ssize_t)sizeof ns)
            break;
    }
    _exit(0);
}

static int64_t run_peer(size_t peer, uint64_t count)
{
    struct peer_order order = {peer, count};
    int64_t ns;
    if (write(peer_orders, &order, sizeof order) != (ssize_t)sizeof order ||
        read(peer_orders, &ns, sizeof ns) != (ssize_t)sizeof ns)
        die(bench.peers[peer].name, "it could not be started");
    return ns;
}

static void open_peers(void)
{
    int pair[2];
    if (bench.peer_count == 0)
        return;
    if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, pair) != 0)
        die("socketpair", strerror(errno));
    pid_t pid = fork();
    if (pid < 0)
        die("fork", strerror(errno));
    if (pid == 0) {
        close(pair[0]);
        start_peers(pair[1]);
    }
    close(pair[1]);
    peer_orders = pair[0];
}

static void measure_rates(void)
{
    double boxed = 0, floor = 0, peers[PEERS_MAX] = {0};
    /* Each slice of a peer is a tenth: the slow ones would take minutes. */
    uint64_t slice = bench.rate / SLICES, tenth = slice / 10 + SLOTS;
    struct warm_pool *pool = host.warm;
    host.warm = NULL; /* all of them are made for their jobs */
    for (int i = 0; i < SLICES; i++) {
        fprintf(stderr, "bench: rates, part %d of %d\n", i + 1, SLICES);
        floor += (double)rate_spawn(bench.floor.argv, slice);
        boxed += (double)rate_boxed(&bench.cases[0], NULL, slice);
        for (size_t p = 0; p < bench.peer_count; p++)
            peers[p] += (double)run_peer(p, tenth);
    }
    for (size_t i = 0; i < bench.case_count; i++)
        if (host.templates && bench.cases[i].language == LANGUAGE_python)
            bench.cases[i].forks_per_second =
                1e9 * (double)bench.rate / (double)rate_boxed(&bench.cases[i], NULL, bench.rate);
    host.warm = pool;
    bench.floor.per_second = 1e9 * (double)(slice / SLOTS * SLOTS * SLICES) / floor;
    bench.boxed_per_second = 1e9 * (double)(slice * SLICES) / boxed;
    for (size_t p = 0; p < bench.peer_count; p++)
        bench.peers[p].per_second = 1e9 * (double)(tenth / SLOTS * SLOTS * SLICES) / peers[p];
}

static double busy_us(void)
{
    double us = 0;
    for (int i = 0; i < 2; i++) {
        struct rusage usage;
        getrusage(i ? RUSAGE_CHILDREN : RUSAGE_SELF, &usage);
        us += 1e6 * (double)(usage.ru_utime.tv_sec + usage.ru_stime.tv_sec) +
              (double)(usage.ru_utime.tv_usec + usage.ru_stime.tv_usec);
    }
    return us;
}

/* The time of a sandbox is the launcher's child's once it is reaped, so that comes first. */
static void add_runs(struct per_run *into, const struct bench_case *of, struct shelf *shelf)
{
    double cpu = busy_us();
    int64_t ns = of ? rate_boxed(of, shelf, bench.runs) : rate_spawn(bench.floor.argv, bench.runs);
    shelf_drop(shelf); /* ends what stayed */
    remains_finish(&host);
    into->wall_us += (double)ns / 1e3 / (double)(bench.runs * SLICES);
    into->cpu_us += (busy_us() - cpu) / (double)(bench.runs * SLICES);
}

static void measure_runs(void)
{
    struct err err;
    struct warm_pool *pool = host.warm;
    host.warm = NULL;
    for (size_t i = 0; i < bench.case_count; i++) {
        struct bench_case *of = &bench.cases[i];
        if (of->language != LANGUAGE_c && of->language != LANGUAGE_python)
            continue;
        for (int slice = 0; slice < SLICES; slice++) {
            AUTO_FD int box = box_of(of->dir);
            struct shelf *shelf = shelf_new(&host, box, &err);
            if (!shelf)
                die("shelf", err.message);
            add_runs(&of->spawns, NULL, NULL);
            add_runs(&of->single_runs, of, NULL);
            add_runs(&of->runs, of, shelf);
        }
        fprintf(stderr,
                "bench: runs of %s: a further one %.0f us (CPU %.0f), one alone %.0f (%.0f), spawn "
                "%.0f (%.0f)\n",
                of->name, of->runs.wall_us, of->runs.cpu_us, of->single_runs.wall_us,
                of->single_runs.cpu_us, of->spawns.wall_us, of->spawns.cpu_us);
    }
    host.warm = pool;
}

/* Without and with sandboxes made ahead; those of before are of the other kind, and used up. */
static void measure_tiers(struct bench_case *of, struct series *plain, struct series *steps,
                          struct series *ahead, struct series *ahead_steps)
{
    static struct series nothing, no_steps[STEP_COUNT];
    struct warm_pool *pool = host.warm;
    host.warm = NULL;
    settle();
    run_boxed(of, plain, steps);
    host.warm = pool;
    for (int i = 0; pool && i <= WARM_KEPT; i++) {
        bool last = i == WARM_KEPT;
        settle();
        run_boxed(of, last ? ahead : &nothing, last && ahead_steps ? ahead_steps : no_steps);
    }
    settle();
}

static void measure(void)
{
    for (uint64_t round = 0; round < bench.rounds; round++) {
        if (round % 20 == 0)
            fprintf(stderr, "bench: round %llu of %llu\n", (unsigned long long)round,
                    (unsigned long long)bench.rounds);
        settle();
        add(&bench.floor.series, spawn_once(bench.floor.argv, NULL));
        for (size_t i = 0; i < bench.case_count; i++) {
            struct bench_case *of = &bench.cases[i];
            const char *const *env = host.toolchains[of->language].run.env;
            settle(); /* as before all others: what ran just before is quicker */
            add(&of->bare, spawn_once(of->argv, env));
            struct template_pool *templates = host.templates;
            host.templates = NULL;
            measure_tiers(of, &of->boxed, of->steps, &of->warm, of->warm_steps);
            host.templates = templates;
            if (templates && of->language == LANGUAGE_python)
                measure_tiers(of, &of->fork, of->fork_steps, &of->fork_ahead, NULL);
        }
        for (size_t i = 0; i < bench.peer_count; i++) {
            settle();
            add(&bench.peers[i].series, run_peer(i, 0));
        }
    }
}

static void print_series(const struct series *series)
{
    putchar('[');
    for (size_t i = 0; i < series->count; i++)
        printf("%s%.1f", i ? "," : "", series->us[i]);
    putchar(']');
}

static void print_peer(const char *name, const struct peer *peer)
{
    printf("{\"name\":\"%s\",\"per_second\":%.1f,\"us\":", name, peer->per_second);
    print_series(&peer->series);
    putchar('}');
}

static void print_steps(const char *head, const struct series *steps)
{
    printf("%s{", head);
    for (int s = 0; s < STEP_COUNT; s++) {
        printf("%s\"%s\":", s ? "," : "", step_names[s]);
        print_series(&steps[s]);
    }
    putchar('}');
}

static void print_runs(const char *head, const struct per_run *runs)
{
    printf("%s{\"wall_us\":%.1f,\"cpu_us\":%.1f}", head, runs->wall_us, runs->cpu_us);
}

static void print_all(void)
{
    printf("{\"floor\":");
    print_peer("floor", &bench.floor);
    printf(",\"sandboxes_per_second\":%.1f,\"peers\":[", bench.boxed_per_second);
    for (size_t i = 0; i < bench.peer_count; i++) {
        fputs(i ? "," : "", stdout);
        print_peer(bench.peers[i].name, &bench.peers[i]);
    }
    printf("],\"cases\":[");
    for (size_t i = 0; i < bench.case_count; i++) {
        const struct bench_case *of = &bench.cases[i];
        printf("%s{\"name\":\"%s\",\"unsandboxed_us\":", i ? "," : "", of->name);
        print_series(&of->bare);
        printf(",\"sandboxed_us\":");
        print_series(&of->boxed);
        printf(",\"warm_us\":");
        print_series(&of->warm);
        printf(",\"forks_per_second\":%.1f,\"fork_us\":", of->forks_per_second);
        print_series(&of->fork);
        printf(",\"fork_ahead_us\":");
        print_series(&of->fork_ahead);
        print_runs(",\"runs\":", &of->runs);
        print_runs(",\"single_runs\":", &of->single_runs);
        print_runs(",\"spawns\":", &of->spawns);
        print_steps(",\"fork_steps\":", of->fork_steps);
        print_steps(",\"steps\":", of->steps);
        print_steps(",\"warm_steps\":", of->warm_steps);
        putchar('}');
    }
    printf("]}\n");
}

static void split(char *text, const char *argv[ARGS_MAX])
{
    size_t n = 0;
    for (char *save = NULL, *word = strtok_r(text, " ", &save); word && n + 1 < ARGS_MAX;
         word = strtok_r(NULL, " ", &save))
        argv[n++] = word;
}

static void add_case(char *text)
{
    char *language = strchr(text, ':');
    char *dir = language ? strchr(language + 1, ':') : NULL;
    if (!dir || bench.case_count == CASES_MAX)
        die(text, "not NAME:LANGUAGE:DIR, or too many cases");
    *language++ = *dir++ = '\0';
    struct bench_case *of = &bench.cases[bench.case_count++];
    *of = (struct bench_case){.name = text, .dir = dir};
    if (language_find(span_text(language), &of->language) != 0)
        die(language, "no such language");
}

static void add_peer(char *text)
{
    char *command = strchr(text, ':');
    if (!command || bench.peer_count == PEERS_MAX)
        die(text, "not NAME:COMMAND, or too many peers");
    *command++ = '\0';
    struct peer *peer = &bench.peers[bench.peer_count++];
    peer->name = text;
    split(command, peer->argv);
}

/* The same command outside: what is /box inside is the directory itself. */
static void bare_commands(void)
{
    for (size_t i = 0; i < bench.case_count; i++) {
        struct bench_case *of = &bench.cases[i];
        const struct toolchain *toolchain = &host.toolchains[of->language];
        if (!toolchain->available)
            die(of->name, toolchain->why_missing);
        const char *const *argv = toolchain->run.steps[0];
        for (size_t n = 0; argv[n] && n + 1 < ARGS_MAX; n++) {
            of->argv[n] = argv[n];
            if (strncmp(argv[n], "/box/", 5) != 0)
                continue;
            if (asprintf(&of->room[n], "%s/%s", of->dir, argv[n] + 5) < 0)
                die("command", "no memory");
            of->argv[n] = of->room[n];
        }
    }
}

static void await_template(void)
{
    const struct limits limits = limits_run(LANGUAGE_python, PROFILE_JUDGE);
    for (int i = 0; host.templates && !template_ready(&host, LANGUAGE_python, &limits); i++) {
        if (i == 1000)
            die("template", "it was not ready in time");
        settle();
    }
}

static void parse(int argc, char **argv)
{
    static const struct option table[] = {{"state-dir", 1, NULL, 's'}, {"floor", 1, NULL, 'f'},
                                          {"case", 1, NULL, 'c'},      {"peer", 1, NULL, 'p'},
                                          {"rounds", 1, NULL, 'n'},    {"rate", 1, NULL, 'r'},
                                          {"warm", 1, NULL, 'w'},      {"runs", 1, NULL, 'R'},
                                          {"help", 0, NULL, 'h'},      {NULL, 0, NULL, 0}};
    int bad = 0;
    for (int option; (option = getopt_long(argc, argv, "", table, NULL)) != -1;) {
        if (option == 'h')
            exit(fputs(help, stdout) < 0);
        else if (option == 's')
            bad |= span_copy(span_text(optarg), bench.config.state_dir, HOST_PATH) != 0;
        else if (option == 'f')
            bench.floor.argv[0] = optarg;
        else if (option == 'c')
            add_case(optarg);
        else if (option == 'p')
            add_peer(optarg);
        else if (option == 'w')
            bench.config.warm = optarg[0] == '0' ? 0 : WARM_KEPT;
        else
            bad |= option == '?' || span_u64(span_text(optarg), option == 'n'   ? &bench.rounds
                                                                : option == 'R' ? &bench.runs
                                                                                : &bench.rate) != 0;
    }
    if (bad || !bench.config.state_dir[0] || !bench.floor.argv[0] || !bench.case_count)
        exit(fputs(help, stderr) < 0 ? 1 : 2);
}

int main(int argc, char **argv)
{
    struct err err;
    parse(argc, argv);
    log_open("rustbox-sandbox-bench", LOG_WARN, STDERR_FILENO, &clock_system);
    open_peers();
    bench.config.slots = SLOTS;
    bench.config.template_python = template_built();
    bench.config.template_jobs = bench.config.template_minutes = 1000000;
    if (host_open(&bench.config, &host, &err) != 0 || caps_drop_bounding() != 0 ||
        trial_run(&host, false, &err) != 0) {
        host_close(&host);
        die("launcher", err.message);
    }
    bare_commands();
    await_template();
    if (bench.rounds)
        measure();
    if (bench.rate)
        measure_rates();
    if (bench.runs)
        measure_runs();
    host_close(&host);
    print_all();
    return 0;
}
