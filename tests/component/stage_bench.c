/* The bench of admit and persist (stage_bench.h). */
#include "stage_bench.h"
#include "lib/crypto/crypto.h"
#include <fcntl.h>
#include <ftw.h>
#include <sys/stat.h>
#include <unistd.h>

struct bench bench;

/* ---- outbox: remembers ---- */

int outbox_add(struct outbox *out, enum topic topic, const struct envelope *env, struct span value,
               struct err *err)
{
    (void)err;
    struct output *item = &out->items[out->count++];
    *item = (struct output){.topic = topic, .env = *env};
    buf_init(&item->value, RECORD_BYTES_MAX);
    buf_add(&item->value, value.data, value.len);
    return 0;
}

int outbox_add_at(struct outbox *out, enum topic topic, int32_t partition,
                  const struct envelope *env, struct span value, struct err *err)
{
    (void)partition;
    return outbox_add(out, topic, env, value, err);
}

int outbox_dead(struct outbox *out, const struct record *rec, const char *why, struct err *err)
{
    (void)err;
    (void)why;
    struct output *item = &out->items[out->count++];
    *item = (struct output){.topic = TOPIC_dead, .dead = true};
    buf_init(&item->value, RECORD_BYTES_MAX);
    buf_add(&item->value, rec->value.data, rec->value.len);
    return 0;
}

size_t bench_dead(void)
{
    size_t dead = 0;
    for (size_t i = 0; i < bench.out.count; i++)
        dead += bench.out.items[i].dead;
    return dead;
}

static void forget_outputs(void)
{
    for (size_t i = 0; i < bench.out.count; i++)
        buf_done(&bench.out.items[i].value);
    bench.out.count = 0;
}

/* ---- set-up ---- */

static void secret_file(const char *name, uint8_t byte)
{
    char path[128];
    struct secret secret;
    snprintf(path, sizeof path, "%s/%s", bench.dir, name);
    memset(secret.bytes, byte, sizeof secret.bytes);
    int fd = open(path, O_WRONLY | O_CREAT | O_EXCL, 0600);
    assert_true(fd >= 0 && write(fd, secret.bytes, 32) == 32 && close(fd) == 0);
}

static void setting(const char *name, const char *before, const char *value, const char *after)
{
    char text[256];
    snprintf(text, sizeof text, "%s%s%s", before, value, after);
    assert_int_equal(setenv(name, text, 1), 0);
}

int bench_setup(void **state)
{
    (void)state;
    struct err err;
    const char *host = getenv("PGHOST");
    char path[128];
    if (!host) {
        fprintf(stderr, "skipped: run through tests/integration/with_postgres\n");
        exit(77);
    }
    snprintf(bench.dir, sizeof bench.dir, "/tmp/rbstage.XXXXXX");
    assert_non_null(mkdtemp(bench.dir));
    secret_file("master", 1);
    secret_file("signing", 2);
    secret_file("webhooks", 3);
    snprintf(path, sizeof path, "%s/keys", bench.dir);
    assert_int_equal(mkdir(path, 0700), 0);
    setting("RUSTBOX_KEYSTORE_DIR", "", bench.dir, "/keys");
    setting("RUSTBOX_SECRETS_MASTER_FILE", "", bench.dir, "/master");
    setting("RUSTBOX_SECRETS_SIGNING_FILE", "", bench.dir, "/signing");
    setting("RUSTBOX_SECRETS_WEBHOOKS_FILE", "", bench.dir, "/webhooks");
    setting("RUSTBOX_DB_URL_RELAY", "host=", host, " dbname=rustbox user=rustbox_relay");
    setting("RUSTBOX_DB_URL_ADMIT", "host=", host, " dbname=rustbox user=rustbox_admit");
    setting("RUSTBOX_DB_URL_PERSIST", "host=", host, " dbname=rustbox user=rustbox_persist");
    assert_ok(config_load(NULL, &bench.config, &err), err);
    bench.clock = clock_system;
    bench.rnd = rnd_system();
    bench.env =
        (struct stage_env){.config = bench.config, .clock = &bench.clock, .rnd = &bench.rnd};
    uint8_t secret[KEY_BYTES];
    memset(secret, 2, sizeof secret);
    signing_init(&bench.signing, secret);
    assert_ok(keystore_open(path, KEYSTORE_CREATE, &bench.rnd, &bench.ks, &err), err);
    char conninfo[128];
    snprintf(conninfo, sizeof conninfo, "host=%s dbname=rustbox user=super", host);
    struct db_config config = {.conninfo = conninfo,
                               .application = "bench",
                               .statement_timeout_ms = 10000,
                               .connect_timeout_ms = 5000,
                               .look_ups = true};
    assert_ok(db_open(&config, &bench.sql, &err), err);
    assert_ok(db_offsets_create(bench.sql, "submissions", 24, &err), err);
    assert_ok(db_offsets_create(bench.sql, "verdicts", 24, &err), err);
    assert_ok(db_offsets_create(bench.sql, "attempts", 16, &err), err);
    return 0;
}

