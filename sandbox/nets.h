/* Network namespaces: making one and taking it down is the largest single cost of a sandbox
 * (README.md, "Set-up time"). So some are made while nothing runs, each for one job and never for
 * another; when none is ready the init makes its own.
 *
 * The runs of one built program, the cases of a submission, are one job's: one that ends leaves its
 * namespace on the program's shelf, and a later one, never one at the same time, takes it. Nothing
 * can be left in it, as no program may configure it and its sockets end with its processes. */
#pragma once
#include "lib/base/err.h"
#include <stdbool.h>
#include <stddef.h>

#define NETS_MAX 8

struct nets {
    int home; /* the launcher's own network namespace */
    int kept[NETS_MAX];
    size_t count, wanted; /* wanted = 0: making one failed, or nothing was opened */
};

int nets_open(struct nets *nets, size_t wanted, struct err *err) MUST_CHECK;
void nets_close(struct nets *nets);
/* A namespace that nobody was in, owned by the caller; -1 = none is ready. */
int nets_take(struct nets *nets);
/* Makes one if some are lacking: whether it did. */
bool nets_fill(struct nets *nets);

/* Of one built program; held by it and by each of its runs. */
struct nets_shelf;

struct nets_shelf *nets_shelf_new(void); /* NULL = no memory */
struct nets_shelf *nets_shelf_hold(struct nets_shelf *shelf);
void nets_shelf_drop(struct nets_shelf *shelf); /* NULL is nothing */
int nets_shelf_take(struct nets_shelf *shelf);  /* the caller's; -1 = none is there */
/* Takes *fd, unless there are enough: then it stays. Only when nobody is in it any more. */
void nets_shelf_put(struct nets_shelf *shelf, int *fd);
