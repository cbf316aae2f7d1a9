/* schemas: topics and partitions, the envelope's headers, signed text and AAD, the payload's bytes.
 * The vectors are the contract: a change of one makes old logs unreadable. */
#include "lib/base/enc.h"
#include "schemas/envelope.h"
#include "schemas/errors.h"
#include "schemas/payload.h"
#include "schemas/plans.h"
#include "tests/unit/unit.h"

static struct envelope sample(void)
{
    struct envelope env = {
        .type = RECORD_submission,
        .version = 1,
        .retention_class = 30,
        .key_number = UINT64_C(0x4f3a0000000000ff),
        .keyed = true,
        .language = LANGUAGE_cpp,
        .profile = PROFILE_AGENT,
        .lane = LANE_BATCH,
        .attempt = 3,
        .not_before_ms = 1795464900123,
        .origin = "api",
        .policy = "2026-01",
        .traceparent = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01",
        .times = {.received = INT64_C(1795464900123456789), .produced = 5},
        .is_signed = true,
        .signer = "gateway",
    };
    assert_int_equal(uuid_parse(SPAN_LIT("01a209bd-d7db-7000-8000-00000000002a"), &env.id), 0);
    assert_int_equal(uuid_parse(SPAN_LIT("01a0aaaa-0000-7000-9000-0000000000ff"), &env.project), 0);
    memset(env.key_hash, 0x11, sizeof env.key_hash);
    memset(env.fingerprint, 0x22, sizeof env.fingerprint);
    memset(env.digest, 0x33, sizeof env.digest);
    memset(env.signature, 0x44, sizeof env.signature);
    return env;
}

#define ONES "1111111111111111111111111111111111111111111111111111111111111111"
#define TWOS "2222222222222222222222222222222222222222222222222222222222222222"
#define THREES "3333333333333333333333333333333333333333333333333333333333333333"
#define FOURS "4444444444444444444444444444444444444444444444444444444444444444"

static const char golden_signed[] =
    "type=submission/1\n"
    "id=01a209bd-d7db-7000-8000-00000000002a\n"
    "day=2026-11-23\n"
    "project=01a0aaaa-0000-7000-9000-0000000000ff\n"
    "key=30-4f3a0000000000ff\n"
    "key-hash=" ONES "\n"
    "fingerprint=" TWOS "\n"
    "language=cpp\n"
    "profile=agent\n"
    "lane=batch\n"
    "attempt=3\n"
    "not-before=1795464900123\n"
    "origin=api\n"
    "policy=2026-01\n"
    "traceparent=00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01\n"
    "times=1795464900123456789,5,0,0,0\n"
    "digest=" THREES "\n"
    "signer=gateway\n";

static void topics_are_the_table(void **state)
{
    (void)state;
    enum topic topic = TOPIC_COUNT;
    for (unsigned i = 0; i < TOPIC_COUNT; i++) {
        assert_int_equal(topic_find(span_text(topic_spec((enum topic)i)->name), &topic), 0);
        assert_int_equal(topic, i);
        assert_true(topic_spec((enum topic)i)->partitions > 0);
        assert_true(topic_spec((enum topic)i)->retention_ms > 0);
    }
    assert_int_equal(topic_find(SPAN_LIT("submission"), &topic), -1);
    assert_int_equal(topic_find(SPAN_LIT(""), &topic), -1);
    const struct topic_spec *spec = topic_spec(TOPIC_submissions);
    assert_int_equal(spec->partitions, 24);
    assert_true(spec->keep_payload && spec->durable && !spec->compact);
    assert_true(spec->retention_ms == INT64_C(31) * 86400000);
    assert_true(topic_spec(TOPIC_endpoints)->compact);
    assert_false(topic_spec(TOPIC_progress)->durable);
    assert_true(topic_spec(TOPIC_progress)->retention_ms == 3600000);
}

