/* deliver inside the real runtime, with bus and sender in memory and a real keystore: signatures,
 * the way through the delay topics, breaker and parking, isolation, what a restart repeats. */
#include "consumers/deliver_rules.h"
#include "consumers/runtime/runtime.h"
#include "consumers/stage_util.h"
#include "consumers/stages.h"
#include "lib/metrics/metrics.h"
#include "tests/support/bus_memory.h"
#include "tests/support/post_memory.h"
#include "tests/unit/unit.h"
#include <ftw.h>
#include <sys/stat.h>
#include <unistd.h>

static struct err err;
static struct config *config;
static struct keystore *keys;
static struct rnd rnd;
static struct signing signing;
static struct secret webhooks;
static struct runtime *rt;
static char dir[] = "/tmp/rustbox-deliver.XXXXXX";
static int64_t hurry_ns; /* the runtime's clock runs ahead by this much */

static int64_t wall(const struct clock *clock)
{
    (void)clock;
    return clock_system.wall_ns(&clock_system) + hurry_ns;
}

static int64_t mono(const struct clock *clock)
{
    (void)clock;
    return clock_system.mono_ns(&clock_system) + hurry_ns;
}

/* ---- records ---- */
static struct uuid number_id(uint8_t kind, unsigned number)
{
    return (struct uuid){{kind, 0, 0, 0, 0, 0, 0x70, 0, 0x80, 0, 0, 0, 0, 0, (uint8_t)(number >> 8),
                          (uint8_t)number}};
}

static void append(enum topic topic, int32_t partition, const struct envelope *env,
                   struct span value)
{
    struct header headers[ENVELOPE_HEADERS_MAX];
    struct arena arena;

    arena_init(&arena, 1 << 20);
    size_t count = envelope_encode(env, &arena, headers);
    assert_true(count > 0);
    bus_memory_append(topic, partition < 0 ? envelope_partition(env, topic) : partition,
                      SPAN_LIT("k"), (const struct bus_header *)headers, count, value);
    arena_done(&arena);
}

static struct webhook_endpoint document(const char *url)
{
    struct webhook_endpoint doc = {.secret_count = 1};

    snprintf(doc.url, sizeof doc.url, "%s", url);
    snprintf(doc.secrets[0].text, sizeof doc.secrets[0].text, "%s",
             "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSwMfKQ9r8GKYo=");
    return doc;
}

static void publish(unsigned number, unsigned project, const struct webhook_endpoint *doc,
                    uint32_t version)
{
    struct envelope env = {.type = RECORD_endpoint,
                           .version = 1,
                           .id = number_id(1, number),
                           .project = number_id(2, project),
                           .generation = version,
                           .origin = "relay"};
    BUF_AUTO struct buf sealed;

    buf_init(&sealed, WEBHOOK_SEALED_MAX);
    if (doc)
        assert_ok(
            webhook_endpoint_seal(webhooks.bytes, &rnd, &env.project, &env.id, doc, &sealed, &err),
            err);
    assert_ok(signing_sign(&signing, "relay", buf_span(&sealed), &env, &err), err);
    append(TOPIC_endpoints, -1, &env, buf_span(&sealed));
}

static void endpoint(unsigned number, unsigned project, const char *url)
{
    struct webhook_endpoint doc = document(url);

    publish(number, project, &doc, 1);
}

static struct envelope message(unsigned number, unsigned to, unsigned project)
{
    return (struct envelope){.type = RECORD_webhook,
                             .version = 1,
                             .id = uuid_v7_at(wall(NULL) / 1000000, &rnd),
                             .project = number_id(2, project),
                             .endpoint = number_id(1, to),
                             .message = number_id(3, number),
                             .event = WEBHOOK_EVENT_submission_completed,
                             .origin = "relay"};
}

#define BODY "{\"type\":\"submission.completed\",\"data\":{}}"

