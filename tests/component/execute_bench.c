/* See execute_bench.h. */
#include "tests/component/execute_bench.h"
#include "consumers/stages.h"
#include "lib/crypto/crypto.h"
#include <ftw.h>
#include <sys/stat.h>
#include <unistd.h>

struct err err;
struct config *config;
struct keystore *keys;
struct rnd rnd;
struct signing signing;
struct runtime *rt;
char dir[] = "/tmp/rustbox-execute.XXXXXX";
int64_t hurry_ns; /* the runtime's clock runs ahead by this much */

int64_t wall(const struct clock *clock)
{
    (void)clock;
    return clock_system.wall_ns(&clock_system) + hurry_ns;
}

static int64_t mono(const struct clock *clock)
{
    (void)clock;
    return clock_system.mono_ns(&clock_system) + hurry_ns;
}

/* ---- a job in the log ---- */
struct envelope envelope_of(const struct sample *sample, struct key_id *key)
{
    struct envelope env = {.type = RECORD_job,
                           .version = 1,
                           .id = sample->id,
                           .project = sample->project,
                           .retention_class = 30,
                           .language = sample->language,
                           .lane = sample->lane};

    assert_ok(keystore_current(keys, &sample->project, 30, uuid_day(&sample->id), key, &err), err);
    env.key_number = key->number;
    snprintf(env.origin, sizeof env.origin, "admit");
    snprintf(env.policy, sizeof env.policy, "1");
    env.times.received = env.times.produced = wall(NULL);
    return env;
}

void write_job(const struct sample *sample)
{
    struct key_id key;
    struct envelope env = envelope_of(sample, &key);
    struct submission sub = {.language = sample->language,
                             .code = span_text(sample->code),
                             .cases = sample->cases,
                             .case_count = sample->case_count,
                             .stop_on_fail = sample->stop_on_fail};
    enum topic topic = sample->lane == LANE_BATCH ? TOPIC_jobs_batch : TOPIC_jobs_interactive;
    struct header headers[ENVELOPE_HEADERS_MAX];
    struct arena arena;
    BUF_AUTO struct buf plain, sealed, aad;

    buf_init(&plain, RECORD_BYTES_MAX);
    buf_init(&sealed, RECORD_BYTES_MAX);
    buf_init(&aad, 256);
    arena_init(&arena, 1 << 20);
    envelope_aad(&env, RECORD_submission, &aad);
    assert_ok(submission_pack(&sub, &plain, &err), err);
    assert_ok(keystore_seal(keys, &key, &env.id, buf_span(&aad), buf_span(&plain), &sealed, &err),
              err);
    struct span value = sample->replace_value ? sample->value : buf_span(&sealed);
    assert_ok(signing_sign(&signing, "admit", value, &env, &err), err);
    if (sample->forge)
        sample->forge(&env, &value);
    size_t count = envelope_encode(&env, &arena, headers);
    assert_true(count > 0);
    bus_memory_append(topic, envelope_partition(&env, topic), SPAN_LIT("k"),
                      (const struct bus_header *)headers, count, value);
    arena_done(&arena);
}

struct sample sample(const char *code, uint8_t project, enum lane lane)
{
    return (struct sample){.id = uuid_v7_at(wall(NULL) / 1000000, &rnd),
                           .project = {{project, 0, 0, 0, 0, 0, 0x70, 0, 0x80}},
                           .code = code,
                           .lane = lane,
                           .language = LANGUAGE_python};
}

struct sample submit(const char *code)
{
    struct sample job = sample(code, 1, LANE_INTERACTIVE);

    write_job(&job);
    return job;
}

/* ---- what came of it ---- */
size_t verdicts_of(const struct uuid *id, struct result *out, struct arena *arena)
{
    const struct record *rec;
    size_t count = 0;

    for (size_t i = 0; (rec = bus_memory_get(TOPIC_verdicts, i)); i++) {
        struct envelope env;
        bool has_id;
        BUF_AUTO struct buf plain;
        buf_init(&plain, RECORD_BYTES_MAX);
        assert_true(stage_envelope(rec, &env, &has_id));
        if (!uuid_eq(&env.id, id))
            continue;
        assert_int_equal(env.type, RECORD_verdict);
        assert_null(signing_distrust(&signing, TOPIC_verdicts, &env, &rec->value));
        assert_int_equal(rec->partition, envelope_partition(&env, TOPIC_verdicts));
        assert_ok(stage_open_value(keys, &env, RECORD_verdict, rec->value, &plain, &err), err);
        struct span kept = arena_copy(arena, buf_span(&plain));
        assert_ok(result_unpack(kept, arena, out, &err), err);
        count++;
    }
    return count;
}

