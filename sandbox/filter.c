/* Builds the filters of filter.h from syscalls.def and the rules by argument below.
 *
 * Two traps shape this file. libseccomp lets an unconditional rule swallow every conditional one of
 * the same call, so a call that is filtered by argument has conditional rules only, which
 * complement each other; and the kernel reads many arguments as 32 bits, so comparisons are masked
 * to what it reads. */
#include "sandbox/filter.h"
#include "lib/base/cleanup.h"
#include "lib/base/enc.h"
#include "lib/base/strict.h"
#include "lib/crypto/crypto.h"
#include <errno.h>
#include <linux/prctl.h>
#include <sched.h>
#include <seccomp.h>
#include <stdint.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/personality.h>
#include <sys/socket.h>
#include <sys/stat.h>

#define FAMILY(family) (1U << (family))
#define FAMILY_ALL ((1U << FILTER_FAMILY_COUNT) - 1)
#define FAMILY_RUN (FAMILY_ALL & ~FAMILY(FILTER_COMPILER))

#define LOW_32 UINT64_C(0xffffffff)
#define SOCKET_DOMAINS 64 /* answered EACCES; higher numbers do not exist and fall to ENOSYS */

static const struct {
    int call;
    unsigned families;
    uint32_t action;
} plain_rules[] = {
#define ALLOW(name, families) {SCMP_SYS(name), families, SCMP_ACT_ALLOW},
#define DANGEROUS(name) {SCMP_SYS(name), FAMILY_ALL, SCMP_ACT_NOTIFY},
#define IDENTITY(name) {SCMP_SYS(name), FAMILY_ALL, SCMP_ACT_ERRNO(EPERM)},
#include "sandbox/syscalls.def"
#undef ALLOW
#undef DANGEROUS
#undef IDENTITY
};

/* Families of sockets that reach into the kernel's configuration or crypto: an event each. */
static const int special_domains[] = {AF_NETLINK, AF_VSOCK, AF_ALG, AF_PACKET};

static const uint64_t namespace_bits[] = {CLONE_NEWNS,  CLONE_NEWCGROUP, CLONE_NEWUTS,
                                          CLONE_NEWIPC, CLONE_NEWUSER,   CLONE_NEWPID,
                                          CLONE_NEWNET};

/* Questions about a descriptor and its flags. Anything else is ENOSYS. */
static const uint64_t ioctls[] = {TCGETS,   TIOCGWINSZ, TIOCGPGRP, FIONBIO,
                                  FIONREAD, FIOCLEX,    FIONCLEX,  0x802c542a /* TCGETS2 */};

static const uint64_t prctls[] = {
    PR_SET_NAME,        PR_GET_NAME,        PR_SET_PDEATHSIG,    PR_GET_PDEATHSIG,
    PR_GET_DUMPABLE,    PR_SET_DUMPABLE,    PR_GET_NO_NEW_PRIVS, PR_SET_NO_NEW_PRIVS,
    PR_GET_SECCOMP,     PR_CAPBSET_READ,    PR_GET_TIMERSLACK,   PR_SET_TIMERSLACK,
    PR_GET_THP_DISABLE, PR_SET_THP_DISABLE, PR_SET_VMA,          PR_GET_TSC,
};

/* libseccomp refuses a rule that says what the filter does anyway (the learning form's notify). */
static bool is_default(scmp_filter_ctx ctx, uint32_t action)
{
    uint32_t unlisted = 0;
    return seccomp_attr_get(ctx, SCMP_FLTATR_ACT_DEFAULT, &unlisted) == 0 && unlisted == action;
}

static int rule(scmp_filter_ctx ctx, uint32_t action, int call, unsigned arg, uint64_t mask,
                uint64_t value, struct err *err)
{
    if (is_default(ctx, action))
        return 0;
    struct scmp_arg_cmp compare = SCMP_CMP64(arg, SCMP_CMP_MASKED_EQ, mask, value);
    int result = seccomp_rule_add_array(ctx, action, call, 1, &compare);
    if (result == 0)
        return 0;
    errno = -result;
    return err_sys(err, ERR_SYSTEM, "system-call filter: rule for call %d", call);
}

static int rules_of_values(scmp_filter_ctx ctx, uint32_t action, int call, unsigned arg,
                           const uint64_t *values, size_t count, struct err *err)
{
    for (size_t i = 0; i < count; i++)
        if (rule(ctx, action, call, arg, LOW_32, values[i], err) != 0)
            return -1;
    return 0;
}

static uint32_t socket_action(int domain)
{
    if (domain == AF_UNIX)
        return SCMP_ACT_ALLOW;
    for (size_t i = 0; i < COUNT_OF(special_domains); i++)
        if (domain == special_domains[i])
            return SCMP_ACT_NOTIFY;
    return SCMP_ACT_ERRNO(EACCES);
}

static int socket_rules(scmp_filter_ctx ctx, int call, struct err *err)
{
    for (int domain = 0; domain < SOCKET_DOMAINS; domain++)
        if (rule(ctx, socket_action(domain), call, 0, LOW_32, (uint64_t)domain, err) != 0)
            return -1;
    return 0;
}

/* Threads and processes, but no namespace: one notify rule for each bit beside the masked allow. */
static int clone_rules(scmp_filter_ctx ctx, struct err *err)
{
    uint64_t all = 0;
    for (size_t i = 0; i < COUNT_OF(namespace_bits); i++) {
        all |= namespace_bits[i];
        if (rule(ctx, SCMP_ACT_NOTIFY, SCMP_SYS(clone), 0, namespace_bits[i], namespace_bits[i],
                 err) != 0)
            return -1;
    }
    return rule(ctx, SCMP_ACT_ALLOW, SCMP_SYS(clone), 0, all, 0, err);
}