static void write_sealed(struct envelope *env, const char *signer, enum topic topic,
                         int32_t partition, struct span value)
{
    assert_ok(signing_sign(&signing, signer, value, env, &err), err);
    append(topic, partition, env, value);
}

static struct envelope tell_from(unsigned number, unsigned to, unsigned project, enum topic topic,
                                 int32_t partition, int64_t not_before_ms)
{
    struct envelope env = message(number, to, project);
    BUF_AUTO struct buf sealed;

    env.not_before_ms = not_before_ms;
    buf_init(&sealed, RECORD_BYTES_MAX);
    assert_ok(webhook_body_seal(webhooks.bytes, &rnd, &env, SPAN_LIT(BODY), &sealed, &err), err);
    write_sealed(&env, topic == TOPIC_webhooks ? "relay" : "deliver", topic, partition,
                 buf_span(&sealed));
    return env;
}

static struct envelope tell(unsigned number, unsigned to, unsigned project)
{
    return tell_from(number, to, project, TOPIC_webhooks, -1, 0);
}

/* ---- what came of it ---- */
static size_t attempts_of(const struct envelope *of, struct webhook_attempt *last)
{
    const struct record *rec;
    size_t count = 0;

    for (size_t i = 0; (rec = bus_memory_get(TOPIC_attempts, i)); i++) {
        struct envelope env;
        bool has_id;
        assert_true(stage_envelope(rec, &env, &has_id));
        assert_null(signing_distrust(&signing, TOPIC_attempts, &env, &rec->value));
        if (!uuid_eq(&env.message, &of->message))
            continue;
        assert_true(uuid_eq(&env.endpoint, &of->endpoint) && uuid_eq(&env.project, &of->project));
        assert_ok(webhook_attempt_decode(rec->value, last, &err), err);
        count++;
    }
    return count;
}

static void expect_last(const struct envelope *env, size_t count, enum attempt_outcome outcome,
                        enum attempt_error error)
{
    struct webhook_attempt last = {0};
    size_t found = attempts_of(env, &last);

    if (found != count || last.outcome != outcome || last.error != error)
        fail_msg("%zu attempts, %s, %s", found, attempt_outcome_name(last.outcome),
                 attempt_error_name(last.error));
}

static size_t unread(void)
{
    static const enum topic topics[] = {TOPIC_webhooks,          TOPIC_webhooks_retry_5s,
                                        TOPIC_webhooks_retry_1m, TOPIC_webhooks_retry_10m,
                                        TOPIC_webhooks_retry_1h, TOPIC_webhooks_retry_6h,
                                        TOPIC_webhooks_retry_24h};
    int64_t ends[16], committed;
    size_t left = 0;

    for (size_t t = 0; t < COUNT_OF(topics); t++) {
        assert_ok(producer_end_offsets(NULL, topic_spec(topics[t])->name, 16, ends, 0, &err), err);
        for (int p = 0; p < 16; p++) {
            committed = bus_memory_committed(topics[t], p);
            left += (size_t)(ends[p] - (committed < 0 ? 0 : committed));
        }
    }
    return left;
}

/* ---- the frame ---- */
static void open_runtime(void)
{
    struct runtime_options options = {
        &deliver_stage, config, "test-1", {wall, mono, 0, 0}, rnd_seeded(2)};

    assert_ok(runtime_open(&options, &rt, &err), err);
}

static void turns(int count)
{
    while (count-- > 0)
        runtime_turn(rt, 2);
}

static void hurry(int64_t ms)
{
    hurry_ns += ms * 1000000;
}

static void run_until_read(void)
{
    for (int i = 0; i < 3000 && unread() > 0; i++)
        runtime_turn(rt, 2);
    assert_int_equal(unread(), 0);
}

static void close_runtime(void)
{
    runtime_stop(rt);
    for (int i = 0; i < 3000 && runtime_turn(rt, 2); i++)
        ;
    runtime_close(rt);
    assert_int_equal(bus_memory_open_records(), 0);
}

