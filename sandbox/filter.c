/* Builds the filters of filter.h from syscalls.def and the rules by argument below.
 *
 * A call that is filtered by argument has rules by argument only; and as the kernel reads these
 * arguments as 32 bits, so do the rules. */
#include "sandbox/filter.h"
#include "lib/base/cleanup.h"
#include "lib/base/enc.h"
#include "lib/base/strict.h"
#include "lib/crypto/crypto.h"
#include <errno.h>
#include <fcntl.h>
#include <linux/prctl.h>
#include <linux/seccomp.h>
#include <sched.h>
#include <stdint.h>
#include <sys/ioctl.h>
#include <sys/personality.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>

#define FAMILY(family) (1U << (family))
#define FAMILY_ALL ((1U << FILTER_FAMILY_COUNT) - 1)
#define FAMILY_RUN (FAMILY_ALL & ~FAMILY(FILTER_COMPILER))

#define ACTION_ALLOW SECCOMP_RET_ALLOW
#define ACTION_NOTIFY SECCOMP_RET_USER_NOTIF
#define ACTION_ERRNO(number) (SECCOMP_RET_ERRNO | (number))

#define ROOM 1024         /* instructions */
#define SOCKET_DOMAINS 64 /* answered EACCES; higher numbers do not exist and fall to ENOSYS */

static const struct {
    int call;
    unsigned families;
    uint32_t action;
} plain_rules[] = {
#define ALLOW(name, families) {SYS_##name, families, ACTION_ALLOW},
#define DANGEROUS(name) {SYS_##name, FAMILY_ALL, ACTION_NOTIFY},
#define IDENTITY(name) {SYS_##name, FAMILY_ALL, ACTION_ERRNO(EPERM)},
#include "sandbox/syscalls.def"
#undef ALLOW
#undef DANGEROUS
#undef IDENTITY
};

/* Families of sockets that reach into the kernel's configuration or crypto: an event each. */
static const int special_domains[] = {AF_NETLINK, AF_VSOCK, AF_ALG, AF_PACKET};

static const uint32_t namespace_bits[] = {CLONE_NEWNS,  CLONE_NEWCGROUP, CLONE_NEWUTS,
                                          CLONE_NEWIPC, CLONE_NEWUSER,   CLONE_NEWPID,
                                          CLONE_NEWNET};

/* Questions about a descriptor and its flags. Anything else is ENOSYS. */
static const uint32_t ioctls[] = {TCGETS,   TIOCGWINSZ, TIOCGPGRP, FIONBIO,
                                  FIONREAD, FIOCLEX,    FIONCLEX,  0x802c542a /* TCGETS2 */};

static const uint32_t prctls[] = {
    PR_SET_NAME,        PR_GET_NAME,        PR_SET_PDEATHSIG,    PR_GET_PDEATHSIG,
    PR_GET_DUMPABLE,    PR_SET_DUMPABLE,    PR_GET_NO_NEW_PRIVS, PR_SET_NO_NEW_PRIVS,
    PR_GET_SECCOMP,     PR_CAPBSET_READ,    PR_GET_TIMERSLACK,   PR_SET_TIMERSLACK,
    PR_GET_THP_DISABLE, PR_SET_THP_DISABLE, PR_SET_VMA,          PR_GET_TSC,
};

static void rule(struct filter_rules *rules, uint32_t action, int call, unsigned arg, uint32_t mask,
                 uint32_t value)
{
    CHECK(rules->count < COUNT_OF(rules->rows));
    rules->rows[rules->count++] = (struct filter_rule){call, arg, mask, value, action};
}

/* Sorted in, as one action's values come behind another's. */
static void rules_of_values(struct filter_rules *rules, uint32_t action, int call, unsigned arg,
                            const uint32_t *values, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        rule(rules, action, call, arg, UINT32_MAX, values[i]);
        for (struct filter_rule *at = &rules->rows[rules->count - 1];
             at > rules->rows && at[-1].call == call && at[-1].value > at->value; at--) {
            struct filter_rule higher = at[-1];
            at[-1] = *at;
            *at = higher;
        }
    }
}

static uint32_t socket_action(int domain)
{
    if (domain == AF_UNIX)
        return ACTION_ALLOW;
    for (size_t i = 0; i < COUNT_OF(special_domains); i++)
        if (domain == special_domains[i])
            return ACTION_NOTIFY;
    return ACTION_ERRNO(EACCES);
}

static void socket_rules(struct filter_rules *rules, int call)
{
    for (int domain = 0; domain < SOCKET_DOMAINS; domain++)
        rule(rules, socket_action(domain), call, 0, UINT32_MAX, (uint32_t)domain);
}

/* Threads and processes, but no namespace. */
static void clone_rules(struct filter_rules *rules)
{
    uint32_t all = 0;
    for (size_t i = 0; i < COUNT_OF(namespace_bits); i++) {
        all |= namespace_bits[i];
        rule(rules, ACTION_NOTIFY, SYS_clone, 0, namespace_bits[i], namespace_bits[i]);
    }
    rule(rules, ACTION_ALLOW, SYS_clone, 0, all, 0);
}

/* 0 (the usual one) and 0xffffffff (the question) are allowed; what weakens the address space or
 * changes the architecture is an event; other values are ENOSYS. */
