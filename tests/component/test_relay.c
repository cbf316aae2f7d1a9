/* relay and the attempts of persist on a real PostgreSQL: endpoints before their messages, marks
 * after the acknowledgement alone, one webhook-id for ever, bodies, what was erased, and what
 * deliveries do to rows. */
#include "lib/metrics/metrics.h"
#include "stage_bench.h"
#include <cjson/cJSON.h>
#include <sys/select.h>

static const uint8_t secret[KEY_BYTES] = {3, 3, 3, 3, 3, 3, 3, 3, 3, 3, 3, 3, 3, 3, 3, 3,
                                          3, 3, 3, 3, 3, 3, 3, 3, 3, 3, 3, 3, 3, 3, 3, 3};
#define COUNT(from) bench_sql("SELECT count(*) FROM rustbox." from)

static void *open_stage(const struct stage *stage)
{
    struct err err;
    void *self;
    assert_ok(stage->open(&bench.env, &self, &err), err);
    return self;
}

static void run_stage(const struct stage *stage, size_t from, size_t to)
{
    struct err err;
    void *self = open_stage(stage);
    assert_ok(bench_run(stage, self, from, to, NULL, 0, &err), err);
    stage->close(self);
}

/* One turn; true when it published something, which is acknowledged on `ack`. */
static bool turn(void *self, bool ack)
{
    struct err err;
    assert_ok(bench_run(&relay_stage, self, 0, 0, NULL, 0, &err), err);
    if (bench.out.count > 0 && ack)
        assert_ok(relay_stage.acked(self, &err), err);
    return bench.out.count > 0;
}

static struct uuid add_endpoint(const char *events, const struct uuid *submission)
{
    struct err err;
    struct uuid id = uuid_v7(&bench.clock, &bench.rnd), project = bench_project(PROJECT_FREE);
    struct webhook_endpoint doc = {.url = "https://example.com/hook", .secret_count = 1};
    BUF_AUTO struct buf sealed = {.max = WEBHOOK_SEALED_MAX};
    webhook_secret_make(WEBHOOK_V1, &bench.rnd, 5, &doc.secrets[0]);
    assert_ok(webhook_endpoint_seal(secret, &bench.rnd, &project, &id, &doc, &sealed, &err), err);
    static const struct db_statement insert = {
        "add_endpoint",
        "INSERT INTO rustbox.webhook_endpoints (id, project_id, kind, submission_id, events, "
        "sealed, created_at) VALUES ($1, $2, $3, $4, string_to_array($5, ','), $6, '2026-01-01')"};
    struct db_param params[] = {
        db_uuid(&id),        db_uuid(&project), db_text(submission ? "submission" : "project"),
        db_uuid(submission), db_text(events),   db_bytes(buf_span(&sealed))};
    assert_ok(db_exec(bench.sql, &insert, params, COUNT_OF(params), NULL, &err), err);
    return id;
}

static const struct output *published(size_t at, enum topic topic)
{
    assert_true(at < bench.out.count);
    assert_int_equal(bench.out.items[at].topic, topic);
    struct span value = buf_span(&bench.out.items[at].value);
    assert_null(signing_distrust(&bench.signing, topic, &bench.out.items[at].env, &value));
    return &bench.out.items[at];
}

static cJSON *body_of(const struct output *out)
{
    struct err err;
    BUF_AUTO struct buf plain = {.max = WEBHOOK_BODY_MAX}, aad = {.max = 256};
    if (out->env.retention_class == 0) {
        assert_ok(webhook_body_open(secret, &out->env, buf_span(&out->value), &plain, &err), err);
    } else {
        struct key_id key = {out->env.project, out->env.retention_class, uuid_day(&out->env.id),
                             out->env.key_number};
        envelope_aad(&out->env, RECORD_webhook, &aad);
        assert_ok(keystore_open_record(bench.ks, &key, &out->env.id, buf_span(&aad),
                                       buf_span(&out->value), &plain, &err),
                  err);
    }
    cJSON *json = cJSON_ParseWithLength(plain.data, plain.len);
    assert_non_null(json);
    return json;
}

static const char *text_at(const cJSON *json, const char *a, const char *b)
{
    const cJSON *item = cJSON_GetObjectItemCaseSensitive(json, a);
    if (b)
        item = cJSON_GetObjectItemCaseSensitive(item, b);
    return cJSON_IsString(item) ? item->valuestring : "";
}

