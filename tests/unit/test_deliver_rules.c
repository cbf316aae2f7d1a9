/* consumers/deliver_rules: the schedule, Retry-After, what an answer means, breaker, cap, shares.
 */
#include "consumers/deliver_rules.h"
#include "lib/base/clock.h"
#include "tests/unit/unit.h"

#define NOW_MS INT64_C(1790000000000) /* Monday 2026-09-21 14:13:20 UTC */
#define HOUR_MS INT64_C(3600000)

/* ---- the schedule ---- */

static void delays_are_the_contract_with_ten_percent_of_jitter(void **state)
{
    static const int64_t seconds[] = {5, 60, 600, 3600, 21600, 86400};

    (void)state;
    for (size_t d = 0; d < RULES_DELAYS; d++) {
        assert_int_equal(rules_delays[d].ms, seconds[d] * 1000);
        assert_int_equal(topic_spec(rules_delays[d].topic)->partitions, RULES_STEPS);
        assert_int_equal(rules_delay_ms(d, 0), seconds[d] * 900);
        assert_int_equal(rules_delay_ms(d, RULES_STEPS - 1), seconds[d] * 1100);
        for (int32_t step = 1; step < RULES_STEPS; step++)
            assert_true(rules_delay_ms(d, step) > rules_delay_ms(d, step - 1));
    }
}

static void records_of_the_same_moment_share_a_step_and_all_steps_are_used(void **state)
{
    size_t used[RULES_STEPS] = {0};

    (void)state;
    for (int64_t ms = 1700000000000; ms < 1700000016000; ms++) {
        int32_t step = rules_step(ms);
        assert_true(step >= 0 && step < RULES_STEPS);
        assert_int_equal(step, rules_step(ms & ~INT64_C(15)));
        used[step]++;
    }
    for (int i = 0; i < RULES_STEPS; i++)
        assert_in_range(used[i], 950, 1050);
}

static void a_wait_finds_the_nearest_longer_delay(void **state)
{
    static const struct {
        int64_t wait_ms;
        int32_t step;
        size_t delay;
        int32_t later;
    } cases[] = {
        {0, 0, 0, 0},           {4500, 0, 0, 0},         {4501, 0, 0, 1},
        {5500, 3, 0, 15},       {5501, 3, 1, 3},         {54000, 0, 1, 0},
        {66001, 0, 2, 0},       {660000, 0, 2, 15},      {660001, 9, 3, 9},
        {6 * HOUR_MS, 0, 4, 8}, {24 * HOUR_MS, 0, 5, 8}, {30 * HOUR_MS, 2, 5, 15},
    };

    (void)state;
    for (size_t i = 0; i < COUNT_OF(cases); i++) {
        int32_t step = cases[i].step;
        size_t delay = rules_delay_for(cases[i].wait_ms, &step);
        if (delay != cases[i].delay || step != cases[i].later)
            fail_msg("%lld: delay %zu step %d", (long long)cases[i].wait_ms, delay, step);
    }
}

/* ---- Retry-After ---- */

