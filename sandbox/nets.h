/* Network namespaces made while nothing runs, each used by one sandbox and never again: making one
 * is the largest single cost of a sandbox (README.md, "Set-up time"). An empty pool costs nothing
 * but that: the clone makes the namespace then. */
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