static void verdict(size_t of, int exit_code)
{
    bench_verdict(&bench.log[of], exit_code, 10);
    run_stage(&persist_stage, bench.lines - 1, bench.lines);
}

static void endpoints_go_before_their_messages(void **state)
{
    (void)state;
    char id[UUID_TEXT];
    struct uuid endpoint = add_endpoint("submission.completed", NULL);
    add_endpoint("submission.failed", NULL);
    bench_submit(PROJECT_FREE, NULL, "a");
    run_stage(&admit_stage, 0, 1);
    verdict(0, 0);
    assert_int_equal(COUNT("outbox"), 1);
    void *relay = open_stage(&relay_stage);
    assert_true(turn(relay, true));
    assert_int_equal(bench.out.count, 2);
    published(0, TOPIC_endpoints);
    assert_int_equal(COUNT("webhook_endpoints WHERE published_version = version"), 2);
    assert_true(turn(relay, true));
    assert_int_equal(bench.out.count, 1);
    const struct output *out = published(0, TOPIC_webhooks);
    assert_true(uuid_eq(&out->env.endpoint, &endpoint));
    struct uuid wanted = webhook_message_id(secret, &bench.log[0].env.id,
                                            WEBHOOK_EVENT_submission_completed, &endpoint);
    assert_true(uuid_eq(&out->env.message, &wanted));
    cJSON *body = body_of(out);
    uuid_format(&bench.log[0].env.id, id);
    assert_string_equal(text_at(body, "type", NULL), "submission.completed");
    assert_string_equal(text_at(body, "data", "id"), id);
    assert_string_equal(text_at(body, "data", "stdout"), "out");
    cJSON_Delete(body);
    assert_int_equal(COUNT("outbox WHERE published_at IS NOT NULL AND message_id IS NOT NULL"), 1);
    assert_false(turn(relay, true));
    relay_stage.close(relay);
}

/* Killed between the acknowledgement and the mark: published again, under the same id. */
static void a_crash_repeats_the_same_id(void **state)
{
    (void)state;
    add_endpoint("submission.completed", NULL);
    bench_submit(PROJECT_FREE, NULL, "a");
    run_stage(&admit_stage, 0, 1);
    verdict(0, 0);
    void *relay = open_stage(&relay_stage), *other = open_stage(&relay_stage);
    assert_true(turn(relay, true));
    assert_true(turn(relay, false));
    struct uuid first = published(0, TOPIC_webhooks)->env.message;
    assert_false(turn(other, true)); /* skipped, not waited for */
    relay_stage.close(relay);
    relay = open_stage(&relay_stage);
    assert_int_equal(COUNT("outbox WHERE published_at IS NULL"), 1);
    assert_true(turn(relay, true));
    assert_true(uuid_eq(&published(0, TOPIC_webhooks)->env.message, &first));
    assert_false(turn(other, true));
    relay_stage.close(relay);
    relay_stage.close(other);
}

static void aliases_show_their_own_id(void **state)
{
    (void)state;
    char id[UUID_TEXT];
    add_endpoint("submission.failed,submission.completed", NULL);
    bench_submit(PROJECT_FREE, "key", "same");
    bench_submit(PROJECT_FREE, "key", "same");
    run_stage(&admit_stage, 0, 2);
    assert_int_equal(COUNT("submissions WHERE decision = 'alias'"), 1);
    verdict(0, 1);
    assert_int_equal(COUNT("outbox"), 2);
    void *relay = open_stage(&relay_stage);
    assert_true(turn(relay, true));
    assert_true(turn(relay, true));
    assert_int_equal(bench.out.count, 2);
    for (size_t i = 0; i < 2; i++) {
        const struct output *out = published(i, TOPIC_webhooks);
        cJSON *body = body_of(out);
        uuid_format(&out->env.id, id);
        assert_string_equal(text_at(body, "data", "id"), id);
        cJSON_Delete(body);
    }
    assert_false(uuid_eq(&bench.out.items[0].env.id, &bench.out.items[1].env.id));
    relay_stage.close(relay);
}

