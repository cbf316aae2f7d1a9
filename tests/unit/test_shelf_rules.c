/* sandbox/shelf_rules: a sandbox serves another run only after an end with which nothing is wrong.
 */
#include "sandbox/shelf.h"
#include "tests/unit/unit.h"
#include <signal.h>

#define REQUIRED 6u

static struct evidence clean(void)
{
    return (struct evidence){
        .setup_ok = true,
        .controls_missing = 1,
        .run = {
            .ran = true, .reported = true, .exited = true, .exit_code = 3, .group_empty = true}};
}

static void ends_of_its_own(void **state)
{
    (void)state;
    static const int signals[] = {SIGSEGV, SIGABRT, SIGTERM, SIGXFSZ, SIGALRM};
    struct evidence ev = clean();
    assert_true(shelf_clean(&ev, REQUIRED));
    ev.run.exited = false;
    ev.run.signaled = true;
    for (size_t i = 0; i < COUNT_OF(signals); i++) {
        ev.run.signal = signals[i];
        assert_true(shelf_clean(&ev, REQUIRED));
    }
}

/* Each alone is enough. */
static void anything_else(void **state)
{
    (void)state;
    struct evidence ev;
#define UNCLEAN(change)                                                                            \
    do {                                                                                           \
        ev = clean();                                                                              \
        change;                                                                                    \
        if (shelf_clean(&ev, REQUIRED))                                                            \
            fail_msg("clean although %s", #change);                                                \
    } while (0)
    UNCLEAN(ev.setup_ok = false);
    UNCLEAN(ev.controls_missing = 2);
    UNCLEAN(ev.collection_errors[0][0] = 'x');
    UNCLEAN(ev.run.ran = false);
    UNCLEAN(ev.run.reported = false);
    UNCLEAN(ev.run.exited = false);
    UNCLEAN(ev.run.signaled = true);
    UNCLEAN((ev.run.exited = false, ev.run.signaled = true, ev.run.signal = SIGKILL));
    UNCLEAN((ev.run.exited = false, ev.run.signaled = true, ev.run.signal = SIGSYS));
    UNCLEAN((ev.run.exited = false, ev.run.signaled = true, ev.run.signal = SIGXCPU));
    UNCLEAN(ev.run.actions = ACTION_KILL_WALL);
    UNCLEAN(ev.run.oom_events = 1);
    UNCLEAN(ev.run.oom_kills = 1);
    UNCLEAN(ev.run.pids_denied = 1);
    UNCLEAN(ev.run.stdout_cut = true);
    UNCLEAN(ev.run.stderr_cut = true);
    UNCLEAN(ev.run.group_empty = false);
    UNCLEAN(ev.run.survivors = 1);
    UNCLEAN(ev.run.zombies = 1);
    UNCLEAN(ev.run.seccomp_count = 1);
#undef UNCLEAN
}

int main(void)
{
    static const struct CMUnitTest tests[] = {cmocka_unit_test(ends_of_its_own),
                                              cmocka_unit_test(anything_else)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
