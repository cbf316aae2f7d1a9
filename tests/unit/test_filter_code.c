/* sandbox/filter_code: the programs answer every call as libseccomp's for the same rules do. Both
 * are run by the small machine below, which knows the instructions that they consist of. */
#include "sandbox/filter.h"
#include "tests/unit/unit.h"
#include <linux/audit.h>
#include <linux/seccomp.h>
#include <seccomp.h>
#include <stdbool.h>
#include <stddef.h>
#include <sys/mman.h>
#include <unistd.h>

#define ROOM 4096
#define UNLISTED (SECCOMP_RET_ERRNO | ENOSYS)

static uint32_t word(const struct seccomp_data *data, uint32_t offset)
{
    uint32_t out;
    assert_true(offset % 4 == 0 && offset <= sizeof *data - 4);
    memcpy(&out, (const char *)data + offset, sizeof out);
    return out;
}

static uint32_t run(const struct sock_filter *code, size_t count, const struct seccomp_data *data)
{
    uint32_t a = 0;
    for (size_t at = 0; at < count; at++) {
        const struct sock_filter *one = &code[at];
        bool yes = false;
        switch (one->code) {
        case BPF_LD | BPF_W | BPF_ABS:
            a = word(data, one->k);
            continue;
        case BPF_ALU | BPF_AND | BPF_K:
            a &= one->k;
            continue;
        case BPF_RET | BPF_K:
            return one->k;
        case BPF_JMP | BPF_JA:
            at += one->k;
            continue;
        case BPF_JMP | BPF_JEQ | BPF_K:
            yes = a == one->k;
            break;
        case BPF_JMP | BPF_JGE | BPF_K:
            yes = a >= one->k;
            break;
        case BPF_JMP | BPF_JGT | BPF_K:
            yes = a > one->k;
            break;
        case BPF_JMP | BPF_JSET | BPF_K:
            yes = (a & one->k) != 0;
            break;
        default:
            fail_msg("instruction %zu has the code %#x", at, one->code);
        }
        at += yes ? one->jt : one->jf;
    }
    fail_msg("the program runs over its end");
    return 0;
}

/* The same rules through libseccomp, which lets an unconditional rule swallow others of its call,
 * and refuses a rule that says what the filter does anyway. */
static size_t compile_theirs(const struct filter_rules *rules, struct sock_filter *out)
{
    scmp_filter_ctx ctx = seccomp_init(rules->unlisted);
    assert_non_null(ctx);
    assert_int_equal(seccomp_attr_set(ctx, SCMP_FLTATR_ACT_BADARCH, SCMP_ACT_KILL_PROCESS), 0);
    for (size_t i = 0; i < rules->count; i++) {
        const struct filter_rule *rule = &rules->rows[i];
        struct scmp_arg_cmp compare =
            SCMP_CMP64(rule->arg, SCMP_CMP_MASKED_EQ, rule->mask, rule->value);
        if (rule->action != rules->unlisted)
            assert_int_equal(
                seccomp_rule_add_array(ctx, rule->action, rule->call, rule->mask != 0, &compare),
                0);
    }
    int fd = memfd_create("theirs", MFD_CLOEXEC);
    assert_true(fd >= 0);
    assert_int_equal(seccomp_export_bpf(ctx, fd), 0);
    ssize_t bytes = pread(fd, out, ROOM * sizeof *out, 0);
    assert_true(bytes > 0 && (size_t)bytes < ROOM * sizeof *out);
    close(fd);
    seccomp_release(ctx);
    return (size_t)bytes / sizeof *out;
}

struct pair {
    struct sock_filter ours[ROOM], theirs[ROOM];
    size_t our_count, their_count;
};

static void compare(const struct pair *pair, const struct seccomp_data *data)
{
    uint32_t ours = run(pair->ours, pair->our_count, data);
    uint32_t theirs = run(pair->theirs, pair->their_count, data);
    if (ours != theirs)
        fail_msg("call %#x of %#x, arguments %#llx %#llx %#llx: %#x, libseccomp %#x", data->nr,
                 data->arch, (unsigned long long)data->args[0], (unsigned long long)data->args[1],
                 (unsigned long long)data->args[2], ours, theirs);
}

static void compare_arguments(const struct pair *pair, const struct filter_rules *rules, int call)
{
    struct seccomp_data data = {.nr = call, .arch = AUDIT_ARCH_X86_64};
    for (size_t i = 0; i < rules->count; i++) {
        const struct filter_rule *rule = &rules->rows[i];
        if (rule->call != call || rule->mask == 0)
            continue;
        __u64 *arg = &data.args[rule->arg];
        for (int64_t off = -1; off <= 1; off++)
            for (int half = 0; half <= 1; half++) {
                *arg = (__u64)((int64_t)rule->value + off) ^ ((__u64)half << 32);
                compare(pair, &data);
            }
        for (unsigned a = 0; a < 64; a++)
            for (unsigned b = 0; b < 64; b++) {
                *arg = UINT64_C(1) << a | UINT64_C(1) << b;
                compare(pair, &data);
            }
        for (*arg = 0; *arg < 300; ++*arg)
            compare(pair, &data);
    }
}