static void retry_after_in_every_form(void **state)
{
    static const struct {
        const char *text;
        int64_t ms;
    } cases[] = {
        {"0", 0},
        {"1", 1000},
        {"120", 120000},
        {"86400", 86400000},
        {"86401", 86400000},
        {"99999999999999999999999999", 86400000},
        {"Mon, 21 Sep 2026 14:13:20 GMT", 0},
        {"Mon, 21 Sep 2026 14:13:50 GMT", 30000},
        {"Mon, 21 Sep 2026 14:13:19 GMT", 0}, /* gone by */
        {"Tue, 22 Sep 2026 14:13:20 GMT", 86400000},
        {"Tue, 21 Sep 2027 14:13:20 GMT", 86400000},
        {"Monday, 21-Sep-26 14:13:50 GMT", 30000},
        {"Sunday, 06-Nov-94 08:49:37 GMT", 0}, /* of the past century */
        {"Mon Sep 21 14:13:50 2026", 30000},
        {"Mon Sep  7 14:13:50 2026", 0},
        {"", -1},
        {"-1", -1},
        {"1.5", -1},
        {"soon", -1},
        {"12 s", -1},
        {" 12", -1},
        {"Mon, 21 Sep 2026 14:13:20 GMT trailing", -1},
        {"Mon, 21 Sep 2026 14:13:20", -1},
        {"Mon, 21 Sep 2026 24:13:20 GMT", -1},
        {"Mon, 31 Sep 2026 14:13:20 GMT", -1},
        {"Mon, 21 Foo 2026 14:13:20 GMT", -1},
        {"Mon, 21 Sep 2026 14:13:61 GMT", -1},
        {"2026-09-21T14:13:20Z", -1},
    };

    (void)state;
    for (size_t i = 0; i < COUNT_OF(cases); i++) {
        int64_t ms = rules_retry_after_ms(cases[i].text, NOW_MS);
        if (ms != cases[i].ms)
            fail_msg("'%s': %lld", cases[i].text, (long long)ms);
    }
}

/* ---- ends of attempts ---- */

static struct rules_decision status(unsigned code, uint32_t attempt, const char *retry_after)
{
    struct rules_answer answer = {ATTEMPT_none, (uint16_t)code, retry_after};

    return rules_decide(&answer, attempt, 7, NOW_MS);
}

static void only_2xx_is_success(void **state)
{
    (void)state;
    for (unsigned code = 100; code < 600; code++) {
        struct rules_decision decision = status(code, 0, NULL);
        bool good = code >= 200 && code < 300;
        assert_int_equal(decision.outcome, good          ? OUTCOME_DELIVERED
                                           : code == 410 ? OUTCOME_DEAD
                                                         : OUTCOME_RETRY);
        assert_true(decision.disable == (code == 410));
        assert_int_equal(decision.error, good                        ? ATTEMPT_none
                                         : code == 410               ? ATTEMPT_gone
                                         : code >= 300 && code < 400 ? ATTEMPT_redirect
                                                                     : ATTEMPT_http_status);
    }
    assert_int_equal(status(0, 0, NULL).outcome, OUTCOME_RETRY);
}

static void every_attempt_waits_longer_and_the_seventh_is_the_last(void **state)
{
    (void)state;
    for (uint32_t attempt = 0; attempt < RULES_DELAYS; attempt++) {
        struct rules_decision decision = status(500, attempt, NULL);
        assert_int_equal(decision.outcome, OUTCOME_RETRY);
        assert_int_equal(decision.delay, attempt);
        assert_int_equal(decision.step, 7);
        assert_int_equal(decision.due_ms, NOW_MS + rules_delay_ms(attempt, 7));
    }
    assert_int_equal(status(500, RULES_DELAYS, NULL).outcome, OUTCOME_DEAD);
    assert_int_equal(status(500, RULES_DELAYS, NULL).due_ms, 0);
    assert_int_equal(status(500, 4000000000U, NULL).outcome, OUTCOME_DEAD);
    assert_int_equal(status(204, RULES_DELAYS, NULL).outcome, OUTCOME_DELIVERED);
    struct rules_answer answer = {ATTEMPT_timeout, 0, NULL};
    assert_int_equal(rules_decide(&answer, 2, 0, NOW_MS).error, ATTEMPT_timeout);
    assert_int_equal(rules_decide(&answer, 2, 0, NOW_MS).delay, 2);
}

