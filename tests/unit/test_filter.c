/* sandbox/filter and sandbox/notify: each check is a child process under the real filter.
 *
 * A child reports by exit code: 0 = the call succeeded, else its errno; a signal is a signal. What
 * runs in the children are raw system calls and libc's threads. Needs no privileges (no_new_privs).
 */
#include "sandbox/filter.h"
#include "sandbox/notify.h"
#include "tests/unit/unit.h"
#include <fcntl.h>
#include <linux/audit.h>
#include <linux/seccomp.h>
#include <poll.h>
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/personality.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

static struct filter filters[FILTER_FAMILY_COUNT];

typedef int action(void); /* in the child: errno, 0 = fine */

struct outcome {
    int code; /* exit code, or -signal */
    struct phase_evidence ev;
    bool flood;
};

static int call(long number, unsigned long a, unsigned long b, unsigned long c, unsigned long d)
{
    return syscall(number, a, b, c, d, 0, 0) < 0 ? errno : 0;
}

/* Loads the filter, hands the listener to the parent through shared descriptors, acts. */
_Noreturn static void child(enum filter_family family, int pass_fd, action *act)
{
    prctl(PR_SET_PDEATHSIG, SIGKILL);
    if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) != 0)
        _exit(250);
    int listener = (int)syscall(SYS_seccomp, SECCOMP_SET_MODE_FILTER,
                                SECCOMP_FILTER_FLAG_NEW_LISTENER, &filters[family].prog);
    if (listener < 0)
        _exit(251);
    char control[CMSG_SPACE(sizeof listener)] = {0}, byte = 0;
    struct iovec part = {.iov_base = &byte, .iov_len = 1};
    struct msghdr message = {.msg_iov = &part,
                             .msg_iovlen = 1,
                             .msg_control = control,
                             .msg_controllen = sizeof control};
    struct cmsghdr *header = CMSG_FIRSTHDR(&message);
    header->cmsg_level = SOL_SOCKET;
    header->cmsg_type = SCM_RIGHTS;
    header->cmsg_len = CMSG_LEN(sizeof listener);
    memcpy(CMSG_DATA(header), &listener, sizeof listener);
    if (sendmsg(pass_fd, &message, 0) != 1)
        _exit(252);
    close(listener);
    _exit(act());
}

static int receive_listener(int fd)
{
    int listener = -1;
    char control[CMSG_SPACE(sizeof listener)] = {0}, byte = 0;
    struct iovec part = {.iov_base = &byte, .iov_len = 1};
    struct msghdr message = {.msg_iov = &part,
                             .msg_iovlen = 1,
                             .msg_control = control,
                             .msg_controllen = sizeof control};
    if (recvmsg(fd, &message, MSG_CMSG_CLOEXEC) == 1 && CMSG_FIRSTHDR(&message))
        memcpy(&listener, CMSG_DATA(CMSG_FIRSTHDR(&message)), sizeof listener);
    return listener;
}

/* Serves until the listener's last process is gone; at a flood the child is killed, as the launcher
 * does. */
static void serve(int listener, pid_t pid, struct outcome *out)
{
    for (;;) {
        struct pollfd ready = {.fd = listener, .events = POLLIN};
        if (poll(&ready, 1, 20000) <= 0)
            fail_msg("the child hangs");
        if ((ready.revents & POLLIN) == 0)
            return;
        struct err err = {0};
        assert_ok(notify_serve(listener, &out->ev, &out->flood, &err), err);
        if (out->flood)
            kill(pid, SIGKILL);
    }
}

static struct outcome under(enum filter_family family, action *act)
{
    struct outcome out = {0};
    int pair[2];
    assert_int_equal(socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, pair), 0);
    pid_t pid = fork();
    assert_true(pid >= 0);
    if (pid == 0)
        child(family, pair[1], act);
    close(pair[1]);
    int listener = receive_listener(pair[0]);
    close(pair[0]);
    if (listener >= 0)
        serve(listener, pid, &out);
    close(listener);
    int status = 0;
    assert_int_equal(waitpid(pid, &status, 0), pid);
    out.code = WIFEXITED(status) ? WEXITSTATUS(status) : -WTERMSIG(status);
    return out;
}

static void quiet(action *act, int code)
{
    for (unsigned family = 0; family < FILTER_FAMILY_COUNT; family++) {
        struct outcome got = under((enum filter_family)family, act);
        if (got.code != code || got.ev.seccomp_count != 0)
            fail_msg("%s: got %d, wanted %d; %d events",
                     filter_family_name((enum filter_family)family), got.code, code,
                     (int)got.ev.seccomp_count);
    }
}

