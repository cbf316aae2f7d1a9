/* rustbox-box: the sandbox launcher. Root, single-threaded, a service of its own; it never links
 * Kafka, PostgreSQL or HTTP libraries. README.md explains how it works; `--check` runs a trial
 * sandbox and says what this host can isolate. */
#include "lib/base/cleanup.h"
#include "lib/log/log.h"
#include "sandbox/caps.h"
#include "sandbox/readback.h"
#include "sandbox/server.h"
#include "sandbox/template.h"
#include "sandbox/trial.h"
#include "sandbox/warm.h"
#include <fcntl.h>
#include <getopt.h>
#include <grp.h>
#include <pwd.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/signalfd.h>

#define SLOTS_MAX 1024
#define REST_MAX_MS 60000
#define RENEW_MAX 1000000 /* jobs, minutes */

static const char help[] =
    "usage: rustbox-box [options]\n"
    "  --socket PATH      listen here (default /run/rustbox/box.sock)\n"
    "  --state-dir DIR    empty directory to mount the roots on, privately\n"
    "                     (default /run/rustbox-box)\n"
    "  --slots N          jobs at the same time (default: number of cores)\n"
    "  --allow-user NAME  user, beside root, who may connect (name or number; default root)\n"
    "  --group NAME       group of the socket (name or number; default root)\n"
    "  --permissive       run although required isolation is missing; marks every verdict\n"
    "  --warm N           keep N sandboxes ready for each language that was asked for, each used\n"
    "                     once (default 0, at most 16)\n"
    "  --rest MS          make them, and take down what remains of others, only when no job ran\n"
    "                     for so long: a verdict is then on its way over the same processors\n"
    "                     (milliseconds, default 3, at most 60000)\n"
    "  --cache-bytes N    memory for compiled programs, each found again by its own project only\n"
    "                     (default 268435456; 0 = compile every time)\n"
    "  --cache-entries N  compiled programs kept of one project (default 256, at most 4096)\n"
    "  --prebuilt DIR     what ops/lib/prebuild made, for quicker compilers; copied into memory\n"
    "                     (110 MB), left out with a warning when a compiler was changed since\n"
    "  --template python=0|1  run Python in forks of a started interpreter (default 1 where "
    "built)\n"
    "  --template-jobs N, --template-minutes N  replace it after so much (default 1000, 10)\n"
    "  --check            try a sandbox, print what is in force, exit 0 when all required is\n"
    "  --help             this text\n";

static void on_signal(struct watch *watch, uint32_t events)
{
    (void)events;
    struct loop *loop = watch->owner;
    struct signalfd_siginfo info;
    /* Taken, else it would also end the wait for the last jobs; a second signal may. */
    if (read(watch->fd, &info, sizeof info) == (ssize_t)sizeof info)
        loop->stop = true;
}

static int find_id(const char *text, bool group, uint32_t *out, struct err *err)
{
    uint64_t number;
    if (span_u64(span_text(text), &number) == 0 && number < UINT32_MAX) {
        *out = (uint32_t)number;
        return 0;
    }
    const struct passwd *user = group ? NULL : getpwnam(text);
    const struct group *entry = group ? getgrnam(text) : NULL;
    if (!user && !entry)
        return err_set(err, ERR_CONFIG, "no such %s: %s", group ? "group" : "user", text);
    *out = group ? entry->gr_gid : user->pw_uid;
    return 0;
}

static int set_path(const char *name, const char *text, char out[HOST_PATH], struct err *err)
{
    if (text[0] != '/' || span_copy(span_text(text), out, HOST_PATH) != 0)
        return err_set(err, ERR_CONFIG, "--%s must be an absolute path under %d bytes", name,
                       HOST_PATH);
    return 0;
}

static int set_cache(const char *bytes, const char *entries, struct cache_limits *cache,
                     struct err *err)
{
    uint64_t number;
    if (bytes && (span_u64(span_text(bytes), &number) != 0 || number > CACHE_BYTES_MAX ||
                  (number > 0 && number < CACHE_BYTES_MIN)))
        return err_set(err, ERR_CONFIG, "--cache-bytes must be 0 or between %llu and %llu",
                       (unsigned long long)CACHE_BYTES_MIN, (unsigned long long)CACHE_BYTES_MAX);
    if (bytes)
        cache->bytes = number;
    if (entries &&
        (span_u64(span_text(entries), &number) != 0 || number < 1 || number > CACHE_ENTRIES_MAX))
        return err_set(err, ERR_CONFIG, "--cache-entries must be between 1 and %d",
                       CACHE_ENTRIES_MAX);
    if (entries)
        cache->project_entries = (uint32_t)number;
    return 0;
}