static void partitions_are_slices_of_time(void **state)
{
    (void)state;
    struct rnd rnd = rnd_seeded(7);
    /* (ms >> 4) mod 24: by hand, 1795464900123 >> 4 = 112216556257, mod 24 = 1 */
    static const struct {
        int64_t ms;
        int32_t partition;
    } known[] = {{0, 0},
                 {15, 0},
                 {16, 1},
                 {16 * 24, 0},
                 {16 * 23 + 7, 23},
                 {1795464900123, 1},
                 {1795464900127, 1},
                 {1795464900128, 2}};
    for (size_t i = 0; i < COUNT_OF(known); i++) {
        struct uuid id = uuid_v7_at(known[i].ms, &rnd);
        assert_int_equal(partition_of_id(&id, 24), known[i].partition);
    }
    uint8_t hash[32] = {0x80, 0, 0, 0, 0, 0, 0, 5, 0xff}; /* (2^63 + 5) mod 24 = 13 */
    assert_int_equal(partition_of_key(hash, 24), 13);
    assert_int_equal(partition_of_key(hash, 1), 0);
    struct envelope env = sample();
    memcpy(env.key_hash, hash, 32);
    assert_int_equal(envelope_partition(&env, TOPIC_submissions), 13);
    assert_int_equal(envelope_partition(&env, TOPIC_verdicts), partition_of_id(&env.id, 24));
    assert_int_equal(envelope_partition(&env, TOPIC_control), partition_of_id(&env.project, 6));
    env.keyed = false;
    assert_int_equal(envelope_partition(&env, TOPIC_submissions), partition_of_id(&env.id, 24));
}

static void headers_are_golden(void **state)
{
    (void)state;
    struct arena arena;
    arena_init(&arena, 100000);
    struct envelope env = sample();
    struct header headers[ENVELOPE_HEADERS_MAX];
    size_t count = envelope_encode(&env, &arena, headers);
    assert_int_equal(count, 19);
    BUF_AUTO struct buf text = {.max = 10000};
    for (size_t i = 0; i < count; i++)
        buf_printf(&text, "%s=%s\n", headers[i].name, (const char *)headers[i].value.data);
    BUF_AUTO struct buf wanted = {.max = 10000};
    buf_printf(&wanted, "%ssignature=" FOURS "\n", golden_signed);
    assert_string_equal(buf_text(&text), buf_text(&wanted));

    struct err err;
    BUF_AUTO struct buf covered = {.max = 10000};
    assert_ok(envelope_signed_text(&env, &covered, &err), err);
    assert_string_equal(buf_text(&covered), golden_signed);
    buf_clear(&covered);
    env.is_signed = false; /* the text to sign is the same before there is a signature */
    assert_ok(envelope_signed_text(&env, &covered, &err), err);
    assert_string_equal(buf_text(&covered), golden_signed);
    env.signer[0] = '\0';
    assert_err(envelope_signed_text(&env, &covered, &err), err, ERR_BUG);

    BUF_AUTO struct buf aad = {.max = 1000};
    envelope_aad(&env, RECORD_verdict, &aad);
    assert_string_equal(buf_text(&aad), "rustbox/1\nverdict\n01a209bd-d7db-7000-8000-00000000002a\n"
                                        "01a0aaaa-0000-7000-9000-0000000000ff\n2026-11-23\n");
    struct arena tiny;
    arena_init(&tiny, 40);
    assert_int_equal(envelope_encode(&env, &tiny, headers), 0);
    arena_done(&tiny);
    arena_done(&arena);
}

static void assert_same(const struct envelope *a, const struct envelope *b)
{
    struct err err;
    struct envelope x = *a, y = *b;
    BUF_AUTO struct buf p = {.max = 10000}, q = {.max = 10000};
    memcpy(x.signer, "s", 2);
    memcpy(y.signer, "s", 2);
    assert_ok(envelope_signed_text(&x, &p, &err), err);
    assert_ok(envelope_signed_text(&y, &q, &err), err);
    assert_string_equal(buf_text(&p), buf_text(&q));
    assert_int_equal(a->is_signed, b->is_signed);
    assert_memory_equal(a->signature, b->signature, 32);
}

