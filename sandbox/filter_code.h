/* Rules about system calls, and the classic BPF that they become. The kernel checks a filter,
 * translates it to machine code and asks it about every call's number each time it is loaded, which
 * is for each job: its length is what it costs. So neighbours with the same answer are one range,
 * and a binary tree over the ranges finds a call's. Pure: no I/O, the caller owns the memory. */
#pragma once
#include "lib/base/err.h"
#include <linux/filter.h>
#include <stddef.h>
#include <stdint.h>

#define FILTER_CALLS 512          /* numbers above have no rules */
#define FILTER_FOREIGN 0x40000000 /* where x32's numbers begin */

/* Of a call either one rule with mask 0, whatever its arguments are, or rules about the lower half
 * of one argument, of which the first that fits holds, and the answer to unlisted calls if none. */
struct filter_rule {
    int call;
    unsigned arg;
    uint32_t mask, value; /* (argument & mask) == value */
    uint32_t action;      /* SECCOMP_RET_... */
};

struct filter_rules {
    struct filter_rule rows[FILTER_CALLS];
    size_t count;
    uint32_t unlisted; /* the answer to calls without a rule */
};

/* Fills out[0..*count) with the program, *count being out's room before. Other architectures than
 * x86_64, and x32, are killed. ERR_BUG: rules that cannot be taken together, or too many. */
int filter_compile(const struct filter_rules *rules, struct sock_filter *out, size_t *count,
                   struct err *err) MUST_CHECK;