static void retry_after_counts_for_429_and_503_alone(void **state)
{
    struct rules_decision decision;

    (void)state;
    decision = status(429, 0, "120");
    assert_int_equal(decision.delay, 2);
    assert_int_equal(decision.asked_wait_ms, 120000);
    assert_true(decision.due_ms >= NOW_MS + 120000);
    decision = status(503, 0, "Mon, 21 Sep 2026 14:13:50 GMT");
    assert_int_equal(decision.delay, 1);
    decision = status(503, 0, "86400");
    assert_int_equal(decision.delay, 5);
    assert_true(decision.due_ms >= NOW_MS + 86400000);
    decision = status(503, 0, "999999");
    assert_true(decision.due_ms <= NOW_MS + 110 * 864000);
    decision = status(500, 0, "120");
    assert_int_equal(decision.delay, 0);
    assert_int_equal(decision.asked_wait_ms, 0);
    decision = status(429, 0, "rubbish");
    assert_int_equal(decision.delay, 0);
    decision = status(429, 3, "5"); /* never sooner than the schedule */
    assert_int_equal(decision.delay, 3);
    assert_int_equal(decision.step, 7);
}

static void only_trouble_of_the_whole_endpoint_is_blamed_on_it(void **state)
{
    static const unsigned codes[] = {400, 401, 404, 301, 410, 200, 408, 429, 500, 503};
    static const bool blamed[] = {0, 0, 0, 0, 0, 0, 1, 1, 1, 1};

    (void)state;
    for (size_t i = 0; i < COUNT_OF(codes); i++) {
        struct rules_decision decision = status(codes[i], 0, NULL);
        if (rules_blames_endpoint(&decision, (uint16_t)codes[i]) != blamed[i])
            fail_msg("status %u", codes[i]);
    }
    struct rules_decision decision = {.error = ATTEMPT_timeout};
    assert_true(rules_blames_endpoint(&decision, 0));
    decision.error = ATTEMPT_internal;
    assert_false(rules_blames_endpoint(&decision, 0));
}

/* ---- breaker ---- */

static void breaks(struct rules_breaker *breaker, int64_t mono_ms)
{
    breaker_failed(breaker, true, RULES_BREAKER_FAILURES, mono_ms);
}

static void the_breaker_opens_tries_once_and_closes(void **state)
{
    struct rules_breaker breaker = {0};
    int64_t wait_ms;

    (void)state;
    for (int i = 0; i < RULES_BREAKER_FAILURES; i++) {
        assert_true(breaker_passes(&breaker, 100, &wait_ms));
        breaks(&breaker, 100);
    }
    assert_int_equal(breaker.state, BREAKER_OPEN);
    assert_false(breaker_passes(&breaker, 200, &wait_ms));
    assert_int_equal(wait_ms, RULES_BREAKER_MIN_MS - 100);
    assert_true(breaker_passes(&breaker, 100 + RULES_BREAKER_MIN_MS, &wait_ms));
    breaker_started(&breaker);
    assert_int_equal(breaker.state, BREAKER_HALF_OPEN);
    assert_false(breaker_passes(&breaker, 100 + RULES_BREAKER_MIN_MS, &wait_ms)); /* one alone */
    assert_true(wait_ms > 0);
    breaks(&breaker, 6000);
    assert_int_equal(breaker.until_ms, 6000 + 2 * RULES_BREAKER_MIN_MS);
    breaker_started(&breaker);
    breaker_succeeded(&breaker);
    assert_int_equal(breaker.state, BREAKER_CLOSED);
    assert_true(breaker_passes(&breaker, 0, &wait_ms));
    assert_true(breaker_rests(&breaker));
}

static void its_pauses_double_up_to_ten_minutes(void **state)
{
    struct rules_breaker breaker = {0};
    int64_t last_ms = 0, now_ms = 0;

    (void)state;
    for (int i = 0; i < RULES_BREAKER_FAILURES; i++)
        breaks(&breaker, now_ms);
    for (int i = 0; i < 12; i++) {
        int64_t pause_ms = breaker.until_ms - now_ms;
        assert_true(pause_ms >= last_ms && pause_ms <= RULES_BREAKER_MAX_MS);
        last_ms = pause_ms;
        now_ms = breaker.until_ms;
        breaker_started(&breaker);
        breaks(&breaker, now_ms);
    }
    assert_int_equal(last_ms, RULES_BREAKER_MAX_MS);
}