static void the_erased_is_not_told(void **state)
{
    (void)state;
    struct err err;
    add_endpoint("submission.completed", NULL);
    bench_submit(PROJECT_FREE, NULL, "a");
    run_stage(&admit_stage, 0, 1);
    verdict(0, 0);
    struct key_id key = {bench_project(PROJECT_FREE), 30, uuid_day(&bench.log[0].env.id),
                         bench.log[0].env.key_number};
    assert_ok(keystore_destroy_key(bench.ks, &key, &err), err);
    void *relay = open_stage(&relay_stage);
    assert_true(turn(relay, true));
    assert_false(turn(relay, true));
    assert_int_equal(COUNT("outbox WHERE state = 'dropped' AND last_error = 'erased' AND "
                           "published_at IS NOT NULL"),
                     1);
    relay_stage.close(relay);
}

static void deleted_endpoints_leave_a_tombstone(void **state)
{
    (void)state;
    struct err err;
    struct webhook_endpoint doc;
    struct uuid project = bench_project(PROJECT_FREE);
    struct uuid id = add_endpoint("submission.completed", NULL);
    void *relay = open_stage(&relay_stage);
    assert_true(turn(relay, true));
    assert_ok(db_script(bench.sql,
                        "UPDATE rustbox.webhook_endpoints SET version = 2, disabled_at = now()",
                        &err),
              err);
    assert_true(turn(relay, true));
    const struct output *out = published(0, TOPIC_endpoints);
    assert_int_equal(out->env.generation, 2);
    assert_ok(webhook_endpoint_open(secret, &project, &id, buf_span(&out->value), &doc, &err), err);
    assert_true(doc.disabled);
    assert_ok(db_script(bench.sql,
                        "UPDATE rustbox.webhook_endpoints SET version = 3, sealed = NULL, "
                        "deleted_at = now()",
                        &err),
              err);
    assert_true(turn(relay, true));
    out = published(0, TOPIC_endpoints);
    assert_int_equal(out->env.generation, 3);
    assert_int_equal(out->value.len, 0);
    assert_false(turn(relay, true));
    relay_stage.close(relay);
}

static void work_wakes_it(void **state)
{
    (void)state;
    void *relay = open_stage(&relay_stage);
    assert_false(turn(relay, true));
    assert_true(relay_stage.next_due_ms(relay) > clock_mono_ms(&bench.clock));
    add_endpoint("submission.completed", NULL);
    struct timeval second = {.tv_sec = 1};
    fd_set set;
    FD_ZERO(&set);
    FD_SET(relay_stage.fd(relay), &set);
    assert_int_equal(select(relay_stage.fd(relay) + 1, &set, NULL, NULL, &second), 1);
    assert_true(turn(relay, true));
    relay_stage.close(relay);
}

/* ---- what deliver says of a message ---- */

static struct envelope publish_one(void *relay)
{
    while (turn(relay, true))
        if (bench.out.items[0].topic == TOPIC_webhooks)
            return bench.out.items[0].env;
    fail_msg("nothing was published");
    return (struct envelope){.type = RECORD_COUNT};
}

static struct webhook_attempt failed(void)
{
    return (struct webhook_attempt){.source = TOPIC_webhooks,
                                    .at_ms = clock_wall_ms(&bench.clock),
                                    .address = "192.0.2.1",
                                    .port = 443,
                                    .status = 500,
                                    .error = ATTEMPT_http_status,
                                    .latency_us = 1500,
                                    .outcome = OUTCOME_RETRY,
                                    .next_due_ms = clock_wall_ms(&bench.clock) + 5000};
}

