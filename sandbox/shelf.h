/* What the runs of one built program leave to each other: the program, hung up in the launcher's
 * own mounts, and sandboxes whose last run ended clean and whose init stays for the next (stay.h).
 * Never for another program, another client's, or a job with high assurance; each for one run at a
 * time. Held by the built program and by each of its runs; the idle ones end with the last holder,
 * after SHELF_IDLE_NS, and with the launcher. */
#pragma once
#include "sandbox/child.h"
#include "sandbox/loop.h"
#include "schemas/evidence.h"

#define SHELF_MAX 8          /* idle sandboxes of one program */
#define SHELF_MAX_PER_SLOT 4 /* of all programs */
/* Longer than a case of somebody else's usually keeps the slot between two of this program's;
 * making one anew costs some milliseconds, an idle one 0.3 MB and a process. */
#define SHELF_IDLE_NS INT64_C(1000000000)

struct host;
struct shelf;
struct phase;
struct remains;

/* A sandbox between two runs. */
struct idle {
    struct host *host;
    struct shelf *shelf; /* on which it lies */
    struct watch init_watch, timer;
    pid_t init;
    int init_fd, sync_fd, timer_fd;
    struct remains *remains; /* what takes it down */
    uint64_t runs, tmp_bytes;
};

/* Hangs box_mount (not taken) up; NULL with *err set. */
struct shelf *shelf_new(struct host *host, int box_mount, struct err *err) MUST_CHECK;
struct shelf *shelf_hold(struct shelf *shelf);
void shelf_drop(struct shelf *shelf);                                  /* NULL is nothing */
int shelf_box(const struct shelf *shelf, struct err *err) MUST_CHECK;  /* a copy of the mount */
int shelf_root(const struct shelf *shelf, struct err *err) MUST_CHECK; /* its root, to compare */
bool shelf_first(struct shelf *shelf); /* true once: nothing of it has run yet */
/* One to give the next run to, the caller's to order or to end; NULL = none fits. */
struct idle *shelf_take(struct shelf *shelf, const struct limits *limits);
/* Tells its init of a run. The descriptors of spec are not taken. */
int shelf_order(const struct idle *idle, const struct child_spec *spec, struct err *err) MUST_CHECK;
/* Takes the sandbox of a phase that is over, if it is to be kept; else all stays as it is. */
void shelf_put(struct shelf *shelf, struct phase *phase);
void shelf_end(struct idle *idle); /* one that was taken; its init too, if it is still its own */
/* Whether a run ended so that another may follow in its sandbox. Pure. */
bool shelf_clean(const struct evidence *ev, uint32_t required);