static void envelopes_return(void **state)
{
    (void)state;
    struct arena arena;
    arena_init(&arena, 100000);
    struct header headers[ENVELOPE_HEADERS_MAX];
    struct err err;
    bool has_id = false;
    for (int variant = 0; variant < 6; variant++) {
        struct envelope env = sample(), back;
        if (variant == 1)
            env.keyed = false;
        if (variant == 2) {
            env.is_signed = false;
            memset(env.signer, 0, sizeof env.signer);
            memset(env.signature, 0, sizeof env.signature);
        }
        if (variant == 3) {
            env.attempt = 0;
            env.not_before_ms = 0;
            env.traceparent[0] = env.policy[0] = '\0';
            env.times = (struct stage_times){0};
        }
        if (variant == 4)
            env.type = RECORD_verdict;
        if (variant == 5)
            env.type = RECORD_control;
        size_t count = envelope_encode(&env, &arena, headers);
        headers[count++] = (struct header){"from-the-future", SPAN_LIT("ignored")};
        assert_ok(envelope_decode(headers, count, &back, &has_id, &err), err);
        assert_true(has_id);
        assert_same(&env, &back);
        assert_int_equal(back.keyed, variant != 1 && variant != 5);
    }
    struct envelope probe = {.type = RECORD_probe, .version = 1}, back;
    assert_int_equal(envelope_encode(&probe, &arena, headers), 1);
    assert_ok(envelope_decode(headers, 1, &back, &has_id, &err), err);
    assert_false(has_id);
    assert_int_equal(back.type, RECORD_probe);
    arena_done(&arena);
}

/* Each header in turn: gone, doubled, or in a text that is not the one. */
static const struct {
    const char *name, *value;
} malformed[] = {
    {"type", "submission/2"},
    {"type", "submission"},
    {"type", "submission/01"},
    {"type", "nothing/1"},
    {"type", ""},
    {"id", "01A209BD-D7DB-7000-8000-00000000002A"},
    {"id", "01a209bd-d7db-4000-8000-00000000002a"}, /* not version 7 */
    {"id", "ffffffff-ffff-7000-8000-00000000002a"}, /* year 10889 */
    {"id", ""},
    {"day", "2026-11-24"},
    {"day", ""},
    {"project", "x"},
    {"key", "30-4F3A0000000000FF"},
    {"key", "31-4f3a0000000000ff"},
    {"key", "030-4f3a0000000000ff"},
    {"key", "30-4f3a"},
    {"key", "-4f3a0000000000ff"},
    {"key-hash", "11"},
    {"fingerprint", "zz"},
    {"language", "c++"}, /* an alias is not canonical */
    {"language", "cobol"},
    {"profile", "root"},
    {"lane", "fast"},
    {"attempt", "0"},
    {"attempt", "4294967296"},
    {"attempt", "-1"},
    {"attempt", "03"},
    {"not-before", "9223372036854775808"},
    {"origin", "a b"},
    {"origin", "api\nsigner=x"},
    {"origin", "0123456789abcdef"},
    {"origin", ""},
    {"policy", "="},
    {"traceparent", "00-00000000000000000000000000000000-b7ad6b7169203331-01"},
    {"traceparent", "00-0af7651916cd43dd8448eb211c80319c-0000000000000000-01"},
    {"traceparent", "01-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"},
    {"traceparent", "00-0AF7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"},
    {"traceparent", "00-0af7651916cd43dd8448eb211c80319cxb7ad6b7169203331-01"},
    {"times", "1,2,3,4"},
    {"times", "1,2,3,4,5,6"},
    {"times", "1,2,3,4,"},
    {"times", "1,2,3,4,9223372036854775808"},
    {"digest", ""},
    {"signer", "a signer"},
    {"signature", "4444"},
};