static void attempts_move_their_message(void **state)
{
    (void)state;
    add_endpoint("submission.completed", NULL);
    bench_submit(PROJECT_FREE, NULL, "a");
    run_stage(&admit_stage, 0, 1);
    verdict(0, 0);
    void *relay = open_stage(&relay_stage);
    struct envelope env = publish_one(relay);
    struct webhook_attempt attempt = failed();
    size_t from = bench.lines;
    bench_attempt(&env, &attempt);
    run_stage(&persist_stage, from, bench.lines);
    assert_int_equal(COUNT("outbox WHERE state = 'pending' AND attempts = 1 AND last_status = 500 "
                           "AND next_due_at > now()"),
                     1);
    attempt.outcome = OUTCOME_PARKED; /* no attempt */
    env.attempt = 1;
    bench_attempt(&env, &attempt);
    attempt.outcome = OUTCOME_DELIVERED;
    attempt.status = 204;
    attempt.error = ATTEMPT_none;
    attempt.next_due_ms = 0;
    bench_attempt(&env, &attempt);
    run_stage(&persist_stage, from, bench.lines); /* all again, the first one too */
    run_stage(&persist_stage, from, from + 1);
    assert_int_equal(COUNT("webhook_attempts"), 2);
    assert_int_equal(COUNT("outbox WHERE state = 'delivered' AND attempts = 2 AND "
                           "last_status = 204 AND next_due_at IS NULL"),
                     1);
    /* asked for again: what is said of the former generation changes nothing */
    struct err err;
    assert_ok(db_script(bench.sql,
                        "UPDATE rustbox.outbox SET generation = 1, published_at = NULL, "
                        "state = 'pending', attempts = 0",
                        &err),
              err);
    run_stage(&persist_stage, from, bench.lines);
    assert_int_equal(COUNT("outbox WHERE state = 'pending' AND attempts = 0"), 1);
    struct envelope again = publish_one(relay);
    assert_int_equal(again.generation, 1);
    assert_true(uuid_eq(&again.message, &env.message));
    relay_stage.close(relay);
}

static void a_gone_endpoint_is_disabled_and_told(void **state)
{
    (void)state;
    struct uuid gone = add_endpoint("submission.completed", NULL);
    struct uuid other = add_endpoint("endpoint.disabled", NULL);
    char id[UUID_TEXT];
    bench_submit(PROJECT_FREE, NULL, "a");
    run_stage(&admit_stage, 0, 1);
    verdict(0, 0);
    void *relay = open_stage(&relay_stage);
    struct envelope env = publish_one(relay);
    struct webhook_attempt attempt = failed();
    attempt.outcome = OUTCOME_DEAD;
    attempt.disable_endpoint = true;
    attempt.status = 410;
    attempt.error = ATTEMPT_gone;
    snprintf(attempt.reason, sizeof attempt.reason, "the receiver answered 410");
    size_t from = bench.lines;
    bench_attempt(&env, &attempt);
    run_stage(&persist_stage, from, bench.lines);
    run_stage(&persist_stage, from, bench.lines);
    assert_int_equal(COUNT("webhook_endpoints WHERE disabled_at IS NOT NULL AND "
                           "disabled_reason = 'the receiver answered 410' AND version = 2"),
                     1);
    assert_int_equal(COUNT("outbox WHERE event = 'endpoint.disabled'"), 1);
    env = publish_one(relay);
    assert_true(uuid_eq(&env.endpoint, &other));
    cJSON *body = body_of(published(0, TOPIC_webhooks));
    uuid_format(&gone, id);
    assert_string_equal(text_at(body, "type", NULL), "endpoint.disabled");
    assert_string_equal(text_at(body, "data", "endpoint_id"), id);
    cJSON_Delete(body);
    /* enabled by hand meanwhile: the old attempt does not disable it again */
    struct err err;
    assert_ok(db_script(bench.sql,
                        "UPDATE rustbox.webhook_endpoints SET disabled_at = NULL, "
                        "disabled_reason = NULL, enabled_at = now() + interval '1 second'",
                        &err),
              err);
    run_stage(&persist_stage, from, bench.lines);
    assert_int_equal(COUNT("webhook_endpoints WHERE disabled_at IS NOT NULL"), 0);
    relay_stage.close(relay);
}

/* ---- all failing for 120 hours ---- */

#define HOUR_MS INT64_C(3600000)
#define DISABLED COUNT("webhook_endpoints WHERE disabled_at IS NOT NULL")
#define FAILING COUNT("webhook_endpoints WHERE failing_since IS NOT NULL")

static int64_t began_ms;

/* A message to an endpoint, and another endpoint that is told of its end. */
static struct envelope message_of_two(void)
{
    add_endpoint("submission.completed", NULL);
    add_endpoint("endpoint.disabled", NULL);
    bench_submit(PROJECT_FREE, NULL, "a");
    run_stage(&admit_stage, 0, 1);
    verdict(0, 0);
    void *relay = open_stage(&relay_stage);
    struct envelope env = publish_one(relay);
    relay_stage.close(relay);
    began_ms = clock_wall_ms(&bench.clock);
    return env;
}