static int set_template(const char *text, struct host_config *config, struct err *err)
{
    config->template_python = strcmp(text, "python=1") == 0;
    if (!config->template_python && strcmp(text, "python=0") != 0)
        return err_set(err, ERR_CONFIG, "--template must be python=0 or python=1");
    if (config->template_python && !template_built())
        return err_set(err, ERR_CONFIG,
                       "--template python=1: this launcher was built without it; install "
                       "libpython3.11-dev and build again");
    return 0;
}

static int set_count(const char *name, const char *text, uint32_t low, uint32_t high, uint32_t *out,
                     struct err *err)
{
    uint64_t number;
    if (span_u64(span_text(text), &number) != 0 || number < low || number > high)
        return err_set(err, ERR_CONFIG, "--%s must be between %u and %u", name, low, high);
    *out = (uint32_t)number;
    return 0;
}

#ifdef RUSTBOX_TEST_LAYERS
static int set_layer(const char *text, struct host_config *config, struct err *err)
{
    static const struct {
        const char *name;
        uint32_t bit;
    } layers[] = {
        {"seccomp", LAYER_SECCOMP}, {"caps", LAYER_CAPS},         {"uid", LAYER_UID},
        {"nnp", LAYER_NNP},         {"readonly", LAYER_READONLY}, {"network", LAYER_NETWORK},
        {"rlimits", LAYER_RLIMITS}, {"cgroup", LAYER_CGROUP},     {"hidepid", LAYER_HIDEPID},
        {"ipc", LAYER_IPC},         {"noexec", LAYER_NOEXEC},     {"memory", LAYER_MEMORY},
        {"view", LAYER_VIEW},       {"pid", LAYER_PID},           {"fds", LAYER_FDS},
        {"cpu", LAYER_CPU},         {"landlock", LAYER_LANDLOCK}, {"uts", LAYER_UTS},
        {"wall", LAYER_WALL},       {"output", LAYER_OUTPUT},     {"tmp", LAYER_TMP},
        {"fresh", LAYER_FRESH},     {"renew", LAYER_RENEW},       {"env", LAYER_ENV}};
    for (size_t i = 0; i < sizeof layers / sizeof layers[0]; i++)
        if (strcmp(text, layers[i].name) == 0) {
            config->layers_off |= layers[i].bit;
            return 0;
        }
    return err_set(err, ERR_CONFIG, "--disable-layer: no layer %s", text);
}
#endif

/* 1 = go on, 0 = done (help), -1 = error. */
static int parse(int argc, char **argv, struct host_config *config, bool *check, struct err *err)
{
    static const struct option options[] = {{"socket", 1, NULL, 's'},
                                            {"state-dir", 1, NULL, 'd'},
                                            {"slots", 1, NULL, 'n'},
                                            {"allow-user", 1, NULL, 'u'},
                                            {"group", 1, NULL, 'g'},
                                            {"permissive", 0, NULL, 'p'},
                                            {"warm", 1, NULL, 'w'},
                                            {"rest", 1, NULL, 'r'},
                                            {"cache-bytes", 1, NULL, 'b'},
                                            {"cache-entries", 1, NULL, 'e'},
                                            {"prebuilt", 1, NULL, 'P'},
                                            {"template", 1, NULL, 't'},
                                            {"template-jobs", 1, NULL, 'j'},
                                            {"template-minutes", 1, NULL, 'm'},
                                            {"check", 0, NULL, 'c'},
                                            {"help", 0, NULL, 'h'},
#ifdef RUSTBOX_TEST_LAYERS
                                            {"disable-layer", 1, NULL, 'l'},
#endif
                                            {NULL, 0, NULL, 0}};
    for (int option; (option = getopt_long(argc, argv, "", options, NULL)) != -1;) {
        int result = 0;
        if (option == 's')
            result = set_path("socket", optarg, config->socket_path, err);
        else if (option == 'd')
            result = set_path("state-dir", optarg, config->state_dir, err);
        else if (option == 'n')
            result = set_count("slots", optarg, 1, SLOTS_MAX, &config->slots, err);
        else if (option == 'u')
            result = find_id(optarg, false, &config->allowed_uid, err);
        else if (option == 'g')
            result = find_id(optarg, true, &config->socket_gid, err);
        else if (option == 'p')
            config->permissive = true;
        else if (option == 'w')
            result = set_count("warm", optarg, 0, WARM_MAX, &config->warm, err);
        else if (option == 'r')
            result = set_count("rest", optarg, 0, REST_MAX_MS, &config->rest_ms, err);
        else if (option == 'b')
            result = set_cache(optarg, NULL, &config->cache, err);
        else if (option == 'e')
            result = set_cache(NULL, optarg, &config->cache, err);
        else if (option == 'P')
            result = set_path("prebuilt", optarg, config->prebuilt, err);
        else if (option == 't')
            result = set_template(optarg, config, err);
        else if (option == 'j')
            result = set_count("template-jobs", optarg, 1, RENEW_MAX, &config->template_jobs, err);
        else if (option == 'm')
            result =
                set_count("template-minutes", optarg, 1, RENEW_MAX, &config->template_minutes, err);
        else if (option == 'c')
            *check = true;
#ifdef RUSTBOX_TEST_LAYERS
        else if (option == 'l')
            result = set_layer(optarg, config, err);
#endif
        else if (option == 'h')
            return fputs(help, stdout), 0;
        else
            result = err_set(err, ERR_CONFIG, "unknown option; see --help");
        if (result != 0)
            return -1;
    }
    return optind == argc ? 1 : err_set(err, ERR_CONFIG, "%s: not an option", argv[optind]);
}