static int before(void **state)
{
    (void)state;
    bus_memory_reset();
    post_memory_reset();
    metrics_reset();
    hurry_ns = 0;
    open_runtime();
    return 0;
}

static int after(void **state)
{
    (void)state;
    close_runtime();
    return 0;
}

/* ---- deliveries ---- */
static void a_message_is_signed_posted_and_recorded(void **state)
{
    struct webhook_endpoint doc = document("https://a.example/hook");
    BUF_AUTO struct buf wanted;
    char id[UUID_TEXT];

    (void)state;
    doc.secrets[1] = doc.secrets[0]; /* in rotation: both sign */
    doc.secrets[1].text[10] = 'x';
    doc.secrets[1].expires_ms = wall(NULL) / 1000000 + 60000;
    doc.secret_count = 2;
    publish(1, 1, &doc, 1);
    post_memory_rule("", POST_answered, 204, "");
    struct envelope env = tell(1, 1, 1);
    run_until_read();
    assert_int_equal(post_memory_count(), 1);
    const struct post_memory_seen *seen = post_memory_get(0);
    assert_string_equal(seen->url, "https://a.example/hook");
    assert_string_equal(seen->body, BODY);
    uuid_format(&env.message, id);
    assert_string_equal(seen->id, id);
    buf_init(&wanted, 1024);
    assert_ok(webhook_sign(&doc, wall(NULL) / 1000000, &env.message, atoll(seen->timestamp),
                           SPAN_LIT(BODY), &wanted, &err),
              err);
    assert_string_equal(seen->signature, buf_text(&wanted));
    assert_non_null(strchr(seen->signature, ' '));
    expect_last(&env, 1, OUTCOME_DELIVERED, ATTEMPT_none);
}

static void without_a_secret_it_is_posted_unsigned(void **state)
{
    struct webhook_endpoint doc = document("https://a.example/hook");

    (void)state;
    doc.secret_count = 0;
    publish(1, 1, &doc, 1);
    doc.secret_count = 1;
    doc.secrets[0].expires_ms = 1; /* one that had a secret never goes on without */
    publish(2, 1, &doc, 1);
    post_memory_rule("", POST_answered, 204, "");
    struct envelope bare = tell(1, 1, 1), expired = tell(2, 2, 1);
    run_until_read();
    assert_int_equal(post_memory_count(), 1);
    const struct post_memory_seen *seen = post_memory_get(0);
    assert_string_equal(seen->body, BODY);
    assert_true(seen->id[0] && seen->timestamp[0]);
    assert_string_equal(seen->signature, "");
    expect_last(&bare, 1, OUTCOME_DELIVERED, ATTEMPT_none);
    expect_last(&expired, 1, OUTCOME_DEAD, ATTEMPT_unreadable);
}

static void every_retry_has_its_time_and_the_last_is_dead(void **state)
{
    (void)state;
    endpoint(1, 1, "https://a.example/");
    post_memory_rule("", POST_answered, 500, "");
    struct envelope env = tell(1, 1, 1);
    for (size_t attempt = 0; attempt < RULES_DELAYS; attempt++) {
        for (int i = 0; i < 300 && bus_memory_count(rules_delays[attempt].topic) == 0; i++)
            runtime_turn(rt, 2);
        assert_int_equal(post_memory_count(), attempt + 1);
        const struct record *rec = bus_memory_get(rules_delays[attempt].topic, 0);
        struct envelope next;
        bool has_id;
        assert_true(rec && stage_envelope(rec, &next, &has_id));
        assert_int_equal(next.attempt, attempt + 1);
        struct webhook_attempt said;
        assert_int_equal(attempts_of(&env, &said), attempt + 1);
        int64_t ended_ms = said.at_ms + said.latency_us / 1000;
        assert_int_equal(rec->partition, rules_step(ended_ms));
        assert_int_equal(next.not_before_ms, ended_ms + rules_delay_ms(attempt, rec->partition));
        int64_t wait_ms = next.not_before_ms - wall(NULL) / 1000000;
        assert_in_range(wait_ms, rules_delays[attempt].ms * 88 / 100,
                        rules_delays[attempt].ms * 111 / 100);
        turns(20);
        hurry(wait_ms - 1500); /* not yet */
        turns(20);
        assert_int_equal(post_memory_count(), attempt + 1);
        hurry(1600);
    }
    run_until_read();
    expect_last(&env, RULES_DELAYS + 1, OUTCOME_DEAD, ATTEMPT_http_status);
    assert_int_equal(bus_memory_count(TOPIC_webhooks_dead), 1);
    assert_true(span_eq(bus_memory_get(TOPIC_webhooks_dead, 0)->value,
                        bus_memory_get(TOPIC_webhooks, 0)->value)); /* bytes never change */
}