/* 0 (the usual one) and 0xffffffff (the question) are allowed; what weakens the address space or
 * changes the architecture is an event; other values are ENOSYS. */
static int personality_rules(scmp_filter_ctx ctx, struct err *err)
{
    static const uint64_t harmless[] = {PER_LINUX, LOW_32};
    static const uint64_t weakening[] = {ADDR_NO_RANDOMIZE,  READ_IMPLIES_EXEC, MMAP_PAGE_ZERO,
                                         ADDR_COMPAT_LAYOUT, PER_LINUX32,       PER_LINUX_32BIT};
    if (rules_of_values(ctx, SCMP_ACT_ALLOW, SCMP_SYS(personality), 0, harmless, COUNT_OF(harmless),
                        err) != 0)
        return -1;
    return rules_of_values(ctx, SCMP_ACT_NOTIFY, SCMP_SYS(personality), 0, weakening,
                           COUNT_OF(weakening), err);
}

static int argument_rules(scmp_filter_ctx ctx, struct err *err)
{
    static const uint64_t injecting[] = {TIOCSTI, TIOCLINUX};
    if (clone_rules(ctx, err) != 0 || socket_rules(ctx, SCMP_SYS(socket), err) != 0 ||
        socket_rules(ctx, SCMP_SYS(socketpair), err) != 0 || personality_rules(ctx, err) != 0 ||
        rules_of_values(ctx, SCMP_ACT_ALLOW, SCMP_SYS(ioctl), 1, ioctls, COUNT_OF(ioctls), err) !=
            0 ||
        rules_of_values(ctx, SCMP_ACT_NOTIFY, SCMP_SYS(ioctl), 1, injecting, COUNT_OF(injecting),
                        err) != 0 ||
        rules_of_values(ctx, SCMP_ACT_ALLOW, SCMP_SYS(prctl), 0, prctls, COUNT_OF(prctls), err) !=
            0)
        return -1;
    /* of the special files, named pipes only */
    if (rule(ctx, SCMP_ACT_ALLOW, SCMP_SYS(mknod), 1, S_IFMT, S_IFIFO, err) != 0)
        return -1;
    return rule(ctx, SCMP_ACT_ALLOW, SCMP_SYS(mknodat), 2, S_IFMT, S_IFIFO, err);
}

static int add_rules(scmp_filter_ctx ctx, enum filter_family family, struct err *err)
{
    int result = seccomp_attr_set(ctx, SCMP_FLTATR_ACT_BADARCH, SCMP_ACT_KILL_PROCESS);
    if (result == 0)
        result = seccomp_attr_set(ctx, SCMP_FLTATR_CTL_OPTIMIZE, 2); /* binary tree */
    for (size_t i = 0; i < COUNT_OF(plain_rules) && result == 0; i++)
        if ((plain_rules[i].families & FAMILY(family)) != 0 &&
            !is_default(ctx, plain_rules[i].action))
            result =
                seccomp_rule_add_array(ctx, plain_rules[i].action, plain_rules[i].call, 0, NULL);
    if (result != 0) {
        errno = -result;
        return err_sys(err, ERR_SYSTEM, "system-call filter");
    }
    return argument_rules(ctx, err);
}

/* The program as the kernel takes it, and its digest. */
static int export_filter(scmp_filter_ctx ctx, struct filter *out, struct err *err)
{
    AUTO_FD int fd = memfd_create("filter", MFD_CLOEXEC);
    if (fd < 0)
        return err_sys(err, ERR_SYSTEM, "system-call filter: memfd_create");
    int result = seccomp_export_bpf(ctx, fd);
    if (result != 0) {
        errno = -result;
        return err_sys(err, ERR_SYSTEM, "system-call filter: export");
    }
    struct stat info;
    if (fstat(fd, &info) != 0)
        return err_sys(err, ERR_SYSTEM, "system-call filter: fstat");
    size_t bytes = (size_t)info.st_size, count = bytes / sizeof(struct sock_filter);
    if (count == 0 || count > BPF_MAXINSNS || bytes % sizeof(struct sock_filter) != 0)
        return err_set(err, ERR_BUG, "system-call filter: %zu bytes", bytes);
    AUTO_FREE struct sock_filter *code = malloc(bytes);
    if (!code)
        return err_set(err, ERR_NO_MEMORY, "system-call filter: out of memory");
    if (pread(fd, code, bytes, 0) != (ssize_t)bytes)
        return err_sys(err, ERR_SYSTEM, "system-call filter: read back");
    uint8_t digest[SHA256_BYTES];
    sha256(span_of(code, bytes), digest);
    hex_encode(digest, sizeof digest, out->sha256);
    out->prog = (struct sock_fprog){.len = (unsigned short)count, .filter = code};
    code = NULL; /* handed over */
    return 0;
}

static int build(enum filter_family family, uint32_t unlisted, struct filter *out, struct err *err)
{
    scmp_filter_ctx ctx = seccomp_init(unlisted);
    if (!ctx)
        return err_set(err, ERR_NO_MEMORY, "system-call filter: out of memory");
    int result = add_rules(ctx, family, err);
    if (result == 0)
        result = export_filter(ctx, out, err);
    seccomp_release(ctx);
    return result == 0 ? 0 : err_wrap(err, "%s", filter_family_name(family));
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
    return build_all(SCMP_ACT_ERRNO(ENOSYS), out, err);
}

int filters_build_learning(struct filter out[FILTER_FAMILY_COUNT], struct err *err)
{
    return build_all(SCMP_ACT_NOTIFY, out, err);
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
