/* What a gateway believes of records of `control`: the newest, never an older one come again. */
#include "producers/gateway/keyring.h"
#include "tests/unit/unit.h"

#define T0 INT64_C(1790000000000000000)
#define SECOND INT64_C(1000000000)

static struct keyring *ring;
static struct uuid one = {.bytes = {1}}, two = {.bytes = {2}};

static int setup(void **state)
{
    (void)state;
    struct secret master = {.bytes = {7}};
    ring = keyring_new(&master);
    return 0;
}

static int teardown(void **state)
{
    (void)state;
    keyring_free(ring);
    return 0;
}

static bool change(const struct uuid *id, int64_t at_ns, enum plan_id plan, bool deleted)
{
    struct control_event event = {.kind = CONTROL_EVENT_project_changed,
                                  .project = *id,
                                  .at_ns = at_ns,
                                  .plan = plan,
                                  .retention_class = 30,
                                  .deleted = deleted};
    return keyring_apply(ring, &event);
}

static void an_older_change_is_refused(void **state)
{
    (void)state;
    const struct project *project = keyring_project(ring, &one);
    assert_true(change(&one, T0, PLAN_trial, true));
    assert_true(change(&one, T0 + 1, PLAN_unlimited, false));
    assert_false(change(&one, T0, PLAN_trial, true)); /* byte for byte the first one */
    assert_ptr_equal(project->plan, plan_get(PLAN_unlimited));
    assert_false(project->deleted);
    assert_true(change(&one, T0 + 1, PLAN_unlimited, false)); /* the newest again changes nothing */
    assert_true(change(&two, T0, PLAN_trial, false));         /* each project has its own time */
}

static void a_projects_keys_are_counted_once_revoked_or_not(void **state)
{
    (void)state;
    struct control_event event = {.kind = CONTROL_EVENT_key_created, .project = one, .at_ns = T0};
    for (uint8_t i = 0; i < 3; i++) {
        event.key = event.project;
        event.key_sha256[0] = event.key.bytes[1] = i;
        assert_true(keyring_apply(ring, &event));
        assert_true(keyring_apply(ring, &event)); /* the record came again */
    }
    event.kind = CONTROL_EVENT_key_revoked;
    assert_true(keyring_apply(ring, &event));
    event.project = two;
    event.key_sha256[0] = 9;
    assert_true(keyring_apply(ring, &event));
    assert_int_equal(keyring_project(ring, &one)->keys, 3);
    assert_int_equal(keyring_project(ring, &two)->keys, 1);
}

static void a_change_older_than_what_was_loaded_is_refused(void **state)
{
    (void)state;
    struct project *project = keyring_project(ring, &one);
    keyring_loaded(ring, T0);
    project->plan = plan_get(PLAN_unlimited);
    assert_false(change(&one, T0 - 301 * SECOND, PLAN_trial, true));
    assert_false(change(&two, T0 - 301 * SECOND, PLAN_trial, true)); /* nor of an unknown project */
    assert_ptr_equal(project->plan, plan_get(PLAN_unlimited));
    assert_true(change(&one, T0 - 5 * SECOND, PLAN_trial, false)); /* stored while we loaded */
    assert_ptr_equal(project->plan, plan_get(PLAN_trial));
}

static void a_revoked_key_stays_revoked(void **state)
{
    (void)state;
    struct control_event event = {
        .kind = CONTROL_EVENT_key_created, .project = one, .key = two, .at_ns = T0};
    assert_true(keyring_apply(ring, &event));
    event.kind = CONTROL_EVENT_key_revoked;
    assert_true(keyring_apply(ring, &event));
    event.kind = CONTROL_EVENT_key_created;   /* the first record again */
    assert_true(keyring_apply(ring, &event)); /* believed, and changes nothing */
    assert_true(keyring_by_id(ring, &two)->revoked);
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
    const struct CMUnitTest tests[] = {
        TEST(an_older_change_is_refused),
        TEST(a_projects_keys_are_counted_once_revoked_or_not),
        TEST(a_change_older_than_what_was_loaded_is_refused),
        TEST(a_revoked_key_stays_revoked),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
