/* schemas/signing: what is signed verifies; anything else about it, and it does not. */
#include "schemas/signing.h"
#include "tests/unit/unit.h"
#include <stddef.h>

static struct signing own, other;
static const struct span value = {"sealed", 6};

static struct envelope signed_by(enum record_type type, const char *signer)
{
    struct err err;
    struct envelope env = {.type = type,
                           .version = 1,
                           .id = {{1, 2, 3, 4, 5, 6, 0x70, 0, 0x80}},
                           .project = {{1, 2, 3, 4, 5, 7, 0x70, 0, 0x80}},
                           .retention_class = 30,
                           .key_number = 255,
                           .origin = "api"};
    assert_ok(signing_sign(&own, signer, value, &env, &err), err);
    assert_true(env.is_signed);
    return env;
}

static void who_may_write_what(void **state)
{
    static const char *const signers[] = {"gateway", "admit", "execute", "admin", "persist", ""};
    static const struct {
        enum topic topic;
        enum record_type type;
        unsigned may; /* bits of signers */
    } rules[] = {
        {TOPIC_submissions, RECORD_submission, 1}, {TOPIC_jobs_interactive, RECORD_job, 2},
        {TOPIC_jobs_batch, RECORD_job, 2},         {TOPIC_verdicts, RECORD_verdict, 2 | 4},
        {TOPIC_control, RECORD_control, 1 | 8},    {TOPIC_progress, RECORD_progress, 0},
        {TOPIC_verdicts, RECORD_job, 0},           {TOPIC_jobs_batch, RECORD_submission, 0},
        {TOPIC_control, RECORD_verdict, 0},        {TOPIC_dead, RECORD_dead, 0},
    };
    (void)state;
    for (size_t i = 0; i < COUNT_OF(rules); i++)
        for (size_t s = 0; s + 1 < COUNT_OF(signers); s++) {
            struct envelope env = signed_by(rules[i].type, signers[s]);
            const char *why = signing_distrust(&own, rules[i].topic, &env, &value);
            if ((why == NULL) != (rules[i].may >> s & 1))
                fail_msg("%s as %s in %s: %s", signers[s], record_name(rules[i].type),
                         topic_spec(rules[i].topic)->name, why ? why : "believed");
        }
}

static const char *judge(const struct envelope *env)
{
    return signing_distrust(&own, TOPIC_verdicts, env, &value);
}

static void every_change_is_seen(void **state)
{
    static const size_t members[] = {offsetof(struct envelope, id) + 3,
                                     offsetof(struct envelope, project) + 3,
                                     offsetof(struct envelope, retention_class),
                                     offsetof(struct envelope, key_number),
                                     offsetof(struct envelope, attempt),
                                     offsetof(struct envelope, origin),
                                     offsetof(struct envelope, times),
                                     offsetof(struct envelope, digest),
                                     offsetof(struct envelope, signature) + 31,
                                     offsetof(struct envelope, language),
                                     offsetof(struct envelope, lane)};
    struct envelope env = signed_by(RECORD_verdict, "execute");
    (void)state;
    assert_null(judge(&env));
    for (size_t i = 0; i < COUNT_OF(members); i++) {
        struct envelope changed = env;
        ((uint8_t *)&changed)[members[i]] ^= 1;
        if (!judge(&changed))
            fail_msg("change %zu passed", i);
    }
    struct envelope renamed = env;
    memcpy(renamed.signer, "admit", 6); /* may write verdicts, but did not sign this one */
    assert_non_null(judge(&renamed));
    env.is_signed = false;
    assert_non_null(judge(&env));
}

static void another_installation_and_another_value(void **state)
{
    struct envelope env = signed_by(RECORD_verdict, "execute");
    struct span empty = SPAN_LIT(""), false_value = SPAN_LIT("Sealed");
    (void)state;
    assert_non_null(signing_distrust(&other, TOPIC_verdicts, &env, NULL));
    assert_non_null(signing_distrust(&own, TOPIC_verdicts, &env, &empty));
    assert_non_null(signing_distrust(&own, TOPIC_verdicts, &env, &false_value));
    assert_null(signing_distrust(&own, TOPIC_verdicts, &env, NULL)); /* headers alone */
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(who_may_write_what),
        cmocka_unit_test(every_change_is_seen),
        cmocka_unit_test(another_installation_and_another_value),
    };
    uint8_t secret[KEY_BYTES] = {1};
    signing_init(&own, secret);
    secret[31] = 1;
    signing_init(&other, secret);
    int failed = cmocka_run_group_tests(tests, NULL, NULL);
    signing_done(&own);
    signing_done(&other);
    return failed;
}
