/* schemas: control events and the form of API keys. */
#include "schemas/apikey.h"
#include "schemas/control.h"
#include "tests/unit/unit.h"

static struct control_event event_of(enum control_kind kind)
{
    struct control_event event = {.kind = kind, .at_ns = INT64_C(1795464900123456789)};
    assert_int_equal(uuid_parse(SPAN_LIT("01a0aaaa-0000-7000-9000-0000000000ff"), &event.project),
                     0);
    if (kind == CONTROL_EVENT_project_created || kind == CONTROL_EVENT_project_changed) {
        event.plan = PLAN_standard;
        event.retention_class = 90;
        event.taxonomy = TAXONOMY_EXTENDED;
        event.deleted = kind == CONTROL_EVENT_project_changed;
    } else {
        assert_int_equal(uuid_parse(SPAN_LIT("01a0bbbb-0000-7000-9000-000000000001"), &event.key),
                         0);
        memset(event.key_sha256, 0x5a, sizeof event.key_sha256);
        event.test_key = kind == CONTROL_EVENT_key_revoked;
    }
    return event;
}

#define HASH "5a5a5a5a5a5a5a5a5a5a5a5a5a5a5a5a5a5a5a5a5a5a5a5a5a5a5a5a5a5a5a5a"
static const char *const golden[CONTROL_EVENT_COUNT] = {
    "{\"at_ns\":\"1795464900123456789\",\"deleted\":false,\"event\":\"project.created\",\"plan\":"
    "\"standard\","
    "\"project\":\"01a0aaaa-0000-7000-9000-0000000000ff\",\"retention_class\":90,\"taxonomy\":"
    "\"extended\"}",
    "{\"at_ns\":\"1795464900123456789\",\"deleted\":true,\"event\":\"project.changed\",\"plan\":"
    "\"standard\","
    "\"project\":\"01a0aaaa-0000-7000-9000-0000000000ff\",\"retention_class\":90,\"taxonomy\":"
    "\"extended\"}",
    "{\"at_ns\":\"1795464900123456789\",\"event\":\"key.created\",\"key\":\"01a0bbbb-0000-7000-"
    "9000-000000000001\","
    "\"key_sha256\":\"" HASH
    "\",\"kind\":\"live\",\"project\":\"01a0aaaa-0000-7000-9000-0000000000ff\"}",
    "{\"at_ns\":\"1795464900123456789\",\"event\":\"key.revoked\",\"key\":\"01a0bbbb-0000-7000-"
    "9000-000000000001\","
    "\"key_sha256\":\"" HASH
    "\",\"kind\":\"test\",\"project\":\"01a0aaaa-0000-7000-9000-0000000000ff\"}",
};

static void events_are_golden_and_return(void **state)
{
    (void)state;
    struct err err;
    for (int kind = 0; kind < CONTROL_EVENT_COUNT; kind++) {
        struct control_event event = event_of((enum control_kind)kind), back;
        BUF_AUTO struct buf out = {.max = 2000}, again = {.max = 2000};
        assert_ok(control_encode(&event, &out, &err), err);
        assert_string_equal(buf_text(&out), golden[kind]);
        assert_ok(control_decode(buf_span(&out), &back, &err), err);
        assert_ok(control_encode(&back, &again, &err), err);
        assert_string_equal(buf_text(&again), golden[kind]);
    }
}

static void events_that_cannot_be_read(void **state)
{
    (void)state;
    struct control_event back;
    struct err err;
    static const struct {
        const char *json;
        enum err_code code;
    } cases[] = {
        {"", ERR_CORRUPT},
        {"[]", ERR_CORRUPT},
        {"{\"event\":\"key.created\"", ERR_CORRUPT},
        {"{\"event\":\"project.merged\",\"at_ns\":\"1\"}", ERR_NOT_FOUND},
        {"{\"event\":\"key.created\",\"at_ns\":\"1\",\"project\":\"x\"}", ERR_CORRUPT},
        {"{\"event\":\"key.created\",\"at_ns\":1,\"project\":\"01a0aaaa-0000-7000-9000-"
         "0000000000ff\"}",
         ERR_CORRUPT},
        {"{\"event\":\"key.created\",\"at_ns\":\"1\",\"project\":\"01a0aaaa-0000-7000-9000-"
         "0000000000ff\","
         "\"key\":\"01a0bbbb-0000-7000-9000-000000000001\",\"key_sha256\":\"5a\"}",
         ERR_CORRUPT},
        {"{\"event\":\"project.created\",\"at_ns\":\"1\",\"project\":\"01a0aaaa-0000-7000-9000-"
         "0000000000ff\","
         "\"plan\":\"gold\",\"retention_class\":30,\"taxonomy\":\"standard\"}",
         ERR_CORRUPT},
    };
    for (size_t i = 0; i < COUNT_OF(cases); i++)
        assert_err(control_decode(span_text(cases[i].json), &back, &err), err, cases[i].code);
}

static void events_travel_in_an_envelope(void **state)
{
    (void)state;
    struct control_event event = event_of(CONTROL_EVENT_key_revoked);
    struct rnd rnd = rnd_seeded(3);
    struct uuid id = uuid_v7_at(1795464900123, &rnd);
    struct envelope env = control_envelope(&event, &id, "cli"), back;
    struct header headers[ENVELOPE_HEADERS_MAX];
    struct arena arena;
    struct err err;
    bool has_id;
    arena_init(&arena, 10000);
    size_t count = envelope_encode(&env, &arena, headers);
    assert_int_equal(count, 6); /* type, id, day, project, origin, digest */
    assert_ok(envelope_decode(headers, count, &back, &has_id, &err), err);
    assert_int_equal(back.type, RECORD_control);
    assert_true(uuid_eq(&back.project, &event.project));
    assert_int_equal(envelope_partition(&back, TOPIC_control), partition_of_id(&event.project, 6));
    arena_done(&arena);
}

static void keys_are_made_and_checked(void **state)
{
    (void)state;
    struct rnd rnd = rnd_system();
    char key[APIKEY_BYTES + 1], other[APIKEY_BYTES + 1];
    bool test;
    for (int i = 0; i < 200; i++) {
        apikey_generate(&rnd, i % 2, key);
        apikey_generate(&rnd, i % 2, other);
        assert_int_equal(strlen(key), APIKEY_BYTES);
        assert_string_not_equal(key, other);
        assert_true(apikey_check(span_text(key), &test));
        assert_int_equal(test, i % 2);
        for (size_t at = 0; at < APIKEY_BYTES; at++) { /* any one character wrong */
            char kept = key[at];
            key[at] = kept == 'Q' ? 'R' : 'Q';
            assert_false(apikey_check(span_text(key), NULL));
            key[at] = kept;
        }
        assert_false(apikey_check(span_of(key, APIKEY_BYTES - 1), NULL));
    }
    /* the vector: zlib.crc32 of the first 40 characters is 0x7036981d = 1882626077 */
    assert_true(apikey_check(SPAN_LIT("rb_live_0000000000000000000000000000000023PJ2j"), NULL));
    assert_false(apikey_check(SPAN_LIT("rb_live_0000000000000000000000000000000\0000000"), NULL));
    assert_false(apikey_check(SPAN_LIT(""), NULL));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(events_are_golden_and_return),
        cmocka_unit_test(events_that_cannot_be_read),
        cmocka_unit_test(events_travel_in_an_envelope),
        cmocka_unit_test(keys_are_made_and_checked),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