static int remove_one(const char *path, const struct stat *st, int type, struct FTW *at)
{
    (void)st, (void)type, (void)at;
    return remove(path);
}

int bench_teardown(void **state)
{
    bench_clean(state);
    db_close(bench.sql);
    signing_done(&bench.signing);
    keystore_close(bench.ks);
    config_free(bench.config);
    nftw(bench.dir, remove_one, 16, FTW_DEPTH | FTW_PHYS);
    return 0;
}

int bench_clean(void **state)
{
    (void)state;
    struct err err;
    forget_outputs();
    for (size_t i = 0; i < bench.lines; i++) {
        buf_done(&bench.log[i].value);
        arena_done(&bench.log[i].arena);
    }
    bench.lines = 0;
    bench.retention_class = RETENTION_CLASS_DEFAULT;
    bench.webhook_url = NULL;
    memset(bench.next, 0, sizeof bench.next);
    assert_ok(
        db_script(bench.sql,
                  "TRUNCATE rustbox.submissions, rustbox.evidence, rustbox.usage, rustbox.outbox, "
                  "rustbox.webhook_endpoints, rustbox.webhook_attempts, rustbox.api_keys, "
                  "rustbox.projects; "
                  "UPDATE rustbox.consumer_offsets SET next_offset = 0; "
                  "INSERT INTO rustbox.projects (id, name, plan, created_at) VALUES "
                  "('00000000-0000-7000-8000-000000000001', 'trial', 'trial', now()), "
                  "('00000000-0000-7000-8000-000000000002', 'free', 'unlimited', now())",
                  &err),
        err);
    return 0;
}

struct uuid bench_project(unsigned number)
{
    struct uuid id = {{0}};
    id.bytes[6] = 0x70;
    id.bytes[8] = 0x80;
    id.bytes[15] = (uint8_t)number;
    return id;
}

/* ---- records ---- */

void bench_headers(struct line *line)
{
    struct header headers[ENVELOPE_HEADERS_MAX];
    arena_reset(&line->arena);
    line->rec.header_count = envelope_encode(&line->env, &line->arena, headers);
    for (size_t i = 0; i < line->rec.header_count; i++)
        line->rec.headers[i] = (struct bus_header){headers[i].name, headers[i].value};
    line->rec.value = buf_span(&line->value);
}

void bench_sign_as(struct line *line, const char *signer)
{
    struct err err;
    assert_ok(signing_sign(&bench.signing, signer, buf_span(&line->value), &line->env, &err), err);
    bench_headers(line);
}

void bench_sign(struct line *line)
{
    bench_sign_as(line, line->env.type == RECORD_verdict   ? "execute"
                        : line->env.type == RECORD_attempt ? "deliver"
                                                           : "gateway");
}