static void a_head_that_waits_holds_its_own_partition_alone(void **state)
{
    int64_t now_ms = wall(NULL) / 1000000;

    (void)state;
    endpoint(1, 1, "https://a.example/");
    post_memory_rule("", POST_answered, 200, "");
    tell_from(1, 1, 1, TOPIC_webhooks_retry_5s, 3, now_ms + 4000);
    tell_from(2, 1, 1, TOPIC_webhooks_retry_5s, 3, now_ms + 14000);
    turns(10);
    tell_from(3, 1, 1, TOPIC_webhooks_retry_5s, 4, now_ms - 10);
    tell_from(4, 1, 1, TOPIC_webhooks_retry_1m, 3, now_ms - 10);
    tell(5, 1, 1);
    turns(60);
    assert_int_equal(post_memory_count(), 3);
    assert_int_equal(bus_memory_paused(TOPIC_webhooks_retry_5s), 1);
    assert_int_equal(bus_memory_paused(TOPIC_webhooks), 0);
    hurry(4050);
    turns(30);
    assert_int_equal(post_memory_count(), 4);
    hurry(10000);
    run_until_read();
    assert_int_equal(post_memory_count(), 5);
    assert_int_equal(bus_memory_paused(TOPIC_webhooks_retry_5s), 0);
}

static void retry_after_chooses_a_longer_delay(void **state)
{
    (void)state;
    endpoint(1, 1, "https://a.example/");
    post_memory_rule("", POST_answered, 429, "3000");
    struct envelope env = tell(1, 1, 1);
    for (int i = 0; i < 300 && bus_memory_count(TOPIC_attempts) == 0; i++)
        runtime_turn(rt, 2);
    turns(5);
    assert_int_equal(bus_memory_count(TOPIC_webhooks_retry_1h), 1);
    expect_last(&env, 1, OUTCOME_RETRY, ATTEMPT_http_status);
}

static void gone_disables_and_disabled_drops(void **state)
{
    struct webhook_endpoint doc = document("https://a.example/");
    struct webhook_attempt last;

    (void)state;
    publish(1, 1, &doc, 1);
    post_memory_rule("", POST_answered, 410, "");
    struct envelope env = tell(1, 1, 1);
    run_until_read();
    assert_int_equal(attempts_of(&env, &last), 1);
    assert_true(last.disable_endpoint && last.reason[0]);
    assert_int_equal(last.outcome, OUTCOME_DEAD);
    doc.disabled = true;
    publish(1, 1, &doc, 2);
    turns(5);
    env = tell(2, 1, 1);
    run_until_read();
    expect_last(&env, 1, OUTCOME_DROPPED, ATTEMPT_endpoint_disabled);
    publish(1, 1, NULL, 3); /* deleted */
    turns(5);
    env = tell(3, 1, 1);
    run_until_read();
    expect_last(&env, 1, OUTCOME_DROPPED, ATTEMPT_endpoint_unknown);
    assert_int_equal(post_memory_count(), 1);
}