/* Its next attempt, so long from now; stored by a persist that was just started. */
static size_t attempt_at(struct envelope *env, int64_t ms, enum attempt_outcome outcome,
                         enum attempt_error error)
{
    struct webhook_attempt attempt = failed();
    size_t at = bench.lines;
    attempt.at_ms = began_ms + ms;
    attempt.outcome = outcome;
    attempt.error = error;
    attempt.status = outcome == OUTCOME_DELIVERED ? 204 : 0;
    bench_attempt(env, &attempt);
    env->attempt++;
    run_stage(&persist_stage, at, at + 1);
    return at;
}
#define FAIL(hours) attempt_at(&env, (hours)*HOUR_MS, OUTCOME_RETRY, ATTEMPT_timeout)
#define SUCCEED(hours) attempt_at(&env, (hours)*HOUR_MS, OUTCOME_DELIVERED, ATTEMPT_none)

static void all_failing_for_120_hours_disables(void **state)
{
    (void)state;
    struct envelope env = message_of_two();
    size_t from = FAIL(1);
    FAIL(60);
    attempt_at(&env, 121 * HOUR_MS - 1, OUTCOME_DEAD, ATTEMPT_connect_refused);
    run_stage(&persist_stage, from, bench.lines);
    assert_int_equal(DISABLED, 0);
    assert_int_equal(FAILING, 1);
    FAIL(121);
    assert_int_equal(COUNT("webhook_endpoints WHERE disabled_at IS NOT NULL AND version = 2 AND "
                           "disabled_reason = 'every delivery failed for 120 hours'"),
                     1);
    assert_int_equal(COUNT("outbox WHERE event = 'endpoint.disabled'"), 1);
    run_stage(&persist_stage, from, bench.lines); /* all again */
    FAIL(122);
    assert_int_equal(COUNT("outbox WHERE event = 'endpoint.disabled'"), 1);
    assert_int_equal(COUNT("webhook_endpoints WHERE version > 2"), 0);
    /* enabled by hand: what was before says nothing, also when it is read again */
    struct err err;
    assert_ok(db_script(bench.sql,
                        "UPDATE rustbox.webhook_endpoints SET disabled_at = NULL, "
                        "disabled_reason = NULL, enabled_at = now() + interval '123 hours'",
                        &err),
              err);
    run_stage(&persist_stage, from, bench.lines);
    FAIL(124);
    assert_int_equal(DISABLED, 0);
    FAIL(244);
    assert_int_equal(DISABLED, 1);
}

static void a_success_begins_anew(void **state)
{
    (void)state;
    struct envelope env = message_of_two();
    size_t first = FAIL(1);
    FAIL(100);
    SUCCEED(101);
    assert_int_equal(FAILING, 0);
    run_stage(&persist_stage, first, first + 1); /* a former owner repeats the failure alone */
    assert_int_equal(FAILING, 0);
    FAIL(122);
    SUCCEED(110); /* was answered late, and is older than the failure */
    assert_int_equal(FAILING, 1);
    FAIL(241);
    assert_int_equal(DISABLED, 0);
    FAIL(242);
    assert_int_equal(DISABLED, 1);
}

static void enabling_by_hand_begins_anew(void **state)
{
    (void)state;
    struct err err;
    struct envelope env = message_of_two();
    FAIL(1);
    assert_ok(db_script(bench.sql, /* was switched off for some time */
                        "UPDATE rustbox.webhook_endpoints SET enabled_at = now() + "
                        "interval '50 hours'",
                        &err),
              err);
    FAIL(60);
    FAIL(122);
    assert_int_equal(DISABLED, 0);
    FAIL(180);
    assert_int_equal(DISABLED, 1);
}

static void what_is_no_fault_of_the_receiver_does_not_count(void **state)
{
    (void)state;
    struct envelope env = message_of_two();
    attempt_at(&env, HOUR_MS, OUTCOME_DEAD, ATTEMPT_unreadable);
    attempt_at(&env, HOUR_MS, OUTCOME_RETRY, ATTEMPT_internal);
    attempt_at(&env, HOUR_MS, OUTCOME_DROPPED, ATTEMPT_erased);
    attempt_at(&env, HOUR_MS, OUTCOME_PARKED, ATTEMPT_breaker_open);
    assert_int_equal(FAILING, 0);
    FAIL(2);
    attempt_at(&env, 200 * HOUR_MS, OUTCOME_DROPPED, ATTEMPT_erased);
    assert_int_equal(DISABLED, 0);
}