void bench_place(struct line *line)
{
    enum topic topic = line->env.type == RECORD_verdict   ? TOPIC_verdicts
                       : line->env.type == RECORD_attempt ? TOPIC_attempts
                                                          : TOPIC_submissions;
    line->rec.topic = topic_spec(topic)->name;
    line->rec.partition = envelope_partition(&line->env, topic);
    line->rec.offset = bench.next[line->rec.partition]++;
    line->rec.timestamp_ms = uuid_ms(&line->env.id);
    bench_headers(line);
}

static struct line *append(const struct envelope *env, enum record_type content, struct span plain)
{
    struct err err;
    struct line *line = &bench.log[bench.lines++];
    *line = (struct line){.env = *env};
    arena_init(&line->arena, 65536);
    buf_init(&line->value, RECORD_BYTES_MAX);
    struct key_id key = {env->project, env->retention_class, uuid_day(&env->id), env->key_number};
    BUF_AUTO struct buf aad;
    buf_init(&aad, 256);
    envelope_aad(env, content, &aad);
    assert_ok(keystore_seal(bench.ks, &key, &env->id, buf_span(&aad), plain, &line->value, &err),
              err);
    return line;
}

static struct line *append_submission(struct envelope *env, const char *code)
{
    struct err err;
    struct submission sub = {.language = env->language,
                             .profile = env->profile,
                             .code = span_text(code),
                             .stdin_data = SPAN_LIT("")};
    if (bench.webhook_url) {
        sub.webhook_url = span_text(bench.webhook_url);
        sub.webhook_secret = SPAN_LIT("a secret of v1");
    }
    BUF_AUTO struct buf plain;
    buf_init(&plain, RECORD_BYTES_MAX);
    assert_ok(submission_pack(&sub, &plain, &err), err);
    if (env->keyed)
        sha256(span_text(code), env->fingerprint);
    struct line *line = append(env, RECORD_submission, buf_span(&plain));
    bench_sign(line);
    bench_place(line);
    return line;
}

struct line *bench_submit(unsigned project, const char *key, const char *code)
{
    struct err err;
    struct envelope env = {.type = RECORD_submission,
                           .version = 1,
                           .retention_class = bench.retention_class,
                           .origin = "api",
                           .policy = "2026-01"};
    env.id = uuid_v7(&bench.clock, &bench.rnd);
    env.project = bench_project(project);
    env.times.received = env.times.produced = uuid_ms(&env.id) * 1000000;
    struct key_id id;
    assert_ok(keystore_current(bench.ks, &env.project, bench.retention_class, uuid_day(&env.id),
                               &id, &err),
              err);
    env.key_number = id.number;
    env.keyed = key != NULL;
    if (key)
        sha256(span_text(key), env.key_hash);
    return append_submission(&env, code);
}

struct line *bench_copy(const struct line *of, const char *code)
{
    struct envelope env = of->env;
    return append_submission(&env, code);
}

struct line *bench_verdict(const struct line *of, int exit_code, uint64_t cpu_ns)
{
    struct err err;
    struct envelope env = of->env;
    struct result *result = calloc(1, sizeof *result);
    assert_non_null(result);
    env.type = RECORD_verdict;
    snprintf(env.origin, sizeof env.origin, "execute");
    result->id = env.id;
    result->has_evidence = true;
    result->evidence.setup_ok = true;
    result->evidence.run = (struct phase_evidence){.ran = true,
                                                   .reported = true,
                                                   .exited = true,
                                                   .exit_code = exit_code,
                                                   .cpu_ns = cpu_ns,
                                                   .group_empty = true};
    result->verdict =
        (struct decision){.verdict = exit_code ? VERDICT_RE : VERDICT_AC,
                          .cause = exit_code ? CAUSE_re_nonzero_exit : CAUSE_normal_exit,
                          .has_exit_code = true,
                          .exit_code = exit_code};
    result->times = env.times;
    result->started_ns = result->completed_ns = env.times.received;
    result->out = SPAN_LIT("out");
    BUF_AUTO struct buf plain;
    buf_init(&plain, RECORD_BYTES_MAX);
    assert_ok(result_pack(result, &plain, &err), err);
    free(result);
    struct line *line = append(&env, RECORD_verdict, buf_span(&plain));
    bench_sign(line);
    line->rec.offset = 0;
    bench_place(line);
    return line;
}

