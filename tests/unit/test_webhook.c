/* schemas/webhook*: ids and keys that must never change, the sealed document, secrets, signatures,
 * the attempt record, and the headers of their records. */
#include "lib/base/enc.h"
#include "schemas/signing.h"
#include "schemas/webhook.h"
#include "tests/unit/unit.h"

static const uint8_t secret[KEY_BYTES] = {7, 7, 7};
static struct uuid project, endpoint, submission;

static struct envelope message(enum record_type type)
{
    struct envelope env = {.type = type,
                           .version = 1,
                           .id = submission,
                           .project = project,
                           .endpoint = endpoint,
                           .event = WEBHOOK_EVENT_submission_failed,
                           .origin = "relay"};
    env.message = webhook_message_id(secret, &env.id, env.event, &env.endpoint);
    return env;
}

/* Checked with Python's hmac and hashlib. */
static void ids_and_keys_are_the_contract(void **state)
{
    (void)state;
    uint8_t key[KEY_BYTES], other[KEY_BYTES];
    char text[UUID_TEXT], hex[HEX_SIZE(KEY_BYTES)];
    struct envelope env = message(RECORD_webhook);
    uuid_format(&env.message, text);
    assert_string_equal(text, "e4dcc16c-aac1-8547-bf6c-547c1b106c02");
    webhook_endpoint_key(secret, &project, &endpoint, key);
    hex_encode(key, sizeof key, hex);
    assert_string_equal(hex, "aca15d60ad0b599d2f7274b86d515da7fe7072758c9efb2020c46f6420c41dc0");
    webhook_endpoint_key(secret, &endpoint, &project, other);
    assert_memory_not_equal(key, other, sizeof key);
    struct uuid second =
        webhook_message_id(secret, &submission, WEBHOOK_EVENT_submission_completed, &endpoint);
    assert_false(uuid_eq(&second, &env.message));
    assert_int_equal(partition_of_endpoint(&endpoint, 16), 8);
}

static struct webhook_endpoint document(void)
{
    struct webhook_endpoint doc = {.url = "https://example.com/h\"ook",
                                   .description = "grades \xc3\xa9",
                                   .format = WEBHOOK_BARE,
                                   .secret_count = 2};
    snprintf(doc.secrets[0].text, WEBHOOK_SECRET_TEXT, "raw \\ secret");
    snprintf(doc.secrets[1].text, WEBHOOK_SECRET_TEXT, "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw");
    doc.secrets[0].created_ms = 1795464900123;
    doc.secrets[1].expires_ms = 1795464900124;
    return doc;
}

static void documents_are_sealed(void **state)
{
    (void)state;
    struct err err = {.code = ERR_NONE};
    struct rnd rnd = rnd_seeded(1);
    struct webhook_endpoint doc = document(), back;
    BUF_AUTO struct buf sealed = {.max = WEBHOOK_SEALED_MAX};
    assert_ok(webhook_endpoint_seal(secret, &rnd, &project, &endpoint, &doc, &sealed, &err), err);
    assert_ok(webhook_endpoint_open(secret, &project, &endpoint, buf_span(&sealed), &back, &err),
              err);
    assert_string_equal(back.url, doc.url);
    assert_string_equal(back.description, doc.description);
    assert_int_equal(back.format, WEBHOOK_BARE);
    assert_int_equal(back.secret_count, 2);
    assert_string_equal(back.secrets[0].text, doc.secrets[0].text);
    assert_true(back.secrets[1].expires_ms == doc.secrets[1].expires_ms);
    assert_err(webhook_endpoint_open(secret, &endpoint, &endpoint, buf_span(&sealed), &back, &err),
               err, ERR_CORRUPT);
    assert_err(webhook_endpoint_open(secret, &project, &project, buf_span(&sealed), &back, &err),
               err, ERR_CORRUPT);
    sealed.data[20] ^= 1;
    assert_err(webhook_endpoint_open(secret, &project, &endpoint, buf_span(&sealed), &back, &err),
               err, ERR_CORRUPT);
}