static struct outcome event(action *act, const char *name)
{
    struct outcome got = {0};
    for (unsigned family = 0; family < FILTER_FAMILY_COUNT; family++) {
        got = under((enum filter_family)family, act);
        assert_int_equal(got.code, EPERM);
        assert_int_equal(got.ev.seccomp_count, 1);
        assert_string_equal(got.ev.seccomp[0].name, name);
        assert_int_equal(got.ev.seccomp[0].arch, AUDIT_ARCH_X86_64);
        assert_true(got.ev.seccomp[0].instruction_pointer != 0);
        assert_true(got.ev.seccomp[0].pid != 0);
    }
    return got;
}

/* ---- allowed ---- */

static void *thread_body(void *argument)
{
    return argument;
}

static int threads(void)
{
    for (int i = 0; i < 3; i++) {
        pthread_t thread;
        int result = pthread_create(&thread, NULL, thread_body, NULL);
        if (result != 0)
            return result;
        pthread_join(thread, NULL);
    }
    return 0;
}

static int forks(void)
{
    pid_t pid = fork();
    if (pid == 0)
        _exit(0);
    int status = 1;
    return pid < 0 || waitpid(pid, &status, 0) != pid ? errno : status;
}

static int unix_sockets(void)
{
    int pair[2];
    return socketpair(AF_UNIX, SOCK_STREAM, 0, pair) != 0 || socket(AF_UNIX, SOCK_STREAM, 0) < 0
               ? errno
               : 0;
}

static int fifo(void)
{
    return call(SYS_mknodat, (unsigned long)AT_FDCWD, (unsigned long)"/proc/none", S_IFIFO | 0600,
                0) == ENOSYS
               ? ENOSYS
               : 0;
}

static int questions(void)
{
    int pipes[2], value = 0;
    if (pipe(pipes) != 0 || ioctl(pipes[0], FIONREAD, &value) != 0)
        return errno;
    if (isatty(pipes[0]) || errno != ENOTTY)
        return errno;
    return prctl(PR_SET_NAME, "x", 0, 0, 0) != 0 || personality(0xffffffff) < 0 ? errno : 0;
}

/* The kernel drops the upper half of these arguments; the filter must too. */
static int upper_halves(void)
{
    int value = 0;
    int pipes[2];
    if (pipe(pipes) != 0)
        return errno;
    return (int)syscall(SYS_ioctl, pipes[0], FIONREAD | 1UL << 40, &value) < 0 ? errno : 0;
}

static void allowed(void **state)
{
    (void)state;
    quiet(threads, 0);
    quiet(forks, 0);
    quiet(unix_sockets, 0);
    quiet(fifo, 0);
    quiet(questions, 0);
    quiet(upper_halves, 0);
}

/* ---- refused without an event ---- */

static int clone3(void)
{
    return call(SYS_clone3, 0, 0, 0, 0);
}
static int memfd(void)
{
    return call(SYS_memfd_create, (unsigned long)"x", 0, 0, 0);
}
static int secret(void)
{
    return call(447, 0, 0, 0, 0); /* memfd_secret */
}
static int unknown(void)
{
    return call(5000, 0, 0, 0, 0);
}
static int filter_again(void)
{
    return call(SYS_seccomp, 0, 0, 0, 0);
}
static int device_file(void)
{
    return call(SYS_mknod, (unsigned long)"/tmp/none", S_IFCHR | 0600, 0, 0);
}
static int terminal_write(void)
{
    return call(SYS_ioctl, 0, TCSETS, 0, 0);
}
static int dumpable_keep_caps(void)
{
    return call(SYS_prctl, PR_SET_KEEPCAPS, 1, 0, 0);
}

static void unlisted(void **state)
{
    (void)state;
    action *const acts[] = {clone3,       memfd,       secret,         unknown,
                            filter_again, device_file, terminal_write, dumpable_keep_caps};
    for (size_t i = 0; i < COUNT_OF(acts); i++)
        quiet(acts[i], ENOSYS);
}