static void stragglers_do_not_move_an_open_breaker(void **state)
{
    struct rules_breaker breaker = {0};

    (void)state;
    for (int i = 0; i < RULES_BREAKER_FAILURES; i++)
        breaks(&breaker, 0);
    int64_t until_ms = breaker.until_ms;
    breaks(&breaker, 4000); /* was under way when it opened */
    assert_int_equal(breaker.until_ms, until_ms);
    assert_int_equal(breaker.state, BREAKER_OPEN);
}

static void refusals_of_single_messages_do_not_open_it(void **state)
{
    struct rules_breaker breaker = {0};
    int64_t wait_ms;

    (void)state;
    for (int i = 0; i < 100; i++)
        breaker_failed(&breaker, false, RULES_BREAKER_FAILURES, i);
    assert_true(breaker_passes(&breaker, 100, &wait_ms));
    for (int i = 0; i < 100; i++)
        breaker_failed(&breaker, true, 0, i); /* switched off */
    assert_true(breaker_passes(&breaker, 100, &wait_ms));
}

static void a_withdrawn_trial_is_tried_again(void **state)
{
    struct rules_breaker breaker = {.state = BREAKER_OPEN, .until_ms = 10};
    int64_t wait_ms;

    (void)state;
    breaker_started(&breaker);
    assert_false(breaker_passes(&breaker, 20, &wait_ms));
    breaker_withdrawn(&breaker);
    assert_true(breaker_passes(&breaker, 20, &wait_ms));
}

static void asked_waits_hold_back_for_a_minute_at_most(void **state)
{
    struct rules_breaker breaker = {0};
    int64_t wait_ms;

    (void)state;
    breaker_asked_to_wait(&breaker, 30000, 1000);
    assert_false(breaker_passes(&breaker, 2000, &wait_ms));
    assert_int_equal(wait_ms, 29000);
    breaker_asked_to_wait(&breaker, RULES_RETRY_AFTER_MAX_MS, 2000);
    assert_true(breaker_passes(&breaker, 62000, &wait_ms));
    breaker_asked_to_wait(&breaker, 5, 3000); /* does not shorten */
    assert_false(breaker_passes(&breaker, 4000, &wait_ms));
}

/* ---- cap ---- */

static void the_cap_grows_with_answers_and_halves_on_trouble(void **state)
{
    struct rules_cap cap;

    (void)state;
    cap_init(&cap);
    assert_int_equal(cap_now(&cap), RULES_CAP_START);
    for (int i = 0; i < RULES_CAP_START; i++)
        cap_answered(&cap, 20, 128);
    assert_int_equal(cap_now(&cap), 2 * RULES_CAP_START); /* doubled in one round */
    for (int i = 0; i < 1000; i++)
        cap_answered(&cap, 20, 128);
    assert_int_equal(cap_now(&cap), 128);
    cap_troubled(&cap, 5000);
    assert_int_equal(cap_now(&cap), 64);
    cap_troubled(&cap, 5500); /* the same trouble */
    assert_int_equal(cap_now(&cap), 64);
    cap_troubled(&cap, 6000);
    assert_int_equal(cap_now(&cap), 32);
    for (int i = 0; i < 33; i++)
        cap_answered(&cap, 20, 128);
    assert_in_range(cap_now(&cap), 32, 34); /* by one a round now */
    for (int i = 0; i < 40; i++)
        cap_troubled(&cap, 7000 + 1000 * i);
    assert_int_equal(cap_now(&cap), 1);
}

static void slow_answers_do_not_raise_it_and_shorten_the_queue(void **state)
{
    struct rules_cap cap;

    (void)state;
    cap_init(&cap);
    assert_in_range(cap_waiting(&cap), 40, 160);
    for (int i = 0; i < 50; i++)
        cap_answered(&cap, 9000, 128);
    assert_int_equal(cap_now(&cap), RULES_CAP_START);
    assert_int_equal(cap_waiting(&cap), RULES_CAP_START);
    for (int i = 0; i < 200; i++)
        cap_answered(&cap, 5, 128);
    assert_int_equal(cap_waiting(&cap), 512);
}

