/* sandbox/maker_wire: what a maker unpacks is what the launcher packed; a torn order is refused. */
#include "sandbox/maker_wire.h"
#include "tests/unit/unit.h"

static const char *const first[] = {"/usr/bin/gcc", "-o", "/tmp/a", NULL};
static const char *const second[] = {"/usr/bin/strip", NULL};
static const char *const env[] = {"PATH=/usr/bin", "HOME=/tmp", NULL}, *const no_env[] = {NULL};
static struct sock_filter code[] = {BPF_STMT(BPF_LD | BPF_W | BPF_ABS, 4),
                                    BPF_STMT(BPF_RET | BPF_K, 7)};

static struct cgroup group = {
    .dirs = {31, -1, 32, -1}, .join = {33, -1, 34, -1}, .oom_fd = 99, .name = "job-1"};
static struct toolchain_phase commands = {.steps = {first, second, NULL}, .env = env};
static struct filter filter = {.prog = {.len = COUNT_OF(code), .filter = code}};
static int64_t at[STEP_COUNT];

static struct child_spec sample(void)
{
    return (struct child_spec){.root_ns = 10,
                               .sync_fd = 17,
                               .stdin_fd = 14,
                               .stdout_fd = 15,
                               .stderr_fd = 16,
                               .tmp_mount = 11,
                               .shm_mount = 12,
                               .last_pid = 13,
                               .group = &group,
                               .commands = &commands,
                               .filter = &filter,
                               .source = "main.c",
                               .compile = true,
                               .limits = {.memory_bytes = 1, .stack_bytes = 9},
                               .uid = 1900000001,
                               .landlock_abi = 6,
                               .at = at,
                               .template = false,
                               .layers = LAYER_UTS};
}

struct packed {
    struct maker_order order;
    char body[MAKER_BODY_BYTES] __attribute__((aligned(8)));
    size_t body_bytes, fd_count;
    int fds[MAKER_FDS_MAX];
};
static struct packed packed;
static struct maker_room room;

static void pack(const struct child_spec *spec)
{
    struct err err = {0};
    assert_ok(maker_pack(spec, &packed.order, packed.body, &packed.body_bytes, packed.fds,
                         &packed.fd_count, &err),
              err);
}

static int unpack(struct child_spec *out)
{
    return maker_unpack(&packed.order, packed.body, packed.body_bytes, packed.fds, packed.fd_count,
                        &room, out);
}

static void same_list(const char *const *got, const char *const *wanted)
{
    for (; *wanted; got++, wanted++)
        assert_string_equal(*got, *wanted);
    assert_null(*got);
}

static void there_and_back(void **state)
{
    (void)state;
    struct child_spec spec = sample(), got;
    pack(&spec);
    assert_int_equal(unpack(&got), 0);
    const int fds[] = {got.root_ns, got.tmp_mount, got.shm_mount, got.last_pid};
    for (int i = 0; i < 4; i++)
        assert_int_equal(fds[i], 10 + i);
    assert_int_equal(got.sync_fd, -1); /* the blank's own */
    /* Not there yet when an init is ordered. */
    assert_true(got.stdin_fd == -1 && got.stdout_fd == -1 && got.stderr_fd == -1);
    for (int i = 0; i < CGROUP_DIRS; i++)
        assert_true(got.group->dirs[i] == -1 && got.group->join[i] == -1);
    assert_int_equal(got.group->oom_fd, -1);
    same_list(got.commands->steps[0], first);
    same_list(got.commands->steps[1], second);
    assert_null(got.commands->steps[2]);
    same_list(got.commands->env, env);
    assert_int_equal(got.filter->prog.len, COUNT_OF(code));
    assert_memory_equal(got.filter->prog.filter, code, sizeof code);
    assert_string_equal(got.source, "main.c");
    assert_memory_equal(&got.limits, &spec.limits, sizeof got.limits);
    assert_true(got.compile && !got.template);
    assert_int_equal(got.uid, spec.uid);
    assert_int_equal(got.landlock_abi, 6);
    assert_int_equal(got.layers, LAYER_UTS);
    assert_non_null(got.at);
}

static void no_environment(void **state)
{
    (void)state;
    struct child_spec spec = sample(), got;
    struct toolchain_phase bare = {.steps = {second, NULL}, .env = no_env};
    spec.commands = &bare;
    pack(&spec);
    assert_int_equal(unpack(&got), 0);
    same_list(got.commands->steps[0], second);
    assert_null(got.commands->steps[1]);
    assert_null(got.commands->env[0]);
}

static void torn(void **state)
{
    (void)state;
    struct child_spec spec = sample(), got;
    pack(&spec);
    const struct packed whole = packed;
    for (packed.body_bytes = 0; packed.body_bytes < whole.body_bytes; packed.body_bytes++) {
        assert_int_equal(unpack(&got), -1);
        /* Also when the head says the same as the body's length. */
        uint32_t filter_bytes = (uint32_t)sizeof code;
        if (packed.body_bytes < filter_bytes)
            continue;
        packed.order.words_bytes = (uint32_t)packed.body_bytes - filter_bytes;
        assert_int_equal(unpack(&got), -1);
        packed.order.words_bytes = whole.order.words_bytes;
    }
    packed = whole;
    packed.fd_count--;
    assert_int_equal(unpack(&got), -1);
    packed = whole;
    packed.order.shm = false;
    assert_int_equal(unpack(&got), -1);
    packed = whole;
    packed.fd_count++;
    assert_int_equal(unpack(&got), -1);
    packed = whole;
    packed.order.instructions = MAKER_FILTER_MAX + 1;
    assert_int_equal(unpack(&got), -1);
}

static void too_long(void **state)
{
    (void)state;
    static char word[MAKER_BODY_BYTES];
    memset(word, 'x', sizeof word - 1);
    const char *const words[] = {word, NULL}, *const empty[] = {"a", "", NULL};
    struct toolchain_phase bare = {.steps = {words, NULL}, .env = no_env};
    struct child_spec spec = sample();
    struct err err = {0};
    spec.commands = &bare;
    assert_err(maker_pack(&spec, &packed.order, packed.body, &packed.body_bytes, packed.fds,
                          &packed.fd_count, &err),
               err, ERR_BUG);
    bare.steps[0] = empty;
    assert_err(maker_pack(&spec, &packed.order, packed.body, &packed.body_bytes, packed.fds,
                          &packed.fd_count, &err),
               err, ERR_BUG);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(there_and_back),
        cmocka_unit_test(no_environment),
        cmocka_unit_test(torn),
        cmocka_unit_test(too_long),
    };
    return cmocka_run_group_tests_name("maker_wire", tests, NULL, NULL);
}