static void unknown_endpoints_are_dropped_and_foreign_ones_too(void **state)
{
    (void)state;
    endpoint(1, 1, "https://a.example/");
    post_memory_rule("", POST_answered, 200, "");
    struct envelope unknown = tell(1, 7, 1), foreign = tell(2, 1, 2), good = tell(3, 1, 1);
    run_until_read();
    expect_last(&unknown, 1, OUTCOME_DROPPED, ATTEMPT_endpoint_unknown);
    expect_last(&foreign, 1, OUTCOME_DROPPED, ATTEMPT_endpoint_unknown);
    expect_last(&good, 1, OUTCOME_DELIVERED, ATTEMPT_none);
}

static void what_was_erased_is_not_told(void **state)
{
    struct envelope env = message(1, 1, 1);
    struct key_id key;
    BUF_AUTO struct buf sealed, aad;

    (void)state;
    endpoint(1, 1, "https://a.example/");
    buf_init(&sealed, 4096);
    buf_init(&aad, 256);
    env.retention_class = 30;
    assert_ok(keystore_current(keys, &env.project, 30, uuid_day(&env.id), &key, &err), err);
    env.key_number = key.number;
    envelope_aad(&env, RECORD_webhook, &aad);
    assert_ok(keystore_seal(keys, &key, &env.id, buf_span(&aad), SPAN_LIT(BODY), &sealed, &err),
              err);
    write_sealed(&env, "relay", TOPIC_webhooks, -1, buf_span(&sealed));
    post_memory_rule("", POST_answered, 500, "");
    for (int i = 0; i < 300 && post_memory_count() == 0; i++)
        runtime_turn(rt, 2);
    assert_string_equal(post_memory_get(0)->body, BODY);
    assert_ok(keystore_destroy_key(keys, &key, &err), err);
    hurry(6000); /* its retry */
    for (int i = 0; i < 300 && bus_memory_count(TOPIC_attempts) < 2; i++)
        runtime_turn(rt, 2);
    run_until_read();
    expect_last(&env, 2, OUTCOME_DROPPED, ATTEMPT_erased);
    assert_int_equal(post_memory_count(), 1);
}

static void forged_and_broken_records_do_nothing(void **state)
{
    struct envelope env = message(1, 1, 1);

    (void)state;
    endpoint(1, 1, "https://a.example/");
    post_memory_rule("", POST_answered, 200, "");
    write_sealed(&env, "gateway", TOPIC_webhooks, -1, SPAN_LIT("x")); /* may not write here */
    env = message(2, 1, 1);
    assert_ok(signing_sign(&signing, "relay", SPAN_LIT("x"), &env, &err), err);
    append(TOPIC_webhooks, -1, &env, SPAN_LIT("y")); /* another value */
    bus_memory_append(TOPIC_webhooks, 0, SPAN_LIT("k"), NULL, 0, SPAN_LIT("garbage"));
    env = message(3, 1, 1);
    write_sealed(&env, "relay", TOPIC_webhooks, -1, SPAN_LIT("cannot be opened"));
    run_until_read();
    assert_int_equal(bus_memory_count(TOPIC_dead), 3);
    assert_int_equal(post_memory_count(), 0);
    expect_last(&env, 1, OUTCOME_DEAD, ATTEMPT_unreadable);
}