/* Every text at its longest, of characters that JSON escapes: the bound holds. */
static void the_largest_document_fits(void **state)
{
    (void)state;
    struct err err = {.code = ERR_NONE};
    struct rnd rnd = rnd_seeded(1);
    struct webhook_endpoint doc = {.secret_count = WEBHOOK_SECRETS_MAX}, back;
    memset(doc.url, '"', WEBHOOK_URL_MAX);
    memset(doc.description, 1, WEBHOOK_DESCRIPTION_MAX);
    for (size_t i = 0; i < doc.secret_count; i++)
        memset(doc.secrets[i].text, '\\', 256);
    BUF_AUTO struct buf sealed = {.max = WEBHOOK_SEALED_MAX};
    assert_ok(webhook_endpoint_seal(secret, &rnd, &project, &endpoint, &doc, &sealed, &err), err);
    assert_ok(webhook_endpoint_open(secret, &project, &endpoint, buf_span(&sealed), &back, &err),
              err);
    assert_memory_equal(&back, &doc, sizeof doc);
}

static void bodies_are_bound_to_their_message(void **state)
{
    (void)state;
    struct err err = {.code = ERR_NONE};
    struct rnd rnd = rnd_seeded(2);
    struct envelope env = message(RECORD_webhook), other = env;
    BUF_AUTO struct buf sealed = {.max = 100}, plain = {.max = 100};
    assert_ok(webhook_body_seal(secret, &rnd, &env, SPAN_LIT("{}"), &sealed, &err), err);
    assert_ok(webhook_body_open(secret, &env, buf_span(&sealed), &plain, &err), err);
    assert_string_equal(buf_text(&plain), "{}");
    other.id = project;
    assert_err(webhook_body_open(secret, &other, buf_span(&sealed), &plain, &err), err,
               ERR_CORRUPT);
    other = env;
    other.endpoint = project;
    assert_err(webhook_body_open(secret, &other, buf_span(&sealed), &plain, &err), err,
               ERR_CORRUPT);
}

/* The example of the Standard Webhooks specification's libraries. */
static void signatures_are_standard(void **state)
{
    (void)state;
    struct err err = {.code = ERR_NONE};
    struct webhook_endpoint doc = document();
    BUF_AUTO struct buf out = {.max = 1000};
    struct uuid id = {{0}};
    doc.secrets[0].expires_ms = 5; /* long ago */
    assert_ok(webhook_sign(&doc, 1795464900123, &id, 1614265330, SPAN_LIT("{\"test\": 2432232314}"),
                           &out, &err),
              err);
    assert_string_equal(buf_text(&out), "v1,Y5/uRWupLQOPxe4D5mBYrd9dRGhY+xtWrnxDwy59WDE=");
    buf_clear(&out);
    doc.secrets[0].expires_ms = 0;
    assert_ok(webhook_sign(&doc, 1795464900123, &id, 1614265330, SPAN_LIT("{\"test\": 2432232314}"),
                           &out, &err),
              err);
    assert_string_equal(buf_text(&out), "v1,OiWdivSVJogbhY1mANtwMewjYV+xVzv5xw+bHSnYCRw= "
                                        "v1,Y5/uRWupLQOPxe4D5mBYrd9dRGhY+xtWrnxDwy59WDE=");
    buf_clear(&out); /* the moment it expires, it does not sign */
    assert_ok(webhook_sign(&doc, 1795464900124, &id, 1614265330, SPAN_LIT("{\"test\": 2432232314}"),
                           &out, &err),
              err);
    assert_string_equal(buf_text(&out), "v1,OiWdivSVJogbhY1mANtwMewjYV+xVzv5xw+bHSnYCRw=");
    buf_clear(&out);
    doc.secrets[0].expires_ms = 1;
    assert_err(webhook_sign(&doc, 1795464900124, &id, 1, SPAN_LIT("{}"), &out, &err), err,
               ERR_CORRUPT);
}