struct line *bench_take(const struct output *written)
{
    struct line *line = &bench.log[bench.lines++];
    *line = (struct line){.env = written->env};
    arena_init(&line->arena, 65536);
    buf_init(&line->value, RECORD_BYTES_MAX);
    buf_add(&line->value, written->value.data, written->value.len);
    bench_place(line);
    return line;
}

struct line *bench_attempt(const struct envelope *message, const struct webhook_attempt *attempt)
{
    struct err err;
    struct line *line = &bench.log[bench.lines++];
    *line = (struct line){.env = *message};
    arena_init(&line->arena, 65536);
    buf_init(&line->value, RECORD_BYTES_MAX);
    line->env.type = RECORD_attempt;
    line->env.retention_class = 0;
    snprintf(line->env.origin, sizeof line->env.origin, "deliver");
    assert_ok(webhook_attempt_encode(attempt, &line->value, &err), err);
    bench_sign(line);
    bench_place(line);
    return line;
}

/* ---- running and looking ---- */

int bench_run(const struct stage *stage, void *self, size_t from, size_t to,
              const struct mark *marks, size_t mark_count, struct err *err)
{
    struct record *records = calloc(to - from + 1, sizeof *records);
    assert_non_null(records);
    for (size_t i = from; i < to; i++)
        records[i - from] = bench.log[i].rec;
    struct batch batch = {records, to - from, marks, mark_count};
    forget_outputs();
    int rc = stage->handle(self, &batch, &bench.out, err);
    free(records);
    return rc;
}

/* A statement is known by its address: each call needs one of its own that stays. */
int64_t bench_sql(const char *sql)
{
    static struct query {
        char name[16], text[600];
        struct db_statement statement;
    } queries[256];
    static unsigned number;
    struct err err;
    struct query *query = &queries[number];
    assert_true(number + 1 < sizeof queries / sizeof queries[0]);
    snprintf(query->name, sizeof query->name, "q%u", number++);
    snprintf(query->text, sizeof query->text, "SELECT (%s)::bigint", sql);
    query->statement = (struct db_statement){query->name, query->text};
    DB_RESULT_AUTO rows = {0};
    assert_ok(db_exec(bench.sql, &query->statement, NULL, 0, &rows, &err), err);
    return db_is_null(&rows, 0, 0) ? -1 : db_get_int(&rows, 0, 0);
}

size_t bench_outputs(const struct line *line, enum topic topic)
{
    size_t found = 0;
    for (size_t i = 0; i < bench.out.count; i++)
        found +=
            bench.out.items[i].topic == topic && uuid_eq(&bench.out.items[i].env.id, &line->env.id);
    return found;
}

enum cause bench_cause(const struct line *line)
{
    struct err err;
    for (size_t i = 0; i < bench.out.count; i++) {
        struct output *item = &bench.out.items[i];
        if (item->topic != TOPIC_verdicts || !uuid_eq(&item->env.id, &line->env.id))
            continue;
        struct key_id key = {item->env.project, item->env.retention_class, uuid_day(&item->env.id),
                             item->env.key_number};
        struct result_summary summary;
        BUF_AUTO struct buf aad, plain;
        buf_init(&aad, 256);
        buf_init(&plain, RECORD_BYTES_MAX);
        envelope_aad(&item->env, RECORD_verdict, &aad);
        assert_ok(keystore_open_record(bench.ks, &key, &item->env.id, buf_span(&aad),
                                       buf_span(&item->value), &plain, &err),
                  err);
        assert_ok(result_summary(buf_span(&plain), &summary, &err), err);
        return summary.cause;
    }
    return CAUSE_COUNT;
}
