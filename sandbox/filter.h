/* The system-call filters: one allow-list per language family (syscalls.def), compiled once at
 * start (filter_code.h). The launcher loads the program raw for every job, with
 * SECCOMP_SET_MODE_FILTER and SECCOMP_FILTER_FLAG_NEW_LISTENER.
 *
 * What a call gets: listed = allowed (some by argument); dangerous = user notification, which
 * notify.c records and answers EPERM; identity changes = EPERM; sockets beyond AF_UNIX = EACCES,
 * with the kernel's special families (netlink, vsock, alg, packet) notified; i386 and x32 = SIGSYS,
 * process killed; the rest ENOSYS. Never decides a verdict. README.md says why each group is where
 * it is. */
#pragma once
#include "lib/base/err.h"
#include "sandbox/filter_code.h"
#include <linux/filter.h>

enum filter_family {
    FILTER_NATIVE, /* C, C++, Rust */
    FILTER_GO,
    FILTER_PYTHON,
    FILTER_NODE, /* JavaScript, TypeScript */
    FILTER_JVM,
    FILTER_COMPILER, /* every compile phase */
    FILTER_FAMILY_COUNT
};

struct filter {
    struct sock_fprog prog; /* prog.filter is owned; valid until filters_done */
    char sha256[65];        /* of the instructions, lower-case hex */
};

/* Builds all families. On error nothing needs to be freed. */
int filters_build(struct filter out[FILTER_FAMILY_COUNT], struct err *err) MUST_CHECK;
/* For tests that look for calls which real programs make and no list has: the same rules, but an
 * unlisted call is notified. Never for jobs. */
int filters_build_learning(struct filter out[FILTER_FAMILY_COUNT], struct err *err) MUST_CHECK;
/* The rules of a family, for what compares them with what a program was made of them. */
void filter_rules_of(enum filter_family family, uint32_t unlisted, struct filter_rules *out);
void filters_done(struct filter filters[FILTER_FAMILY_COUNT]);
const char *filter_family_name(enum filter_family family);