static int internet(void)
{
    return call(SYS_socket, AF_INET, SOCK_STREAM, 0, 0);
}
static int internet6(void)
{
    return call(SYS_socket, AF_INET6, SOCK_DGRAM, 0, 0);
}
static int no_domain(void)
{
    return call(SYS_socket, 0, SOCK_DGRAM, 0, 0);
}
static int xdp(void)
{
    return call(SYS_socket, 44, SOCK_RAW, 0, 0);
}
static int hidden_internet(void)
{
    return call(SYS_socket, AF_INET | 1UL << 32, SOCK_STREAM, 0, 0);
}

static void sockets(void **state)
{
    (void)state;
    action *const acts[] = {internet, internet6, no_domain, xdp, hidden_internet};
    for (size_t i = 0; i < COUNT_OF(acts); i++)
        quiet(acts[i], EACCES);
}

static int become_root(void)
{
    return call(SYS_setuid, 0, 0, 0, 0);
}
static int no_groups(void)
{
    return call(SYS_setgroups, 0, 0, 0, 0);
}
static int capabilities(void)
{
    return call(SYS_capset, 0, 0, 0, 0);
}

static void identity(void **state)
{
    (void)state;
    quiet(become_root, EPERM);
    quiet(no_groups, EPERM);
    quiet(capabilities, EPERM);
}

/* ---- events ---- */

static int trace(void)
{
    return call(SYS_ptrace, 16, 1234, 0, 77);
}
static int new_mount(void)
{
    return call(SYS_mount, 0, 0, 0, 0);
}
static int ring(void)
{
    return call(SYS_io_uring_setup, 8, 0, 0, 0);
}
static int leave_namespace(void)
{
    return call(SYS_unshare, CLONE_NEWUSER, 0, 0, 0);
}
static int program_kernel(void)
{
    return call(SYS_bpf, 0, 0, 0, 0);
}
static int type_for_others(void)
{
    return call(SYS_ioctl, 0, TIOCSTI, 0, 0);
}
static int type_hidden(void)
{
    return call(SYS_ioctl, 0, TIOCSTI | 1UL << 32, 0, 0);
}
static int netlink(void)
{
    return call(SYS_socket, AF_NETLINK, SOCK_RAW, 0, 0);
}
static int hidden_netlink(void)
{
    return call(SYS_socket, AF_NETLINK | 1UL << 32, SOCK_RAW, 0, 0);
}
static int crypto_socket(void)
{
    return call(SYS_socket, AF_ALG, SOCK_SEQPACKET, 0, 0);
}
static int packets(void)
{
    return call(SYS_socket, AF_PACKET, SOCK_RAW, 0, 0);
}
static int vsock(void)
{
    return call(SYS_socket, AF_VSOCK, SOCK_STREAM, 0, 0);
}
static int fixed_addresses(void)
{
    return call(SYS_personality, ADDR_NO_RANDOMIZE, 0, 0, 0);
}

static void dangerous(void **state)
{
    (void)state;
    struct outcome got = event(trace, "ptrace");
    assert_int_equal(got.ev.seccomp[0].number, SYS_ptrace);
    assert_int_equal(got.ev.seccomp[0].args[0], 16);
    assert_int_equal(got.ev.seccomp[0].args[1], 1234);
    assert_int_equal(got.ev.seccomp[0].args[3], 77);
    event(new_mount, "mount");
    event(ring, "io_uring_setup");
    event(leave_namespace, "unshare");
    event(program_kernel, "bpf");
    event(type_for_others, "ioctl");
    event(type_hidden, "ioctl");
    event(netlink, "socket");
    event(hidden_netlink, "socket");
    event(crypto_socket, "socket");
    event(packets, "socket");
    event(vsock, "socket");
    event(fixed_addresses, "personality");
}

static unsigned long clone_flags;

static int clone_with(void)
{
    long pid = syscall(SYS_clone, clone_flags | SIGCHLD, 0, 0, 0, 0);
    if (pid == 0)
        _exit(0);
    return pid < 0 ? errno : 0;
}

static void clone_namespaces(void **state)
{
    (void)state;
    static const unsigned long flags[] = {CLONE_NEWNS,
                                          CLONE_NEWCGROUP,
                                          CLONE_NEWUTS,
                                          CLONE_NEWIPC,
                                          CLONE_NEWUSER,
                                          CLONE_NEWPID,
                                          CLONE_NEWNET,
                                          CLONE_NEWUSER | CLONE_NEWNET,
                                          CLONE_NEWUSER | 1UL << 40};
    for (size_t i = 0; i < COUNT_OF(flags); i++) {
        clone_flags = flags[i];
        struct outcome got = event(clone_with, "clone");
        assert_int_equal(got.ev.seccomp[0].args[0], flags[i] | SIGCHLD);
    }
}