/* ---- isolation ---- */
static void a_receiver_that_hangs_delays_nobody_else(void **state)
{
    (void)state;
    endpoint(1, 1, "https://hangs.example/");
    endpoint(2, 1, "https://quick.example/");
    post_memory_rule("quick", POST_answered, 200, "");
    post_memory_most("hangs");
    for (unsigned i = 0; i < 300; i++)
        tell(i, 1, 1);
    struct envelope last = {0};
    for (unsigned i = 0; i < 300; i++)
        last = tell(1000 + i, 2, 1);
    for (int i = 0; i < 400 && post_memory_to("quick") < 300; i++) /* below a second */
        runtime_turn(rt, 2);
    turns(10);
    assert_int_equal(post_memory_to("quick"), 300);
    expect_last(&last, 1, OUTCOME_DELIVERED, ATTEMPT_none);
    assert_int_equal(post_memory_most("hangs"), RULES_CAP_START);
    hurry(RULES_PATIENCE_MS + 100); /* those that waited in hand */
    turns(60);
    assert_int_equal(bus_memory_count(TOPIC_webhooks_retry_5s), 300 - RULES_CAP_START);
    assert_int_equal(post_memory_to("hangs"), RULES_CAP_START);
    assert_int_equal(metric_value(METRIC_deliveries_parked_total, "busy"), 300 - RULES_CAP_START);
    post_memory_rule("hangs", POST_timeout, 0, ""); /* and now everything goes on */
    turns(30);
    assert_true(metric_value(METRIC_deliveries_total, "retry") == RULES_CAP_START);
}

static void an_open_breaker_parks_before_a_socket_is_opened(void **state)
{
    (void)state;
    endpoint(1, 1, "https://dead.example/");
    post_memory_rule("dead", POST_connect_refused, 0, "");
    for (unsigned i = 0; i < 100; i++)
        tell(i, 1, 1);
    turns(100);
    size_t tried = post_memory_count();
    assert_in_range(tried, RULES_BREAKER_FAILURES, RULES_CAP_START);
    assert_int_equal(metric_value(METRIC_deliveries_parked_total, "breaker_open"), 100 - tried);
    hurry(5600); /* half-open: one alone is tried, the others are parked again */
    turns(100);
    assert_int_equal(post_memory_count(), tried + 1);
    post_memory_rule("dead", POST_answered, 200, "");
    for (int i = 0; i < 40 && metric_value(METRIC_deliveries_total, "delivered") < 100; i++) {
        hurry(5600);
        turns(60);
    }
    assert_int_equal(metric_value(METRIC_deliveries_total, "delivered"), 100);
}

/* ---- restarts ---- */
static void what_is_in_the_log_of_attempts_is_not_sent_again(void **state)
{
    (void)state;
    endpoint(1, 1, "https://a.example/");
    endpoint(2, 1, "https://slow.example/");
    post_memory_rule("a.example", POST_answered, 200, "");
    bus_memory_fail_commits(1000000, ERR_BROKER);
    for (unsigned i = 0; i < 50; i++)
        tell(i, 1, 1);
    tell(99, 2, 1); /* under way at the end */
    turns(60);
    assert_int_equal(post_memory_count(), 51);
    runtime_close(rt); /* as if killed */
    bus_memory_fail_commits(0, ERR_BROKER);
    open_runtime();
    post_memory_rule("slow", POST_answered, 200, "");
    run_until_read();
    assert_int_equal(post_memory_to("a.example"), 50);
    assert_int_equal(post_memory_to("slow"), 2);
    assert_int_equal(metric_value(METRIC_deliveries_repeated_total, NULL), 50);
    const char *ids[2];
    size_t found = 0;
    for (size_t i = 0; i < post_memory_count(); i++)
        if (strstr(post_memory_get(i)->url, "slow"))
            ids[found++] = post_memory_get(i)->id;
    assert_string_equal(ids[0], ids[1]);
}