static void a_one_submission_endpoint_goes_with_its_delivery(void **state)
{
    (void)state;
    char id[UUID_TEXT];
    bench_submit(PROJECT_FREE, NULL, "a");
    bench_submit(PROJECT_FREE, NULL, "b");
    add_endpoint("submission.completed,submission.failed", &bench.log[0].env.id);
    run_stage(&admit_stage, 0, 2);
    verdict(0, 0);
    verdict(1, 0);
    assert_int_equal(COUNT("outbox"), 1);
    void *relay = open_stage(&relay_stage);
    struct envelope env = publish_one(relay);
    cJSON *body = body_of(published(0, TOPIC_webhooks));
    uuid_format(&bench.log[0].env.id, id);
    assert_string_equal(text_at(body, "id", NULL), id); /* the bare body */
    cJSON_Delete(body);
    struct webhook_attempt attempt = failed();
    attempt.outcome = OUTCOME_DELIVERED;
    size_t from = bench.lines;
    bench_attempt(&env, &attempt);
    run_stage(&persist_stage, from, bench.lines);
    assert_int_equal(COUNT("webhook_endpoints WHERE deleted_at IS NOT NULL AND sealed IS NULL"), 1);
    assert_true(turn(relay, true));
    assert_int_equal(published(0, TOPIC_endpoints)->value.len, 0);
    relay_stage.close(relay);
}

/* Its sender was answered 422 and knows no id: neither the project's endpoint nor its own is told,
 * and its own is not kept. A rejection of another kind is told. */
static void a_conflict_is_told_to_nobody(void **state)
{
    (void)state;
    struct err err;
    add_endpoint("submission.failed", NULL);
    bench.webhook_url = "https://example.com/hook";
    bench_submit(PROJECT_FREE, "k", "a");
    struct line *conflict = bench_submit(PROJECT_FREE, "k", "b");
    bench.webhook_url = NULL;
    struct line *empty = bench_submit(PROJECT_FREE, NULL, "");
    void *admit = open_stage(&admit_stage);
    assert_ok(bench_run(&admit_stage, admit, 0, 3, NULL, 0, &err), err);
    admit_stage.close(admit);
    assert_int_equal(bench_outputs(conflict, TOPIC_verdicts), 1);
    assert_int_equal(COUNT("webhook_endpoints WHERE kind = 'submission'"), 1);
    size_t from = bench.lines;
    for (size_t i = 0; i < bench.out.count; i++)
        if (bench.out.items[i].topic == TOPIC_verdicts)
            bench_take(&bench.out.items[i]);
    assert_int_equal(bench.lines - from, 2);
    run_stage(&persist_stage, from, bench.lines);
    assert_int_equal(COUNT("evidence"), 2);
    assert_int_equal(COUNT("outbox"), 1);
    static const struct db_statement told = {
        "told", "SELECT count(*) FROM rustbox.outbox WHERE submission_id = $1"};
    struct db_param param = db_uuid(&empty->env.id);
    DB_RESULT_AUTO rows = {0};
    assert_ok(db_exec(bench.sql, &told, &param, 1, &rows, &err), err);
    assert_int_equal(db_get_int(&rows, 0, 0), 1);
}