static void malformed_headers_are_named(void **state)
{
    (void)state;
    struct arena arena;
    arena_init(&arena, 100000);
    struct envelope env = sample(), back;
    struct header headers[ENVELOPE_HEADERS_MAX + 1];
    bool has_id;
    size_t count = envelope_encode(&env, &arena, headers);
    for (size_t m = 0; m < COUNT_OF(malformed); m++) {
        for (size_t i = 0; i < count; i++) {
            if (strcmp(headers[i].name, malformed[m].name) != 0)
                continue;
            struct header kept = headers[i];
            struct err err = {.code = ERR_NONE};
            headers[i].value = span_text(malformed[m].value);
            if (envelope_decode(headers, count, &back, &has_id, &err) == 0)
                fail_msg("%s=%s was taken", malformed[m].name, malformed[m].value);
            assert_int_equal(err.code, ERR_CORRUPT);
            char start[40];
            snprintf(start, sizeof start, "header %s:", malformed[m].name);
            if (strncmp(err.message, start, strlen(start)) != 0)
                fail_msg("%s expected, got: %s", start, err.message);
            assert_int_equal(has_id, strcmp(malformed[m].name, "id") != 0);
            headers[i] = kept;
        }
    }
    arena_done(&arena);
}

static void headers_missing_or_doubled(void **state)
{
    (void)state;
    struct arena arena;
    arena_init(&arena, 100000);
    struct envelope env = sample(), back;
    struct header headers[ENVELOPE_HEADERS_MAX + 1], some[ENVELOPE_HEADERS_MAX + 1];
    static const char *const optional[] = {"attempt", "not-before", "policy", "traceparent",
                                           "times"};
    bool has_id;
    struct err err;
    size_t count = envelope_encode(&env, &arena, headers);
    for (size_t gone = 0; gone < count; gone++) {
        size_t left = 0;
        bool may = false;
        for (size_t i = 0; i < count; i++)
            if (i != gone)
                some[left++] = headers[i];
        for (size_t i = 0; i < COUNT_OF(optional); i++)
            may |= strcmp(optional[i], headers[gone].name) == 0;
        if (may)
            assert_ok(envelope_decode(some, left, &back, &has_id, &err), err);
        else
            assert_err(envelope_decode(some, left, &back, &has_id, &err), err, ERR_CORRUPT);
        assert_int_equal(has_id, strcmp(headers[gone].name, "id") != 0);

        headers[count] = headers[gone];
        assert_err(envelope_decode(headers, count + 1, &back, &has_id, &err), err, ERR_CORRUPT);
        assert_int_equal(has_id, strcmp(headers[gone].name, "id") != 0);
    }
    assert_err(envelope_decode(NULL, 0, &back, &has_id, &err), err, ERR_CORRUPT);
    headers[0].value = span_of(NULL, 0); /* Kafka's null value of a header */
    assert_err(envelope_decode(headers, count, &back, &has_id, &err), err, ERR_CORRUPT);
    assert_true(has_id);
    assert_true(uuid_eq(&back.project, &env.project)); /* what can be read is there */
    assert_int_equal(back.type, RECORD_COUNT);
    arena_done(&arena);
}

static void payload_is_golden(void **state)
{
    (void)state;
    struct err err;
    struct payload payload = {.meta = SPAN_LIT("{}"), .sections = 2}, back;
    payload.section[0].kind = SECTION_CODE;
    payload.section[0].bytes = SPAN_LIT("a\0\xff");
    payload.section[1].kind = SECTION_STDIN;
    static const char golden[] = "RBP1\x02\0\0\0\x02\0\0\0\x01\x03\0\0\0\x02\0\0\0\0{}a\0\xff";
    BUF_AUTO struct buf out = {.max = 1000};
    assert_ok(payload_pack(&payload, &out, &err), err);
    assert_int_equal(out.len, sizeof golden - 1);
    assert_memory_equal(out.data, golden, sizeof golden - 1);
    assert_ok(payload_unpack(buf_span(&out), &back, &err), err);
    assert_true(span_eq(back.meta, SPAN_LIT("{}")));
    assert_true(span_eq(payload_section(&back, SECTION_CODE), SPAN_LIT("a\0\xff")));
    assert_int_equal(payload_section(&back, SECTION_STDIN).len, 0);
    assert_null(payload_section(&back, SECTION_STDOUT).data);
    for (size_t len = 0; len < out.len; len++) /* cut anywhere */
        assert_err(payload_unpack(span_of(out.data, len), &back, &err), err, ERR_CORRUPT);
    buf_add(&out, "x", 1); /* something after the end */
    assert_err(payload_unpack(buf_span(&out), &back, &err), err, ERR_CORRUPT);
}