/* The attempt was written, the retry was not: killed between the two. */
static void a_missing_retry_is_written_again(void **state)
{
    struct webhook_attempt attempt = {.source = TOPIC_webhooks,
                                      .at_ms = wall(NULL) / 1000000,
                                      .error = ATTEMPT_timeout,
                                      .latency_us = 15000000,
                                      .outcome = OUTCOME_RETRY};
    BUF_AUTO struct buf text;

    (void)state;
    close_runtime();
    endpoint(1, 1, "https://a.example/");
    struct envelope env = tell(1, 1, 1), next = env;
    env.type = RECORD_attempt;
    int32_t step = 11;
    attempt.next_due_ms = attempt.at_ms + 15000 + rules_delay_ms(0, step);
    buf_init(&text, ATTEMPT_BYTES_MAX);
    assert_ok(webhook_attempt_encode(&attempt, &text, &err), err);
    write_sealed(&env, "deliver", TOPIC_attempts, -1, buf_span(&text));
    open_runtime();
    for (int i = 0; i < 300 && bus_memory_count(TOPIC_webhooks_retry_5s) == 0; i++)
        runtime_turn(rt, 2);
    assert_int_equal(post_memory_count(), 0);
    const struct record *rec = bus_memory_get(TOPIC_webhooks_retry_5s, 0);
    bool has_id;
    assert_true(rec && stage_envelope(rec, &next, &has_id));
    assert_int_equal(rec->partition, step);
    assert_int_equal(next.attempt, 1);
    assert_int_equal(next.not_before_ms, attempt.next_due_ms);
}

static void nothing_more_is_sent_while_the_broker_is_silent(void **state)
{
    (void)state;
    endpoint(1, 1, "https://a.example/");
    endpoint(2, 1, "https://b.example/");
    post_memory_rule("", POST_answered, 200, "");
    bus_memory_hold_acks(true);
    tell(1, 1, 1);
    turns(20);
    assert_int_equal(post_memory_count(), 1);
    hurry(RULES_STALL_MS + 50);
    struct envelope second = tell(2, 2, 1);
    turns(20);
    assert_int_equal(post_memory_count(), 1); /* a kill now repeats one, not two */
    bus_memory_hold_acks(false);
    turns(20);
    assert_int_equal(post_memory_count(), 2);
    expect_last(&second, 1, OUTCOME_DELIVERED, ATTEMPT_none);
}

static void a_second_copy_is_sent_once(void **state)
{
    int64_t now_ms = wall(NULL) / 1000000;

    (void)state;
    endpoint(1, 1, "https://a.example/");
    tell_from(1, 1, 1, TOPIC_webhooks_retry_5s, 3, now_ms - 20);
    tell_from(1, 1, 1, TOPIC_webhooks_retry_5s, 3, now_ms - 10); /* while the first is under way */
    turns(40);
    assert_int_equal(post_memory_count(), 1);
    post_memory_rule("", POST_answered, 200, "");
    turns(20);
    tell_from(1, 1, 1, TOPIC_webhooks_retry_5s, 9, now_ms - 5); /* and after its end */
    run_until_read();
    assert_int_equal(post_memory_count(), 1);
    assert_int_equal(bus_memory_count(TOPIC_attempts), 1);
}

static void a_broker_that_fails_repeats_outputs_not_posts(void **state)
{
    (void)state;
    endpoint(1, 1, "https://a.example/");
    post_memory_rule("", POST_answered, 200, "");
    bus_memory_fail_deliveries(3, ERR_BROKER);
    struct envelope env = tell(1, 1, 1);
    for (int i = 0; i < 300 && bus_memory_count(TOPIC_attempts) == 0; i++) {
        hurry(100);
        runtime_turn(rt, 2);
    }
    run_until_read();
    assert_int_equal(post_memory_count(), 1);
    expect_last(&env, 1, OUTCOME_DELIVERED, ATTEMPT_none);
}

static void a_rebalance_takes_everything_back(void **state)
{
    (void)state;
    endpoint(1, 1, "https://a.example/");
    for (unsigned i = 0; i < 20; i++)
        tell(i, 1, 1);
    turns(30);
    assert_int_equal(post_memory_flying(), RULES_CAP_START);
    bus_memory_rebalance(false);
    turns(3);
    post_memory_rule("", POST_answered, 200, "");
    turns(60);
    run_until_read();
    assert_int_equal(metric_value(METRIC_deliveries_total, "delivered"), 20);
    assert_int_equal(bus_memory_count(TOPIC_attempts), 20);
}

