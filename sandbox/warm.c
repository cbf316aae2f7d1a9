/* The pool behind warm.h: a row for each language. A sandbox that dies while it waits is logged,
 * and its row is filled again only after the next job of that language. */
#include "sandbox/warm.h"
#include "lib/base/cleanup.h"
#include "lib/log/log.h"
#include "sandbox/input.h"
#include "sandbox/phase_impl.h"
#include "sandbox/template.h"
#include <fcntl.h>

struct warm {
    struct phase phase; /* first: the taker frees it by this address */
    struct evidence ev;
    struct warm_pool *pool; /* the host's may be put aside (benchmarks) */
    int stdin_file;
    enum language language;
};

struct warm_row {
    bool wanted;
    struct warm *kept[WARM_MAX];
};

struct warm_pool {
    struct warm_row rows[LANGUAGE_COUNT];
    unsigned count;
    bool closing;
};

int warm_open(struct host *host, struct err *err)
{
    if (host->config.warm == 0)
        return 0;
    host->warm = calloc(1, sizeof *host->warm);
    return host->warm ? 0 : err_set(err, ERR_NO_MEMORY, "no memory for the warm tier");
}

static void unlist(struct warm_pool *pool, const struct warm *warm)
{
    struct warm_row *row = &pool->rows[warm->language];
    for (size_t i = 0; i < WARM_MAX; i++)
        if (row->kept[i] == warm)
            row->kept[i] = NULL;
    pool->count--;
}

/* It ended without a job: killed, or something is wrong with it. */
static void on_end(struct phase *phase)
{
    struct warm *warm = phase->owner;
    struct host *host = phase->host;
    struct warm_pool *pool = warm->pool;
    unlist(pool, warm);
    if (!phase->pe->actions) {
        pool->rows[warm->language].wanted = false;
        log_event(LOG_WARN, "warm_sandbox_died", kv("language", language_name(warm->language)),
                  kv("why", warm->ev.setup_error));
    }
    phase_release(phase);
    cleanup_fd(&warm->stdin_file);
    free(warm);
    host->loop.stop |= pool->closing && pool->count == 0;
}

static int make_input(struct warm *warm, int *stdin_fd, struct err *err)
{
    warm->stdin_file = input_new(err);
    if (warm->stdin_file < 0)
        return -1;
    *stdin_fd = input_open(warm->stdin_file, err);
    return *stdin_fd >= 0 ? 0 : -1;
}

static int prepare(struct host *host, enum language language, struct warm **kept, struct err *err)
{
    struct warm *warm = calloc(1, sizeof *warm);
    AUTO_FD int stdin_fd = -1;
    if (!warm)
        return err_set(err, ERR_NO_MEMORY, "no memory for a warm sandbox");
    *warm = (struct warm){.pool = host->warm, .language = language, .stdin_file = -1};
    warm->ev.setup_ok = true;
    warm->phase.host = host;
    warm->phase.ev = &warm->ev;
    warm->phase.pe = &warm->ev.run;
    warm->phase.owner = warm;
    warm->phase.done = on_end;
    warm->phase.tmp_mount = -1;
    if (make_input(warm, &stdin_fd, err) == 0) {
        struct phase_start start = {.language = language,
                                    .limits = limits_run(language, PROFILE_JUDGE),
                                    .stdin_fd = stdin_fd,
                                    .files = {&host->null_fd, &host->null_fd}};
        start.template = template_ready(host, language, &start.limits);
        if (phase_prepare(&warm->phase, &start, err) == 0) {
            *kept = warm;
            host->warm->count++;
            return 0;
        }
        phase_release(&warm->phase);
    }
    cleanup_fd(&warm->stdin_file);
    free(warm);
    return -1;
}

bool warm_fill(struct host *host)
{
    struct err err;
    for (int i = 0; i < LANGUAGE_COUNT && !host->warm->closing && !remains_full(host); i++) {
        struct warm_row *row = &host->warm->rows[i];
        for (size_t k = 0; row->wanted && k < host->config.warm; k++) {
            if (row->kept[k])
                continue;
            if (prepare(host, (enum language)i, &row->kept[k], &err) == 0)
                return true;
            row->wanted = false;
            log_event(LOG_WARN, "warm_sandbox_failed", kv_err(&err));
        }
    }
    return false;
}

struct phase *warm_take(struct host *host, enum language language, const struct limits *limits,
                        int *stdin_file)
{
    struct warm_pool *pool = host->warm;
    if (!pool)
        return NULL;
    struct warm_row *row = &pool->rows[language];
    struct warm *found = NULL;
    row->wanted = true;
    host_has_work(host);
    for (size_t i = 0; i < WARM_MAX && !found; i++)
        if (row->kept[i] && phase_ready(&row->kept[i]->phase) &&
            phase_may_tighten(&row->kept[i]->phase.spec.limits, limits))
            found = row->kept[i];
    if (!found)
        return NULL;
    unlist(pool, found);
    *stdin_file = found->stdin_file;
    return &found->phase;
}

void warm_close(struct host *host)
{
    struct warm_pool *pool = host->warm;
    struct err err;
    if (!pool)
        return;
    pool->closing = true;
    for (int i = 0; i < LANGUAGE_COUNT; i++)
        for (size_t k = 0; k < WARM_MAX; k++)
            if (pool->rows[i].kept[k])
                phase_kill(&pool->rows[i].kept[k]->phase, ACTION_KILL_CANCEL);
    host->loop.stop = pool->count == 0;
    if (loop_run(&host->loop, &err) != 0)
        log_event(LOG_ERROR, "warm_close_failed", kv_err(&err));
    free(pool);
    host->warm = NULL;
}