static void forged_attempts_change_nothing(void **state)
{
    (void)state;
    add_endpoint("submission.completed", NULL);
    bench_submit(PROJECT_FREE, NULL, "a");
    run_stage(&admit_stage, 0, 1);
    verdict(0, 0);
    void *relay = open_stage(&relay_stage), *persist = open_stage(&persist_stage);
    struct envelope env = publish_one(relay);
    struct webhook_attempt attempt = failed();
    attempt.disable_endpoint = true;
    size_t from = bench.lines;
    struct line *forged[3];
    for (size_t i = 0; i < COUNT_OF(forged); i++)
        forged[i] = bench_attempt(&env, &attempt);
    forged[0]->env.signature[3] ^= 1;
    bench_headers(forged[0]);
    bench_sign_as(forged[1], "relay");
    forged[2]->value.data[12] ^= 1;
    bench_headers(forged[2]);
    struct err err;
    struct mark mark = {TOPIC_attempts, 3, 7};
    assert_ok(bench_run(&persist_stage, persist, from, bench.lines, &mark, 1, &err), err);
    assert_int_equal(bench_dead(), COUNT_OF(forged));
    assert_int_equal(COUNT("webhook_attempts"), 0);
    assert_int_equal(COUNT("webhook_endpoints WHERE disabled_at IS NOT NULL"), 0);
    /* the offset waits for the dead letters, then moves */
    assert_int_equal(bench_sql("SELECT max(next_offset) FROM rustbox.consumer_offsets WHERE "
                               "topic = 'attempts'"),
                     0);
    assert_ok(bench_run(&persist_stage, persist, from, from, &mark, 1, &err), err);
    assert_int_equal(bench_sql("SELECT max(next_offset) FROM rustbox.consumer_offsets WHERE "
                               "topic = 'attempts'"),
                     7);
    assert_int_equal(bench_sql("SELECT max(next_offset) FROM rustbox.consumer_offsets WHERE "
                               "topic = 'verdicts'"),
                     0);
    persist_stage.close(persist);
    relay_stage.close(relay);
}

/* RUSTBOX_BENCH_ROWS=n: how many messages a second relay renders, seals and marks. */
static void measure(void **state)
{
    (void)state;
    const char *wanted = getenv("RUSTBOX_BENCH_ROWS");
    if (!wanted)
        skip();
    size_t rows = 0, batches = (size_t)strtoul(wanted, NULL, 10) / 400;
    int64_t spent = 0;
    add_endpoint("submission.completed", NULL);
    void *relay = open_stage(&relay_stage);
    assert_true(turn(relay, true));
    for (size_t batch = 0; batch < batches; batch++) {
        for (size_t i = 0; i < 400; i++)
            bench_submit(PROJECT_FREE, NULL, "bench");
        run_stage(&admit_stage, 0, 400);
        for (size_t i = 0; i < 400; i++)
            bench_verdict(&bench.log[i], 0, 1000);
        run_stage(&persist_stage, 400, 800);
        int64_t start = clock_system.mono_ns(&clock_system);
        while (turn(relay, true))
            rows += bench.out.count;
        spent += clock_system.mono_ns(&clock_system) - start;
        for (size_t i = 0; i < bench.lines; i++) {
            buf_done(&bench.log[i].value);
            arena_done(&bench.log[i].arena);
        }
        bench.lines = 0;
    }
    printf("relay: %zu messages in %.0f ms: %.0f messages/s\n", rows, (double)spent / 1e6,
           (double)rows * 1e9 / (double)spent);
    relay_stage.close(relay);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup(endpoints_go_before_their_messages, bench_clean),
        cmocka_unit_test_setup(a_crash_repeats_the_same_id, bench_clean),
        cmocka_unit_test_setup(aliases_show_their_own_id, bench_clean),
        cmocka_unit_test_setup(the_erased_is_not_told, bench_clean),
        cmocka_unit_test_setup(deleted_endpoints_leave_a_tombstone, bench_clean),
        cmocka_unit_test_setup(work_wakes_it, bench_clean),
        cmocka_unit_test_setup(attempts_move_their_message, bench_clean),
        cmocka_unit_test_setup(a_gone_endpoint_is_disabled_and_told, bench_clean),
        cmocka_unit_test_setup(a_one_submission_endpoint_goes_with_its_delivery, bench_clean),
        cmocka_unit_test_setup(all_failing_for_120_hours_disables, bench_clean),
        cmocka_unit_test_setup(a_success_begins_anew, bench_clean),
        cmocka_unit_test_setup(enabling_by_hand_begins_anew, bench_clean),
        cmocka_unit_test_setup(what_is_no_fault_of_the_receiver_does_not_count, bench_clean),
        cmocka_unit_test_setup(a_conflict_is_told_to_nobody, bench_clean),
        cmocka_unit_test_setup(forged_attempts_change_nothing, bench_clean),
        cmocka_unit_test_setup(measure, bench_clean),
    };
    return cmocka_run_group_tests(tests, bench_setup, bench_teardown);
}