static int many(void)
{
    for (int i = 0; i < 1000; i++)
        call(SYS_ptrace, (unsigned long)i, 0, 0, 0);
    return 0;
}

static int few(void)
{
    for (int i = 0; i < SECCOMP_EVENTS_MAX - 1; i++)
        call(SYS_ptrace, (unsigned long)i, 0, 0, 0);
    return 0;
}

static void flood(void **state)
{
    (void)state;
    struct outcome got = under(FILTER_NATIVE, few);
    assert_int_equal(got.code, 0);
    assert_false(got.flood);
    assert_int_equal(got.ev.seccomp_count, SECCOMP_EVENTS_MAX - 1);
    got = under(FILTER_NATIVE, many);
    assert_int_equal(got.code, -SIGKILL);
    assert_true(got.flood);
    assert_true(got.ev.seccomp_count >= SECCOMP_EVENTS_MAX);
    assert_true(got.ev.seccomp_count < 1000);
    for (unsigned i = 0; i < SECCOMP_EVENTS_MAX; i++)
        assert_int_equal(got.ev.seccomp[i].args[0], i);
}

/* ---- killed ---- */

static int i386(void)
{
    long result = 0;
    __asm__ volatile("int $0x80" : "=a"(result) : "a"(20L) : "memory"); /* getpid */
    return 0;
}

static int x32(void)
{
    return call(0x40000000L | SYS_getpid, 0, 0, 0, 0);
}

static void foreign(void **state)
{
    (void)state;
    quiet(i386, -SIGSYS);
    quiet(x32, -SIGSYS);
}

/* ---- fails closed ---- */

static void dead_supervisor(void **state)
{
    (void)state;
    int pair[2];
    assert_int_equal(socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, pair), 0);
    pid_t pid = fork();
    assert_true(pid >= 0);
    if (pid == 0)
        child(FILTER_NATIVE, pair[1], trace);
    close(pair[1]);
    close(receive_listener(pair[0])); /* nobody answers */
    close(pair[0]);
    int status = 0;
    assert_int_equal(waitpid(pid, &status, 0), pid);
    assert_true(WIFEXITED(status));
    assert_int_equal(WEXITSTATUS(status), ENOSYS);
}

static int ipc(void)
{
    return call(SYS_semget, 0, 1, 0600, 0) == ENOSYS ? ENOSYS : 0;
}
static int keys(void)
{
    return call(SYS_pkey_free, 77, 0, 0, 0) == ENOSYS ? ENOSYS : 0;
}
static int server(void)
{
    return call(SYS_listen, 77, 0, 0, 0) == ENOSYS ? ENOSYS : 0;
}

static void families_differ(void **state)
{
    (void)state;
    assert_int_equal(under(FILTER_NATIVE, ipc).code, 0);
    assert_int_equal(under(FILTER_PYTHON, ipc).code, ENOSYS);
    assert_int_equal(under(FILTER_NODE, keys).code, 0);
    assert_int_equal(under(FILTER_JVM, keys).code, ENOSYS);
    assert_int_equal(under(FILTER_GO, server).code, 0);
    assert_int_equal(under(FILTER_COMPILER, server).code, ENOSYS);
    struct filter again[FILTER_FAMILY_COUNT];
    struct err err = {0};
    assert_ok(filters_build(again, &err), err);
    for (unsigned i = 0; i < FILTER_FAMILY_COUNT; i++) {
        assert_int_equal(strlen(again[i].sha256), 64);
        assert_string_equal(again[i].sha256, filters[i].sha256); /* reproducible */
    }
    assert_string_not_equal(filters[FILTER_NATIVE].sha256, filters[FILTER_NODE].sha256);
    filters_done(again);
}

int main(void)
{
    struct err err = {0};
    if (filters_build(filters, &err) != 0) {
        fprintf(stderr, "%s\n", err.message);
        return 1;
    }
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(allowed),         cmocka_unit_test(unlisted),
        cmocka_unit_test(sockets),         cmocka_unit_test(identity),
        cmocka_unit_test(dangerous),       cmocka_unit_test(clone_namespaces),
        cmocka_unit_test(flood),           cmocka_unit_test(foreign),
        cmocka_unit_test(dead_supervisor), cmocka_unit_test(families_differ),
    };
    int failed = cmocka_run_group_tests_name("filter", tests, NULL, NULL);
    filters_done(filters);
    return failed;
}