static void payload_sizes_are_checked(void **state)
{
    (void)state;
    struct err err;
    struct payload back, big = {.meta = SPAN_LIT("{}"), .sections = 1};
    static const struct span wrong[] = {
        SPAN_LIT("RBP2\0\0\0\0\0\0\0\0"),
        SPAN_LIT("RBP1\xff\xff\xff\xff\0\0\0\0"),
        SPAN_LIT("RBP1\0\0\0\0\x51\0\0\0"),
        SPAN_LIT("RBP1\0\0\0\0\xff\xff\xff\xff"),
        SPAN_LIT("RBP1\0\0\0\0\x01\0\0\0\x01\xff\xff\xff\xff"),
        SPAN_LIT("RBP1\0\0\0\0\x01\0\0\0\x00\0\0\0\0"),
        SPAN_LIT("RBP1\0\0\0\0\x01\0\0\0\x08\0\0\0\0"),
    };
    for (size_t i = 0; i < COUNT_OF(wrong); i++)
        assert_err(payload_unpack(wrong[i], &back, &err), err, ERR_CORRUPT);
    assert_ok(payload_unpack(SPAN_LIT("RBP1\0\0\0\0\0\0\0\0"), &back, &err), err);
    BUF_AUTO struct buf out = {.max = 100};
    char *room = calloc(1, RECORD_BYTES_MAX + 1);
    assert_non_null(room);
    big.section[0].kind = SECTION_CODE;
    big.section[0].bytes = span_of(room, RECORD_BYTES_MAX);
    assert_err(payload_pack(&big, &out, &err), err, ERR_TOO_LARGE);
    big.section[0].bytes.len = 200; /* within the contract, beyond the caller's buffer */
    assert_err(payload_pack(&big, &out, &err), err, ERR_TOO_LARGE);
    assert_err(payload_unpack(span_of(room, RECORD_BYTES_MAX + 1), &back, &err), err, ERR_CORRUPT);
    free(room);
}

static void small_tables(void **state)
{
    (void)state;
    assert_string_equal(api_error_code(API_ERROR_unauthorized), "unauthorized");
    assert_int_equal(api_error_status(API_ERROR_idempotency_conflict), 422);
    for (unsigned i = 0; i < API_ERROR_COUNT; i++) {
        assert_in_range(api_error_status((enum api_error)i), 400, 599);
        assert_true(strlen(api_error_message((enum api_error)i)) > 0);
    }
    const struct plan *trial = plan_find(SPAN_LIT("trial"));
    assert_non_null(trial);
    assert_ptr_equal(trial, plan_get(PLAN_trial));
    assert_int_equal(trial->requests_minute, 60);
    assert_int_equal(trial->requests_day, 1000);
    assert_int_equal(plan_get(PLAN_unlimited)->open_max, 0);
    assert_null(plan_find(SPAN_LIT("gold")));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(topics_are_the_table),
        cmocka_unit_test(partitions_are_slices_of_time),
        cmocka_unit_test(headers_are_golden),
        cmocka_unit_test(envelopes_return),
        cmocka_unit_test(malformed_headers_are_named),
        cmocka_unit_test(headers_missing_or_doubled),
        cmocka_unit_test(payload_is_golden),
        cmocka_unit_test(payload_sizes_are_checked),
        cmocka_unit_test(small_tables),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