static void asymmetric_signatures(void **state)
{
    (void)state;
    struct err err = {.code = ERR_NONE};
    struct webhook_endpoint doc = {.secret_count = 1};
    struct uuid id = {{0}};
    char public[WEBHOOK_PUBLIC_TEXT];
    BUF_AUTO struct buf out = {.max = 1000};
    snprintf(doc.secrets[0].text, WEBHOOK_SECRET_TEXT,
             "whsk_nWGxne/9WmC6hEr0kuwsxERJxWl7MmkZcDusAxyuf2A=");
    webhook_public_key(&doc.secrets[0], public);
    assert_string_equal(public, "whpk_11qYAYKxCrfVS/7TyWQHOg7hcvPapiMlrwIaaPcHURo=");
    assert_ok(webhook_sign(&doc, 5, &id, 1614265330, SPAN_LIT("{}"), &out, &err), err);
    assert_string_equal(buf_text(&out), "v1a,sZJ5CQLgqR7ASljUguSmcEtZq1TLERIcqSlBBvkuGcEF3OnU/"
                                        "Y3aeuPtTUiiCKJrmRiPctwaoqiecXbFZW2/DA==");
    doc.secrets[0].text[5] = '*';
    assert_err(webhook_sign(&doc, 5, &id, 1614265330, SPAN_LIT("{}"), &out, &err), err,
               ERR_CORRUPT);
    struct rnd rnd = rnd_seeded(3);
    webhook_secret_make(WEBHOOK_V1, &rnd, 5, &doc.secrets[0]);
    webhook_public_key(&doc.secrets[0], public);
    assert_string_equal(public, "");
    assert_null(webhook_secret_refuse(span_text(doc.secrets[0].text), false));
    assert_int_equal(strlen(doc.secrets[0].text), 6 + 44);
    assert_true(doc.secrets[0].created_ms == 5 && doc.secrets[0].expires_ms == 0);
}

static void secrets_have_rules(void **state)
{
    (void)state;
    static const struct {
        const char *text;
        bool good, good_raw;
    } cases[] = {
        {"whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw", true, true},
        {"whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLQ==", false, false}, /* 22 bytes */
        {"whsec_", false, false},
        {"whsec_not base64 at all, though long enough", false, false},
        {"whsk_nWGxne/9WmC6hEr0kuwsxERJxWl7MmkZcDusAxyuf2A=", false, false},
        {"whpk_11qYAYKxCrfVS/7TyWQHOg7hcvPapiMlrwIaaPcHURo=", false, false},
        {"", false, false},
        {"1234567", false, false},
        {"12345678", false, true},
        {"tab\tinside", false, false},
        {"caf\xc3\xa9 au lait", false, false},
    };
    char text[300];
    for (size_t i = 0; i < COUNT_OF(cases); i++) {
        bool good = !webhook_secret_refuse(span_text(cases[i].text), false);
        bool good_raw = !webhook_secret_refuse(span_text(cases[i].text), true);
        if (good != cases[i].good || good_raw != cases[i].good_raw)
            fail_msg("%s: %d %d", cases[i].text, good, good_raw);
    }
    memset(text, 'x', sizeof text);
    assert_null(webhook_secret_refuse(span_of(text, 256), true));
    assert_non_null(webhook_secret_refuse(span_of(text, 257), true));
    memcpy(text, "whsec_", 6); /* 'x' * 4n is base64: 63 and 66 bytes */
    assert_null(webhook_secret_refuse(span_of(text, 6 + 84), false));
    assert_non_null(webhook_secret_refuse(span_of(text, 6 + 88), false));
}

static void rotation_keeps_the_old_for_a_day(void **state)
{
    (void)state;
    struct err err = {.code = ERR_NONE};
    struct rnd rnd = rnd_seeded(4);
    struct webhook_endpoint doc = {.secret_count = 0};
    struct webhook_secret fresh;
    int64_t now = 1795464900123;
    for (size_t i = 0; i < WEBHOOK_SECRETS_MAX; i++) {
        webhook_secret_make(WEBHOOK_V1, &rnd, now, &fresh);
        assert_ok(webhook_rotate(&doc, &fresh, now, &err), err);
        assert_int_equal(doc.secret_count, i + 1);
        assert_string_equal(doc.secrets[0].text, fresh.text);
        assert_true(doc.secrets[0].expires_ms == 0);
        if (i > 0)
            assert_true(doc.secrets[1].expires_ms == now + WEBHOOK_ROTATION_MS);
        now += 1000;
    }
    webhook_secret_make(WEBHOOK_V1A, &rnd, now, &fresh);
    assert_err(webhook_rotate(&doc, &fresh, now, &err), err, ERR_CONFLICT);
    assert_int_equal(doc.secret_count, WEBHOOK_SECRETS_MAX);
    now += WEBHOOK_ROTATION_MS;
    assert_ok(webhook_rotate(&doc, &fresh, now, &err), err);
    assert_int_equal(doc.secret_count, 2);
    assert_int_equal(webhook_secret_algorithm(&doc.secrets[0]), WEBHOOK_V1A);
    assert_int_equal(webhook_secret_algorithm(&doc.secrets[1]), WEBHOOK_V1);
}

