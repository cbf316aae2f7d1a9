/* A private launcher on a temporary socket, for tests that need real sandboxes (root only). */
#pragma once
#include "sandbox/box.h"
#include <sys/types.h>

struct CMUnitTest;
struct box_fixture {
    pid_t pid;
    char dir[64], socket[96], state[96], log[96];
    struct box *box;
    struct box_info info;
};

/* Starts rustbox-box with extra arguments (NULL-terminated, may be NULL) and connects. Exits the
 * process with 77 when not root; fails the test otherwise. */
void box_fixture_start(struct box_fixture *fixture, const char *const *extra);
/* Runs `rustbox-box --check` with extra arguments; its log in text, its exit code (-1 = killed). */
int box_fixture_check(const struct box_fixture *fixture, const char *const *extra, char *text,
                      size_t size);
/* The same launcher directory and socket again, after it died. */
void box_fixture_restart(struct box_fixture *fixture, const char *const *extra);
void box_fixture_stop(struct box_fixture *fixture); /* SIGTERM, wait, remove the directory */
/* Runs these tests with one launcher around all of them, started with `extra`. */
int box_fixture_group(struct box_fixture *fixture, const char *const *extra, const char *name,
                      const struct CMUnitTest *tests, size_t count);
/* A job with the judge's limits, ready to be changed and submitted. */
struct box_job box_fixture_job(enum language language, const char *code);
/* Submits and waits up to 60 s for its report. */
void box_fixture_run(struct box_fixture *fixture, const struct box_job *job,
                     struct box_report *report);
void box_fixture_next(struct box_fixture *fixture, struct box_report *report);
void box_fixture_fine(struct box_fixture *fixture); /* one of Python ends well, else it fails */

/* What the launcher holds; the same numbers before and after jobs mean nothing was left behind. */
struct box_leftovers {
    unsigned groups, mounts, children, descriptors;
};
/* The child of the launcher that clones its sandboxes (sandbox/maker.h); 0 = not found. */
pid_t box_fixture_maker(const struct box_fixture *fixture);
struct box_leftovers box_fixture_leftovers(const struct box_fixture *fixture);
/* The same once nothing has changed for 100 ms: what an earlier test closed may still be going. */
struct box_leftovers box_fixture_settled(const struct box_fixture *fixture);
/* Waits until it is as before, but for processes and descriptors that it needs no more. */
void box_fixture_nothing_left(const struct box_fixture *fixture,
                              const struct box_leftovers *before);
unsigned box_fixture_instance(const struct box_fixture *fixture); /* from its log */
unsigned box_fixture_groups(unsigned instance); /* job groups below rustbox-N, all trees */