/* ---- window ---- */

static void the_window_stops_where_more_at_once_makes_answers_late(void **state)
{
    (void)state;
    struct rules_window window = {.size = RULES_WINDOW_MIN, .steady = true};
    struct rules_cap near = {0}, far = {0};

    for (int i = 0; i < 100; i++) { /* 1 ms and 300 ms are both as soon as ever */
        window_answered(&window, &near, 1000, i);
        window_answered(&window, &far, 300000, i);
        window_was_full(&window);
        window_acked(&window, 2, 2000, i);
    }
    assert_int_equal(window.size, RULES_WINDOW_MIN + 100);
    for (int i = 100; i < 200; i++) { /* twenty times as late as at best: wait for each other */
        window_answered(&window, &near, 20000, i);
        window_was_full(&window);
        window_acked(&window, 2, 2000, i);
    }
    assert_in_range(window.size, RULES_WINDOW_MIN + 100, RULES_WINDOW_MIN + 115);
    size_t reached = window.size;
    for (int i = 0; i < 100; i++)
        window_answered(&window, &near, 200000, 300); /* much later: fewer */
    assert_int_equal(window.size, reached * 3 / 4);
    for (int i = 0; i < 100; i++)
        window_answered(&window, &near, 200000, 1000 + i * 200);
    assert_int_equal(window.size, 64);
    window = (struct rules_window){.size = RULES_WINDOW_MIN, .excess_us = 60000};
    for (int i = 0; i < 100; i++) { /* a busy machine: there is a size that all need */
        window_was_full(&window);
        window_acked(&window, 2, 2000, i);
    }
    assert_int_equal(window.size, 64);
}

static void the_window_grows_where_it_was_the_limit_and_shrinks_on_late_acks(void **state)
{
    struct rules_window window = {.size = RULES_WINDOW_MIN};

    (void)state;
    for (int i = 0; i < 100; i++)
        window_acked(&window, 5, 64, i); /* never full: nothing learnt */
    assert_int_equal(window.size, RULES_WINDOW_MIN);
    for (int i = 0; i < 100; i++) {
        window_was_full(&window);
        window_acked(&window, 5, 64, i);
    }
    assert_int_equal(window.size, 64);
    window_acked(&window, 500, 64, 1000);
    assert_int_equal(window.size, 48);
    window_acked(&window, 500, 64, 1050); /* the same delay */
    assert_int_equal(window.size, 48);
    for (int i = 0; i < 40; i++)
        window_acked(&window, 500, 64, 2000 + 200 * i);
    assert_int_equal(window.size, RULES_WINDOW_MIN);
    struct rules_window slow = {.size = RULES_WINDOW_MIN}; /* a cluster far away */
    for (int i = 0; i < 100; i++) {
        window_was_full(&slow);
        window_acked(&slow, 80, 64, i);
    }
    assert_int_equal(slow.size, 64);
}

static void the_window_doubles_until_something_is_late_for_the_first_time(void **state)
{
    struct rules_window window = {.size = 16};

    (void)state;
    for (size_t round = 16; round < 128; round *= 2) {
        window_was_full(&window); /* once, before all of a round come at once */
        for (size_t i = 0; i < round; i++)
            window_acked(&window, 5, 1000, 1);
        assert_int_equal(window.size, 2 * round);
    }
    for (size_t i = 0; i < 200; i++)
        window_acked(&window, 5, 1000, 2); /* nothing waits any more */
    assert_int_equal(window.size, 128);
    window_was_full(&window);
    window_acked(&window, 50, 1000, 3); /* late, not yet too late */
    for (size_t i = 0; i < 100; i++)
        window_acked(&window, 5, 1000, 4);
    assert_int_equal(window.size, 128);
    window_was_full(&window);
    for (size_t i = 0; i < 100; i++)
        window_acked(&window, 5, 1000, 5);
    assert_int_equal(window.size, 129); /* from now on by one a round */
}