static struct webhook_attempt attempt(void)
{
    return (struct webhook_attempt){.source = TOPIC_webhooks_retry_10m,
                                    .source_partition = 15,
                                    .source_offset = 9007199254740991,
                                    .at_ms = 1795464900123,
                                    .address = "2001:db8::1",
                                    .port = 8443,
                                    .status = 503,
                                    .error = ATTEMPT_http_status,
                                    .latency_us = 14999999,
                                    .outcome = OUTCOME_RETRY,
                                    .next_due_ms = 1795464960123,
                                    .disable_endpoint = true,
                                    .reason = "all deliveries failed for 120 hours"};
}

static void attempts_come_back(void **state)
{
    (void)state;
    struct err err = {.code = ERR_NONE};
    struct webhook_attempt one = attempt(), back;
    BUF_AUTO struct buf json = {.max = ATTEMPT_BYTES_MAX};
    assert_ok(webhook_attempt_encode(&one, &json, &err), err);
    assert_string_equal(
        buf_text(&json),
        "{\"address\":\"2001:db8::1\",\"at\":1795464900123,\"endpoint_action\":\"disable\","
        "\"error\":\"http_status\",\"latency_us\":14999999,\"next_due\":1795464960123,"
        "\"outcome\":\"retry\",\"port\":8443,\"reason\":\"all deliveries failed for 120 hours\","
        "\"source\":{\"offset\":9007199254740991,\"partition\":15,\"topic\":\"webhooks.retry.10m\"}"
        ","
        "\"status\":503}");
    assert_ok(webhook_attempt_decode(buf_span(&json), &back, &err), err);
    assert_memory_equal(&back, &one, sizeof one);
    for (unsigned e = 0; e < ATTEMPT_ERROR_COUNT; e++)
        for (unsigned o = 0; o <= OUTCOME_PARKED; o++) {
            one.error = (enum attempt_error)e;
            one.outcome = (enum attempt_outcome)o;
            buf_clear(&json);
            assert_ok(webhook_attempt_encode(&one, &json, &err), err);
            assert_ok(webhook_attempt_decode(buf_span(&json), &back, &err), err);
            assert_true(back.error == one.error && back.outcome == one.outcome);
            assert_true(attempt_error_text(one.error)[0] != '\0');
        }
}

static void broken_attempts_are_refused(void **state)
{
    (void)state;
    static const char *const cuts[] = {"\"at\":1795464900123,",   "\"error\":\"http_status\",",
                                       "\"outcome\":\"retry\",",  "\"port\":8443,",
                                       "\"status\":503",          "\"offset\":9007199254740991,",
                                       "\"latency_us\":14999999,"};
    struct err err = {.code = ERR_NONE};
    struct webhook_attempt one = attempt(), back;
    BUF_AUTO struct buf json = {.max = ATTEMPT_BYTES_MAX};
    assert_ok(webhook_attempt_encode(&one, &json, &err), err);
    for (size_t i = 0; i < COUNT_OF(cuts); i++) {
        char copy[ATTEMPT_BYTES_MAX + 1];
        snprintf(copy, sizeof copy, "%s", buf_text(&json));
        char *at = strstr(copy, cuts[i]);
        assert_non_null(at);
        at[1] = 'X';
        assert_err(webhook_attempt_decode(span_text(copy), &back, &err), err, ERR_CORRUPT);
    }
    static const char *const texts[] = {"2001:db8::1\xff", "2001:db8::1\\n", "\\u00e9"};
    for (size_t i = 0; i < COUNT_OF(texts); i++) { /* what no database need take */
        char copy[ATTEMPT_BYTES_MAX + 1];
        snprintf(copy, sizeof copy, "{\"address\":\"%s\"%s", texts[i],
                 strchr(buf_text(&json), ','));
        assert_err(webhook_attempt_decode(span_text(copy), &back, &err), err, ERR_CORRUPT);
    }
    assert_err(webhook_attempt_decode(SPAN_LIT(""), &back, &err), err, ERR_CORRUPT);
    assert_err(webhook_attempt_decode(SPAN_LIT("[]"), &back, &err), err, ERR_CORRUPT);
}