static void a_stop_waits_for_what_is_under_way(void **state)
{
    (void)state;
    endpoint(1, 1, "https://a.example/");
    struct envelope env = tell(1, 1, 1);
    turns(30);
    assert_int_equal(post_memory_flying(), 1);
    runtime_stop(rt);
    turns(20);
    assert_int_equal(bus_memory_count(TOPIC_attempts), 0);
    post_memory_rule("", POST_answered, 200, "");
    for (int i = 0; i < 300 && runtime_turn(rt, 2); i++)
        ;
    assert_int_equal(unread(), 0);
    expect_last(&env, 1, OUTCOME_DELIVERED, ATTEMPT_none);
    runtime_close(rt);
    open_runtime();
}

/* ---- set-up ---- */
static int remove_one(const char *path, const struct stat *st, int type, struct FTW *at)
{
    (void)st, (void)type, (void)at;
    return remove(path);
}

static int set_up(void **state)
{
    char path[128];
    struct secret secret;

    (void)state;
    assert_non_null(mkdtemp(dir));
    rnd = rnd_system();
    memset(webhooks.bytes, 3, sizeof webhooks.bytes);
    memset(secret.bytes, 2, sizeof secret.bytes);
    signing_init(&signing, secret.bytes);
    for (int i = 0; i < 2; i++) {
        snprintf(path, sizeof path, "%s/%s", dir, i ? "webhooks" : "signing");
        FILE *file = fopen(path, "w");
        assert_non_null(file);
        fwrite(i ? webhooks.bytes : secret.bytes, 1, 32, file);
        fclose(file);
        chmod(path, 0600);
        setenv(i ? "RUSTBOX_SECRETS_WEBHOOKS_FILE" : "RUSTBOX_SECRETS_SIGNING_FILE", path, 1);
    }
    snprintf(path, sizeof path, "%s/keys", dir);
    assert_int_equal(mkdir(path, 0700), 0);
    setenv("RUSTBOX_KEYSTORE_DIR", path, 1);
    assert_ok(keystore_open(path, KEYSTORE_CREATE, &rnd, &keys, &err), err);
    assert_ok(config_load(NULL, &config, &err), err);
    return 0;
}

static int tear_down(void **state)
{
    (void)state;
    bus_memory_reset();
    post_memory_reset();
    keystore_close(keys);
    signing_done(&signing);
    config_free(config);
    nftw(dir, remove_one, 16, FTW_DEPTH | FTW_PHYS);
    return 0;
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, before, after)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(a_message_is_signed_posted_and_recorded),
        TEST(without_a_secret_it_is_posted_unsigned),
        TEST(every_retry_has_its_time_and_the_last_is_dead),
        TEST(a_head_that_waits_holds_its_own_partition_alone),
        TEST(retry_after_chooses_a_longer_delay),
        TEST(gone_disables_and_disabled_drops),
        TEST(unknown_endpoints_are_dropped_and_foreign_ones_too),
        TEST(what_was_erased_is_not_told),
        TEST(forged_and_broken_records_do_nothing),
        TEST(a_receiver_that_hangs_delays_nobody_else),
        TEST(an_open_breaker_parks_before_a_socket_is_opened),
        TEST(what_is_in_the_log_of_attempts_is_not_sent_again),
        TEST(a_missing_retry_is_written_again),
        TEST(nothing_more_is_sent_while_the_broker_is_silent),
        TEST(a_second_copy_is_sent_once),
        TEST(a_broker_that_fails_repeats_outputs_not_posts),
        TEST(a_rebalance_takes_everything_back),
        TEST(a_stop_waits_for_what_is_under_way),
    };
    cmocka_set_test_filter(getenv("RUSTBOX_TEST_ONLY")); /* tests/integration/protections */
    return cmocka_run_group_tests(tests, set_up, tear_down);
}