static int watch_signals(struct loop *loop, struct watch *watch, struct err *err)
{
    sigset_t set;
    sigemptyset(&set);
    sigaddset(&set, SIGTERM);
    sigaddset(&set, SIGINT);
    if (sigprocmask(SIG_BLOCK, &set, NULL) != 0)
        return err_sys(err, ERR_SYSTEM, "block signals");
    int fd = signalfd(-1, &set, SFD_CLOEXEC | SFD_NONBLOCK);
    if (fd < 0)
        return err_sys(err, ERR_SYSTEM, "signalfd");
    *watch = (struct watch){.fd = -1, .ready = on_signal, .owner = loop};
    return loop_add(loop, watch, fd, EPOLLIN, err);
}

static int serve(struct host *host, int listen_fd, struct err *err)
{
    static struct server server;
    struct watch signals;
    if (watch_signals(&host->loop, &signals, err) != 0 ||
        server_open(&server, host, listen_fd, err) != 0)
        return -1;
    log_event(LOG_INFO, "ready", kv("socket", host->config.socket_path),
              kv("slots", host->config.slots), kv("cgroups", host->cgroups.backend->name),
              kv("instance", host->cgroups.instance), kv("permissive", host->config.permissive));
    int result = loop_run(&host->loop, err);
    if (result == 0)
        result = server_close(&server, err);
    log_event(LOG_INFO, "stopped", kv("phases", host->phases));
    return result;
}

static int run(const struct host_config *config, bool check, struct err *err)
{
    static struct host host;
    /* Before the mount namespace is left: the socket belongs to the host. */
    AUTO_FD int listen_fd = check ? -1 : server_listen(config, err);
    if (!check && listen_fd < 0)
        return -1;
    int result = host_open(config, &host, err);
    /* The launcher executes nothing from here on, so the set is of no use to it; every payload
     * inherits it empty. */
    if (result == 0 && !(config->layers_off & LAYER_CAPS) && caps_drop_bounding() != 0)
        result = err_sys(err, ERR_CONFIG, "empty the bounding set (needs CAP_SETPCAP)");
    if (result == 0)
        result = trial_run(&host, check, err);
    if (result == 0 && !check)
        result = serve(&host, listen_fd, err);
    host_close(&host);
    if (!check)
        unlink(config->socket_path);
    return result;
}

/* Else the first files that are opened would get these numbers. */
static void hold_standard_descriptors(void)
{
    int fd;
    do
        fd = open("/dev/null", O_RDWR);
    while (fd >= 0 && fd <= STDERR_FILENO);
    cleanup_fd(&fd);
}

int main(int argc, char **argv)
{
    struct host_config config = {.rest_ms = 3,
                                 .socket_path = "/run/rustbox/box.sock",
                                 .state_dir = "/run/rustbox-box",
                                 .cache = {.bytes = CACHE_BYTES_DEFAULT,
                                           .project_entries = CACHE_PROJECT_ENTRIES_DEFAULT,
                                           .age_ns = CACHE_AGE_NS},
                                 .template_python = template_built(),
                                 .template_jobs = 1000,
                                 .template_minutes = 10};
    struct err err;
    bool check = false;
    hold_standard_descriptors();
    log_open("rustbox-box", LOG_INFO, STDERR_FILENO, &clock_system);
    int parsed = parse(argc, argv, &config, &check, &err);
    if (parsed == 0)
        return 0;
    if (parsed > 0 && run(&config, check, &err) == 0)
        return 0;
    log_event(LOG_FATAL, "start_failed", kv_err(&err));
    return 1;
}