static void decode_again(const struct envelope *env, struct envelope *back)
{
    struct err err = {.code = ERR_NONE};
    struct arena arena;
    struct header headers[ENVELOPE_HEADERS_MAX];
    bool has_id;
    arena_init(&arena, 100000);
    size_t count = envelope_encode(env, &arena, headers);
    assert_true(count > 0);
    assert_ok(envelope_decode(headers, count, back, &has_id, &err), err);
    assert_true(has_id);
    for (size_t i = 0; i < count; i++) { /* every header but the optional ones is needed */
        struct header left[ENVELOPE_HEADERS_MAX];
        memcpy(left, headers, sizeof headers);
        left[i] = left[count - 1];
        bool may = strcmp(headers[i].name, "key") == 0 || strcmp(headers[i].name, "origin") == 0 ||
                   strcmp(headers[i].name, "generation") == 0 ||
                   strcmp(headers[i].name, "attempt") == 0 ||
                   strcmp(headers[i].name, "not-before") == 0;
        struct envelope other;
        int rc = envelope_decode(left, count - 1, &other, &has_id, &err);
        if (i + 1 < count && (rc == 0) != may)
            fail_msg("without %s: %d", headers[i].name, rc);
    }
    arena_done(&arena);
}

static void headers_of_messages(void **state)
{
    (void)state;
    struct err err = {.code = ERR_NONE};
    struct signing signing;
    signing_init(&signing, secret);
    struct span value = SPAN_LIT("value");
    struct envelope env = message(RECORD_webhook), back;
    env.generation = 3;
    env.attempt = 6;
    env.not_before_ms = 1795464960123;
    assert_ok(signing_sign(&signing, "deliver", value, &env, &err), err);
    decode_again(&env, &back);
    assert_int_equal(back.retention_class, 0); /* no data key */
    assert_true(uuid_eq(&back.endpoint, &endpoint) && uuid_eq(&back.message, &env.message));
    assert_int_equal(back.event, WEBHOOK_EVENT_submission_failed);
    assert_int_equal(back.generation, 3);
    assert_null(signing_distrust(&signing, TOPIC_webhooks_retry_24h, &back, &value));
    assert_null(signing_distrust(&signing, TOPIC_webhooks_dead, &back, &value));
    assert_non_null(signing_distrust(&signing, TOPIC_webhooks, &back, &value));
    back.generation = 2;
    assert_non_null(signing_distrust(&signing, TOPIC_webhooks_dead, &back, &value));
    env.retention_class = 30;
    env.key_number = 255;
    assert_ok(signing_sign(&signing, "relay", value, &env, &err), err);
    decode_again(&env, &back);
    assert_int_equal(back.retention_class, 30);
    assert_null(signing_distrust(&signing, TOPIC_webhooks, &back, &value));
    assert_int_equal(envelope_partition(&env, TOPIC_webhooks),
                     partition_of_endpoint(&endpoint, 16));
    env = message(RECORD_attempt);
    assert_ok(signing_sign(&signing, "deliver", value, &env, &err), err);
    decode_again(&env, &back);
    assert_null(signing_distrust(&signing, TOPIC_attempts, &back, &value));
    env = (struct envelope){.type = RECORD_endpoint,
                            .version = 1,
                            .id = endpoint,
                            .project = project,
                            .generation = 9,
                            .origin = "relay"};
    assert_ok(signing_sign(&signing, "relay", span_of(NULL, 0), &env, &err), err);
    decode_again(&env, &back); /* a tombstone */
    struct span nothing = span_of(NULL, 0);
    assert_null(signing_distrust(&signing, TOPIC_endpoints, &back, &nothing));
    assert_int_equal(envelope_partition(&env, TOPIC_endpoints),
                     partition_of_endpoint(&endpoint, 6));
    signing_done(&signing);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(ids_and_keys_are_the_contract),
        cmocka_unit_test(documents_are_sealed),
        cmocka_unit_test(the_largest_document_fits),
        cmocka_unit_test(bodies_are_bound_to_their_message),
        cmocka_unit_test(signatures_are_standard),
        cmocka_unit_test(asymmetric_signatures),
        cmocka_unit_test(secrets_have_rules),
        cmocka_unit_test(rotation_keeps_the_old_for_a_day),
        cmocka_unit_test(attempts_come_back),
        cmocka_unit_test(broken_attempts_are_refused),
        cmocka_unit_test(headers_of_messages),
    };
    if (uuid_parse(SPAN_LIT("01a0aaaa-0000-7000-9000-0000000000ff"), &project) ||
        uuid_parse(SPAN_LIT("01a0bbbb-0000-7000-9000-0000000000ee"), &endpoint) ||
        uuid_parse(SPAN_LIT("01a209bd-d7db-7000-8000-00000000002a"), &submission))
        return 1;
    return cmocka_run_group_tests(tests, NULL, NULL);
}
