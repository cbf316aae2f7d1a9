/* Network namespaces of built programs: making one and taking it down is the largest single cost of
 * a sandbox (README.md, "Set-up time"). The runs of one built program, the cases of a submission,
 * are one job's: one that ends leaves its namespace on the program's shelf, and a later one, never
 * one at the same time, takes it. Nothing can be left in it, as no program may configure it and its
 * sockets end with its processes. */
#pragma once
#include "lib/base/err.h"
#include <stdbool.h>
#include <stddef.h>

#define NETS_MAX 8

/* Of one built program; held by it and by each of its runs. */
struct nets_shelf;

struct nets_shelf *nets_shelf_new(void); /* NULL = no memory */
struct nets_shelf *nets_shelf_hold(struct nets_shelf *shelf);
void nets_shelf_drop(struct nets_shelf *shelf); /* NULL is nothing */
int nets_shelf_take(struct nets_shelf *shelf);  /* the caller's; -1 = none is there */
/* Takes *fd, unless there are enough: then it stays. Only when nobody is in it any more. */
void nets_shelf_put(struct nets_shelf *shelf, int *fd);