static void compare_all(const struct pair *pair, const struct filter_rules *rules)
{
    static const uint32_t archs[] = {AUDIT_ARCH_X86_64, AUDIT_ARCH_I386, AUDIT_ARCH_AARCH64, 0};
    static const uint32_t far[] = {0x3fffffff, 0x40000000, 0x40000001, 0x7fffffff,
                                   0x80000000, 0xfffffffe, 0xffffffff};
    for (size_t i = 0; i < COUNT_OF(archs); i++) {
        struct seccomp_data data = {.arch = archs[i]};
        for (data.nr = 0; data.nr < 2000; data.nr++)
            compare(pair, &data);
        for (size_t k = 0; k < COUNT_OF(far); k++) {
            data.nr = (int)far[k];
            compare(pair, &data);
        }
    }
    for (int call = 0; call < FILTER_CALLS; call++)
        compare_arguments(pair, rules, call);
}

static void as_libseccomp(void **state)
{
    (void)state;
    static const uint32_t answers[] = {UNLISTED, SECCOMP_RET_USER_NOTIF};
    static struct pair pair;
    static struct filter_rules rules;
    struct err err = {0};
    for (size_t i = 0; i < COUNT_OF(answers); i++)
        for (unsigned family = 0; family < FILTER_FAMILY_COUNT; family++) {
            filter_rules_of((enum filter_family)family, answers[i], &rules);
            pair.our_count = ROOM;
            assert_ok(filter_compile(&rules, pair.ours, &pair.our_count, &err), err);
            pair.their_count = compile_theirs(&rules, pair.theirs);
            compare_all(&pair, &rules);
            assert_true(pair.our_count < 250);
        }
}

static uint32_t answer(const struct filter_rules *rules, size_t room, int call, uint64_t arg)
{
    static struct sock_filter code[ROOM];
    struct seccomp_data data = {.nr = call, .arch = AUDIT_ARCH_X86_64, .args = {arg}};
    struct err err = {0};
    size_t count = room;
    assert_ok(filter_compile(rules, code, &count, &err), err);
    return run(code, count, &data);
}

/* Rules that make a long program: its jumps need two steps. */
static void long_jumps(void **state)
{
    (void)state;
    static struct filter_rules rules;
    rules = (struct filter_rules){.unlisted = UNLISTED};
    for (int call = 0; call < 400; call += 2)
        rules.rows[rules.count++] = (struct filter_rule){
            .call = call, .action = SECCOMP_RET_ERRNO | (uint32_t)(call / 2) % 10};
    for (uint32_t value = 0; value < 100; value++)
        rules.rows[rules.count++] =
            (struct filter_rule){401, 0, UINT32_MAX, value * 2, SECCOMP_RET_ALLOW};
    for (int call = 0; call < 410; call++)
        if (call != 401)
            assert_int_equal(
                answer(&rules, ROOM, call, 0),
                call % 2 || call >= 400 ? UNLISTED : SECCOMP_RET_ERRNO | (uint32_t)(call / 2) % 10);
    for (uint32_t value = 0; value < 210; value++)
        assert_int_equal(answer(&rules, ROOM, 401, value),
                         value % 2 || value >= 200 ? UNLISTED : SECCOMP_RET_ALLOW);
}

static void refused(void **state)
{
    (void)state;
    static const struct filter_rule bad[][3] = {
        {{1, 0, 0, 0, SECCOMP_RET_ALLOW}, {1, 0, 1, 1, SECCOMP_RET_ALLOW}},
        {{1, 0, 1, 1, SECCOMP_RET_ALLOW}, {1, 1, 2, 2, SECCOMP_RET_ALLOW}},
        {{1, 0, 0, 0, SECCOMP_RET_ALLOW},
         {2, 0, 0, 0, SECCOMP_RET_ALLOW},
         {1, 0, 0, 0, SECCOMP_RET_ALLOW}},
        {{1, 6, 1, 1, SECCOMP_RET_ALLOW}},
        {{FILTER_CALLS, 0, 0, 0, SECCOMP_RET_ALLOW}},
        {{-1, 0, 0, 0, SECCOMP_RET_ALLOW}},
    };
    static const size_t counts[] = {2, 2, 3, 1, 1, 1};
    static struct sock_filter code[ROOM];
    static struct filter_rules rules;
    struct err err = {0};
    for (size_t i = 0; i < COUNT_OF(counts); i++) {
        size_t count = ROOM;
        rules = (struct filter_rules){.unlisted = UNLISTED, .count = counts[i]};
        memcpy(rules.rows, bad[i], counts[i] * sizeof bad[i][0]);
        assert_int_equal(filter_compile(&rules, code, &count, &err), -1);
        assert_int_equal(err.code, ERR_BUG);
    }
    filter_rules_of(FILTER_NATIVE, UNLISTED, &rules);
    for (size_t room = 0; room < 100; room++) {
        size_t count = room;
        assert_int_equal(filter_compile(&rules, code, &count, &err), -1);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(as_libseccomp),
        cmocka_unit_test(long_jumps),
        cmocka_unit_test(refused),
    };
    return cmocka_run_group_tests_name("filter_code", tests, NULL, NULL);
}
