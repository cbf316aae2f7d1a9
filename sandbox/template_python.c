/* The Python template's extension module: waits for the launcher's orders and forks a payload into
 * the sandbox each of them names. The template is root with the capabilities that this takes, in
 * the launcher's namespaces but for its mounts, not dumpable, and never runs a line of a job's:
 * each job has a fork, which takes the same layers in the same code as any other payload
 * (child_payload.c) before it runs the program.
 *
 * A fork is the init's to wait for, so its parent must be a process of the sandbox that goes: a
 * helper, born into its pid namespace, enters the others, forks and is gone, and the init inherits
 * the fork. The helper shares the template's memory (as by vfork), so only one copy of it is made.
 */
#include "sandbox/template_hidden.h"
#include "sandbox/template_main.h"
#include "sandbox/template_pages.h"

#include "lib/base/cleanup.h"
#include "sandbox/child_payload.h"
#include "sandbox/pass.h"
#include "sandbox/template_wire.h"
#include <errno.h>
#include <linux/sched.h>
#include <linux/seccomp.h>
#include <sched.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/pidfd.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#define PARENT_TRIES 1000000
#define HELPER_NUMBER 300

static struct filter filter;
static int own_pidfd = -1;

static int load_filter_program(void)
{
    struct stat info;
    if (fstat(TEMPLATE_FILTER, &info) != 0 || info.st_size <= 0)
        return -1;
    size_t bytes = (size_t)info.st_size;
    filter.prog.filter = malloc(bytes);
    filter.prog.len = (unsigned short)(bytes / sizeof(struct sock_filter));
    if (!filter.prog.filter || pread(TEMPLATE_FILTER, filter.prog.filter, bytes, 0) != info.st_size)
        return -1;
    close(TEMPLATE_FILTER);
    return 0;
}

/* One order and its descriptors. false = the launcher is gone. */
static bool receive(struct template_order *order, int fds[TEMPLATE_FDS_MAX], size_t *count)
{
    struct iovec part = {order, sizeof *order};
    *count = TEMPLATE_FDS_MAX;
    return pass_receive(TEMPLATE_SOCKET, &part, 1, fds, count) == (ssize_t)sizeof *order &&
           *count > TEMPLATE_GROUPS;
}

/* The readback wants the init for a parent; the helper is about to go. */
static void await_init(int sync_fd)
{
    for (int i = 0; getppid() != 1; i++) {
        if (i == PARENT_TRIES)
            child_fail(sync_fd, "be handed to the sandbox's init");
        sched_yield();
    }
}

static _Noreturn void become_payload(const struct template_order *order, const int *fds,
                                     size_t count)
{
    int64_t at[STEP_COUNT] = {0};
    struct cgroup group = {CGROUP_NONE};
    for (size_t i = TEMPLATE_GROUPS; i < count; i++)
        group.join[i - TEMPLATE_GROUPS] = fds[i];
    struct child_spec spec = {.root_ns = -1,
                              .sync_fd = fds[TEMPLATE_SYNC],
                              .stdin_fd = fds[TEMPLATE_STDIN],
                              .stdout_fd = fds[TEMPLATE_STDOUT],
                              .stderr_fd = fds[TEMPLATE_STDERR],
                              .last_pid = -1,
                              .tmp_mount = -1,
                              .shm_mount = -1,
                              .group = &group,
                              .filter = &filter,
                              .limits = order->limits,
                              .uid = order->uid,
                              .landlock_abi = order->landlock_abi,
                              .at = at,
                              .layers = order->layers};
    struct child_message message;
    child_confine(&spec, &message);
    await_init(CHILD_SYNC);
    at[STEP_loaded] = child_now_ns();
    memcpy(message.at, at, sizeof message.at);
    child_say_loaded(&message);
    /* The launcher reads back meanwhile. */
    if (!template_main_forked() || (order->ahead && !template_main_ahead()))
        child_fail(CHILD_SYNC, "fork the interpreter");
    child_await_go(&spec);
    if (!(order->layers & LAYER_FDS)) {
        close(CHILD_SYNC);
        if (message.listener >= 0)
            close(message.listener);
    }
    /* What an execve would have done: the program's own /proc/self is the program's. */
    prctl(PR_SET_DUMPABLE, 1);
    template_main_run();
}

