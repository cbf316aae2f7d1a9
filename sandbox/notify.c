/* Answers notified system calls; see notify.h. Reads no memory of the job: the arguments are the
 * registers that the kernel handed over, so there is nothing to race with. */
#include "sandbox/notify.h"
#include "lib/base/cleanup.h"
#include "lib/base/span.h"
#include <errno.h>
#include <linux/seccomp.h>
#include <seccomp.h>
#include <string.h>
#include <sys/ioctl.h>

static void record(const struct seccomp_notif *call, struct phase_evidence *ev)
{
    if (ev->seccomp_count++ >= SECCOMP_EVENTS_MAX)
        return;
    struct seccomp_event *event = &ev->seccomp[ev->seccomp_count - 1];
    *event = (struct seccomp_event){
        .arch = call->data.arch,
        .number = call->data.nr,
        .instruction_pointer = call->data.instruction_pointer,
        .pid = call->pid,
    };
    for (size_t i = 0; i < 6; i++)
        event->args[i] = call->data.args[i];
    AUTO_FREE char *name = seccomp_syscall_resolve_num_arch(call->data.arch, call->data.nr);
    if (!name || span_copy(span_text(name), event->name, sizeof event->name) != 0)
        memcpy(event->name, "unknown", sizeof "unknown");
}

int notify_serve(int listener_fd, struct phase_evidence *ev, bool *flood, struct err *err)
{
    /* The kernel writes its own struct, which may be longer than the one known here. */
    union {
        struct seccomp_notif call;
        char room[512];
    } in;
    union {
        struct seccomp_notif_resp answer;
        char room[512];
    } out;
    memset(&in, 0, sizeof in);
    memset(&out, 0, sizeof out);

    while (ioctl(listener_fd, SECCOMP_IOCTL_NOTIF_RECV, &in) != 0) {
        if (errno == ENOENT) /* the caller was killed while it waited */
            return 0;
        if (errno != EINTR)
            return err_sys(err, ERR_SYSTEM, "seccomp listener: receive");
    }
    record(&in.call, ev);
    *flood = ev->seccomp_count >= SECCOMP_EVENTS_MAX;

    /* An id dies with its caller; an answer to a dead one is refused, never given to another. */
    out.answer.id = in.call.id;
    out.answer.error = -EPERM;
    if (ioctl(listener_fd, SECCOMP_IOCTL_NOTIF_ID_VALID, &in.call.id) != 0 ||
        ioctl(listener_fd, SECCOMP_IOCTL_NOTIF_SEND, &out) != 0) {
        if (errno != ENOENT && errno != EINPROGRESS)
            return err_sys(err, ERR_SYSTEM, "seccomp listener: answer");
    }
    return 0;
}