/* ---- shares ---- */

static void slots_are_shared_by_weight(void **state)
{
    struct rules_share projects[3] = {{1, 0, 0, true}, {1, 0, 0, true}, {2, 0, 0, true}};
    const struct rules_share *shares[] = {&projects[0], &projects[1], &projects[2]};

    (void)state;
    for (uint64_t i = 1; i <= 100; i++) {
        ptrdiff_t at = rules_next_project(shares, 3, 1000);
        assert_true(at >= 0);
        projects[at].in_flight++;
        projects[at].served = i;
    }
    assert_int_equal(projects[0].in_flight, 25);
    assert_int_equal(projects[1].in_flight, 25);
    assert_int_equal(projects[2].in_flight, 50);
}

static void a_project_whose_deliveries_hang_leaves_room(void **state)
{
    struct rules_share hanging = {1, 0, 0, true}, quick = {1, 0, 0, true};
    const struct rules_share *shares[] = {&hanging, &quick};
    size_t most = rules_project_most(64);

    (void)state;
    assert_int_equal(most, 16);
    for (uint64_t i = 1; i <= 200; i++) {
        ptrdiff_t at = rules_next_project(shares, 2, most);
        assert_true(at >= 0);
        if (at == 0)
            hanging.in_flight++;                   /* never ends */
        (at == 0 ? &hanging : &quick)->served = i; /* quick ones end at once */
    }
    assert_true(hanging.in_flight <= most);
    quick.ready = false;
    hanging.in_flight = most;
    assert_int_equal(rules_next_project(shares, 2, most), -1);
    assert_int_equal(rules_project_most(1), 1);
}

static void equals_take_turns(void **state)
{
    struct rules_share projects[3] = {{1, 0, 3, true}, {1, 0, 1, true}, {1, 0, 2, false}};
    const struct rules_share *shares[] = {&projects[0], &projects[1], &projects[2]};

    (void)state;
    assert_int_equal(rules_next_project(shares, 3, 10), 1);
    projects[1].served = 4;
    assert_int_equal(rules_next_project(shares, 3, 10), 0);
    assert_int_equal(rules_next_project(shares, 0, 10), -1);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(delays_are_the_contract_with_ten_percent_of_jitter),
        cmocka_unit_test(records_of_the_same_moment_share_a_step_and_all_steps_are_used),
        cmocka_unit_test(a_wait_finds_the_nearest_longer_delay),
        cmocka_unit_test(retry_after_in_every_form),
        cmocka_unit_test(only_2xx_is_success),
        cmocka_unit_test(every_attempt_waits_longer_and_the_seventh_is_the_last),
        cmocka_unit_test(retry_after_counts_for_429_and_503_alone),
        cmocka_unit_test(only_trouble_of_the_whole_endpoint_is_blamed_on_it),
        cmocka_unit_test(the_breaker_opens_tries_once_and_closes),
        cmocka_unit_test(its_pauses_double_up_to_ten_minutes),
        cmocka_unit_test(stragglers_do_not_move_an_open_breaker),
        cmocka_unit_test(refusals_of_single_messages_do_not_open_it),
        cmocka_unit_test(a_withdrawn_trial_is_tried_again),
        cmocka_unit_test(asked_waits_hold_back_for_a_minute_at_most),
        cmocka_unit_test(the_cap_grows_with_answers_and_halves_on_trouble),
        cmocka_unit_test(slow_answers_do_not_raise_it_and_shorten_the_queue),
        cmocka_unit_test(the_window_doubles_until_something_is_late_for_the_first_time),
        cmocka_unit_test(the_window_grows_where_it_was_the_limit_and_shrinks_on_late_acks),
        cmocka_unit_test(the_window_stops_where_more_at_once_makes_answers_late),
        cmocka_unit_test(slots_are_shared_by_weight),
        cmocka_unit_test(a_project_whose_deliveries_hang_leaves_room),
        cmocka_unit_test(equals_take_turns),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