/* In the helper, whose memory is the template's: nothing may be changed that the template needs. */
static _Noreturn void enter_and_fork(const struct template_order *order, const int *fds,
                                     size_t count)
{
    if (setns(fds[TEMPLATE_INIT], CLONE_NEWNS | CLONE_NEWNET | CLONE_NEWIPC | CLONE_NEWUTS) != 0)
        child_fail(fds[TEMPLATE_SYNC], "enter the sandbox");
    pid_t pid = fork();
    if (pid == 0)
        become_payload(order, fds, count);
    if (pid < 0)
        child_fail(fds[TEMPLATE_SYNC], "fork the template");
    _exit(0);
}

/* As vfork, but born under a number that leaves the fork the one a cold start's program has. In
 * line, because a call would return to a frame that the helper has written over. */
static inline pid_t vfork_aside(void)
{
    pid_t number = HELPER_NUMBER;
    struct clone_args args = {.flags = CLONE_VM | CLONE_VFORK,
                              .exit_signal = SIGCHLD,
                              .set_tid = (uint64_t)(uintptr_t)&number,
                              .set_tid_size = 1};
    long result;
    __asm__ volatile("syscall"
                     : "=a"(result)
                     : "0"(SYS_clone3), "D"(&args), "S"(sizeof args)
                     : "rcx", "r11", "memory");
    errno = result < 0 ? (int)-result : 0;
    return result < 0 ? -1 : (pid_t)result;
}

static void carry_out(const struct template_order *order, int *fds, size_t count)
{
    PyOS_BeforeFork();
    pid_t helper = setns(fds[TEMPLATE_INIT], CLONE_NEWPID) == 0 ? vfork_aside() : -1;
    if (helper == 0)
        enter_and_fork(order, fds, count);
    int error = errno;
    PyOS_AfterFork_Parent();
    while (helper > 0 && waitpid(helper, NULL, 0) < 0 && errno == EINTR)
        ;
    /* A template whose next child would be born in a sandbox that is over cannot go on. */
    if (setns(own_pidfd, CLONE_NEWPID) != 0)
        _exit(1);
    errno = error;
    if (helper < 0) {
        struct child_message message = {.kind = CHILD_FAILED, .error = errno};
        strncpy(message.where, "start the template's helper", sizeof message.where - 1);
        (void)!write(fds[TEMPLATE_SYNC], &message, sizeof message);
    }
    for (size_t i = 0; i < count; i++)
        close(fds[i]);
}

static PyObject *serve(PyObject *self, PyObject *args)
{
    (void)self;
    PyObject *instance, *thread, *freeze;
    struct template_order order;
    int fds[TEMPLATE_FDS_MAX];
    size_t count;
    if (!PyArg_ParseTuple(args, "OOO", &instance, &thread, &freeze))
        return NULL;
    prctl(PR_SET_PDEATHSIG, SIGKILL);
    prctl(PR_SET_DUMPABLE, 0);
    own_pidfd = pidfd_open(getpid(), 0);
    if (own_pidfd < 0 || load_filter_program() != 0)
        return PyErr_SetFromErrno(PyExc_OSError);
    if (template_main_open(instance, thread, freeze) != 0)
        return NULL;
    template_pages_gather();
    if (write(TEMPLATE_SOCKET, "R", 1) != 1)
        return PyErr_SetFromErrno(PyExc_OSError);
    while (receive(&order, fds, &count))
        carry_out(&order, fds, count);
    _exit(0);
}

static PyObject *hide(PyObject *self, PyObject *hidden)
{
    (void)self;
    return template_hidden_open(hidden) == 0 ? Py_NewRef(Py_None) : NULL;
}

static PyMethodDef methods[] = {
    {"hide", hide, METH_O, NULL}, {"serve", serve, METH_VARARGS, NULL}, {NULL, NULL, 0, NULL}};

static struct PyModuleDef definition = {.m_base = PyModuleDef_HEAD_INIT,
                                        .m_name = "_rustbox_template",
                                        .m_size = -1,
                                        .m_methods = methods};

PyMODINIT_FUNC PyInit__rustbox_template(void);
PyMODINIT_FUNC PyInit__rustbox_template(void)
{
    return PyModule_Create(&definition);
}