void expect_verdict(const struct sample *job, enum cause cause)
{
    struct result *result = calloc(1, sizeof *result);
    struct arena arena;

    arena_init(&arena, 64 << 20);
    assert_int_equal(verdicts_of(&job->id, result, &arena), 1);
    if (result->verdict.cause != cause)
        fail_msg("%s: %s, wanted is %s", job->code, cause_name(result->verdict.cause),
                 cause_name(cause));
    if (cause == CAUSE_normal_exit) {
        assert_true(span_is(result->out, job->code));
        assert_true(result->has_evidence);
        assert_true(result->times.dequeued > 0 && result->times.received > 0);
    }
    arena_done(&arena);
    free(result);
}

bool everything_committed(void)
{
    static const enum topic topics[] = {TOPIC_jobs_interactive, TOPIC_jobs_batch};
    struct bus_config none = {0};
    int64_t ends[24], committed[24];

    for (size_t t = 0; t < 2; t++) {
        const char *name = topic_spec(topics[t])->name;
        assert_ok(producer_end_offsets(NULL, name, 24, ends, 0, &err), err);
        assert_ok(bus_committed(&none, "", name, 24, committed, 0, &err), err);
        for (int p = 0; p < 24; p++)
            if (ends[p] > 0 && committed[p] != ends[p])
                return false;
    }
    return true;
}

/* ---- the frame ---- */
void open_runtime(void)
{
    struct runtime_options options = {
        &execute_stage, config, "test-1", {wall, mono, 0, 0}, rnd_seeded(2)};

    assert_ok(runtime_open(&options, &rt, &err), err);
}

void turns(int count)
{
    while (count-- > 0)
        runtime_turn(rt, 4);
}

void run_until_committed(void)
{
    for (int i = 0; i < 3000 && !everything_committed(); i++) {
        box_memory_finish_all();
        runtime_turn(rt, 4);
    }
    assert_true(everything_committed());
}

void close_runtime(void)
{
    runtime_stop(rt);
    for (int i = 0; i < 3000 && runtime_turn(rt, 4); i++)
        ;
    runtime_close(rt);
    assert_int_equal(bus_memory_open_records(), 0);
}

int before(void **state)
{
    char path[128];

    (void)state;
    snprintf(path, sizeof path, "%s/journal/test-1.journal", dir);
    unlink(path);
    bus_memory_reset();
    box_memory_reset(2);
    hurry_ns = 0;
    open_runtime();
    return 0;
}

int execute_bench_open(void)
{
    char path[128];

    rnd = rnd_system();
    if (!mkdtemp(dir))
        return -1;
    snprintf(path, sizeof path, "%s/keys", dir);
    mkdir(path, 0700);
    setenv("RUSTBOX_KEYSTORE_DIR", path, 1);
    if (keystore_open(path, KEYSTORE_CREATE, &rnd, &keys, &err) < 0)
        fail_msg("%s", err.message);
    snprintf(path, sizeof path, "%s/journal", dir);
    mkdir(path, 0700);
    setenv("RUSTBOX_EXECUTE_JOURNAL_DIR", path, 1);
    snprintf(path, sizeof path, "%s/signing", dir);
    FILE *file = fopen(path, "wx");
    uint8_t secret[KEY_BYTES];
    memset(secret, 7, sizeof secret);
    if (!file || fwrite(secret, sizeof secret, 1, file) != 1 || fclose(file) || chmod(path, 0600))
        return -1;
    setenv("RUSTBOX_SECRETS_SIGNING_FILE", path, 1);
    signing_init(&signing, secret);
    if (config_load(NULL, &config, &err) < 0)
        return -1;
    return 0;
}

static int remove_one(const char *path, const struct stat *st, int type, struct FTW *at)
{
    (void)st, (void)type, (void)at;
    return remove(path);
}

void execute_bench_close(void)
{
    keystore_close(keys);
    signing_done(&signing);
    config_free(config);
    nftw(dir, remove_one, 16, FTW_DEPTH | FTW_PHYS);
}
