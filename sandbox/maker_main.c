/* The maker: a small static program that clones the inits of the launcher's sandboxes (maker.h).
 * An init is a copy of it, and a copy of it is cheap. It knows nothing but the order at hand, holds
 * no descriptor but its pair between two orders, and of root's capabilities only CAPS_SANDBOX. Its
 * children are the launcher's (CLONE_PARENT). */
#include "sandbox/maker_wire.h"
#include "sandbox/pass.h"
#include <errno.h>
#include <linux/sched.h>
#include <signal.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <unistd.h>

static struct maker_order order;
static char body[MAKER_BODY_BYTES] __attribute__((aligned(8)));
static struct maker_room room;

/* false = the launcher is gone. */
static bool next(size_t *body_bytes, int fds[MAKER_FDS_MAX], size_t *fd_count)
{
    struct iovec parts[] = {{&order, sizeof order}, {body, sizeof body}};
    *fd_count = MAKER_FDS_MAX;
    ssize_t got = pass_receive(MAKER_SOCKET, parts, 2, fds, fd_count);
    *body_bytes = (size_t)got - sizeof order;
    return got >= (ssize_t)sizeof order;
}

static long make(const struct child_spec *spec)
{
    struct clone_args args = {.flags = CLONE_PARENT | CLONE_CLEAR_SIGHAND |
                                       (spec->layers & LAYER_PID ? 0 : CLONE_NEWPID)};
    long pid = syscall(SYS_clone3, &args, sizeof args);
    if (pid == 0)
        child_init(spec);
    return pid < 0 ? -errno : pid;
}

int main(void)
{
    int fds[MAKER_FDS_MAX];
    size_t body_bytes, fd_count;
    prctl(PR_SET_PDEATHSIG, SIGKILL);
    prctl(PR_SET_DUMPABLE, 0);
    prctl(PR_SET_NAME, "maker");
    while (next(&body_bytes, fds, &fd_count)) {
        struct child_spec spec;
        if (maker_unpack(&order, body, body_bytes, fds, fd_count, &room, &spec) != 0)
            return 1;
        int32_t answer = (int32_t)make(&spec);
        if (write(MAKER_SOCKET, &answer, sizeof answer) != (ssize_t)sizeof answer)
            return 0;
        for (size_t i = 0; i < fd_count; i++)
            close(fds[i]);
    }
    return 0;
}