static void personality_rules(struct filter_rules *rules)
{
    static const uint32_t harmless[] = {PER_LINUX, UINT32_MAX};
    static const uint32_t weakening[] = {ADDR_NO_RANDOMIZE,  READ_IMPLIES_EXEC, MMAP_PAGE_ZERO,
                                         ADDR_COMPAT_LAYOUT, PER_LINUX32,       PER_LINUX_32BIT};
    rules_of_values(rules, ACTION_ALLOW, SYS_personality, 0, harmless, COUNT_OF(harmless));
    rules_of_values(rules, ACTION_NOTIFY, SYS_personality, 0, weakening, COUNT_OF(weakening));
}

/* All but F_NOTIFY, which is an older inotify: EINVAL, as from a kernel without it. */
static void fcntl_rules(struct filter_rules *rules)
{
    static const uint32_t watching = F_NOTIFY;
    static const uint32_t usual[] = {F_DUPFD,           F_GETFD,         F_SETFD,
                                     F_GETFL,           F_SETFL,         F_GETLK,
                                     F_SETLK,           F_SETLKW,        F_SETOWN,
                                     F_GETOWN,          F_SETSIG,        F_GETSIG,
                                     F_SETOWN_EX,       F_GETOWN_EX,     F_OFD_GETLK,
                                     F_OFD_SETLK,       F_OFD_SETLKW,    F_SETLEASE,
                                     F_GETLEASE,        F_DUPFD_CLOEXEC, F_SETPIPE_SZ,
                                     F_GETPIPE_SZ,      F_ADD_SEALS,     F_GET_SEALS,
                                     F_GET_RW_HINT,     F_SET_RW_HINT,   F_GET_FILE_RW_HINT,
                                     F_SET_FILE_RW_HINT};
    rules_of_values(rules, ACTION_ALLOW, SYS_fcntl, 1, usual, COUNT_OF(usual));
    rules_of_values(rules, ACTION_ERRNO(EINVAL), SYS_fcntl, 1, &watching, 1);
}

void filter_rules_of(enum filter_family family, uint32_t unlisted, struct filter_rules *out)
{
    static const uint32_t injecting[] = {TIOCSTI, TIOCLINUX};
    out->count = 0;
    out->unlisted = unlisted;
    for (size_t i = 0; i < COUNT_OF(plain_rules); i++)
        if ((plain_rules[i].families & FAMILY(family)) != 0)
            rule(out, plain_rules[i].action, plain_rules[i].call, 0, 0, 0);
    clone_rules(out);
    socket_rules(out, SYS_socket);
    socket_rules(out, SYS_socketpair);
    personality_rules(out);
    fcntl_rules(out);
    rules_of_values(out, ACTION_ALLOW, SYS_ioctl, 1, ioctls, COUNT_OF(ioctls));
    rules_of_values(out, ACTION_NOTIFY, SYS_ioctl, 1, injecting, COUNT_OF(injecting));
    rules_of_values(out, ACTION_ALLOW, SYS_prctl, 0, prctls, COUNT_OF(prctls));
    /* of the special files, named pipes only */
    rule(out, ACTION_ALLOW, SYS_mknod, 1, S_IFMT, S_IFIFO);
    rule(out, ACTION_ALLOW, SYS_mknodat, 2, S_IFMT, S_IFIFO);
}

static int build(enum filter_family family, uint32_t unlisted, struct filter *out, struct err *err)
{
    struct filter_rules rules;
    size_t count = ROOM;
    AUTO_FREE struct sock_filter *code = calloc(ROOM, sizeof *code);
    if (!code)
        return err_set(err, ERR_NO_MEMORY, "system-call filter: out of memory");
    filter_rules_of(family, unlisted, &rules);
    if (filter_compile(&rules, code, &count, err) != 0)
        return err_wrap(err, "%s", filter_family_name(family));
    uint8_t digest[SHA256_BYTES];
    sha256(span_of(code, count * sizeof *code), digest);
    hex_encode(digest, sizeof digest, out->sha256);
    out->prog = (struct sock_fprog){.len = (unsigned short)count, .filter = code};
    code = NULL; /* handed over */
    return 0;
}

static int build_all(uint32_t unlisted, struct filter out[FILTER_FAMILY_COUNT], struct err *err)
{
    memset(out, 0, FILTER_FAMILY_COUNT * sizeof *out);
    for (unsigned family = 0; family < FILTER_FAMILY_COUNT; family++) {
        if (build((enum filter_family)family, unlisted, &out[family], err) != 0) {
            filters_done(out);
            return -1;
        }
    }
    return 0;
}

int filters_build(struct filter out[FILTER_FAMILY_COUNT], struct err *err)
{
    return build_all(ACTION_ERRNO(ENOSYS), out, err);
}

int filters_build_learning(struct filter out[FILTER_FAMILY_COUNT], struct err *err)
{
    return build_all(ACTION_NOTIFY, out, err);
}

void filters_done(struct filter filters[FILTER_FAMILY_COUNT])
{
    for (unsigned family = 0; family < FILTER_FAMILY_COUNT; family++) {
        free(filters[family].prog.filter);
        filters[family].prog = (struct sock_fprog){0};
    }
}

const char *filter_family_name(enum filter_family family)
{
    static const char *const names[FILTER_FAMILY_COUNT] = {
        [FILTER_NATIVE] = "native", [FILTER_GO] = "go",   [FILTER_PYTHON] = "python",
        [FILTER_NODE] = "node",     [FILTER_JVM] = "jvm", [FILTER_COMPILER] = "compiler",
    };
    CHECK((unsigned)family < FILTER_FAMILY_COUNT);
    return names[family];
}
