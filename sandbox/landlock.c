/* Landlock by its system calls; Debian 12's header ends at ABI 2, so later names are given here as
 * the kernel's include/uapi/linux/landlock.h has them. */
#include "sandbox/landlock.h"
#include "lib/base/cleanup.h"
#include <errno.h>
#include <fcntl.h>
#include <linux/landlock.h>
#include <stdint.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#define FS_TRUNCATE (UINT64_C(1) << 14)     /* ABI 3 */
#define NET_BIND_TCP (UINT64_C(1) << 0)     /* ABI 4 */
#define NET_CONNECT_TCP (UINT64_C(1) << 1)  /* ABI 4 */
#define SCOPE_ABSTRACT (UINT64_C(1) << 0)   /* ABI 6 */
#define SCOPE_SIGNAL (UINT64_C(1) << 1)     /* ABI 6 */
#define RESTRICT_LOG_OFF (UINT32_C(1) << 0) /* ABI 7: the probe is nothing for the audit log */

#define FS_READ                                                                                    \
    (LANDLOCK_ACCESS_FS_EXECUTE | LANDLOCK_ACCESS_FS_READ_FILE | LANDLOCK_ACCESS_FS_READ_DIR)
#define FS_MAKE                                                                                    \
    (LANDLOCK_ACCESS_FS_WRITE_FILE | LANDLOCK_ACCESS_FS_REMOVE_DIR |                               \
     LANDLOCK_ACCESS_FS_REMOVE_FILE | LANDLOCK_ACCESS_FS_MAKE_DIR | LANDLOCK_ACCESS_FS_MAKE_REG |  \
     LANDLOCK_ACCESS_FS_MAKE_SOCK | LANDLOCK_ACCESS_FS_MAKE_FIFO | LANDLOCK_ACCESS_FS_MAKE_SYM |   \
     LANDLOCK_ACCESS_FS_REFER)
#define FS_DEVICES (LANDLOCK_ACCESS_FS_MAKE_CHAR | LANDLOCK_ACCESS_FS_MAKE_BLOCK)

/* struct landlock_ruleset_attr as of ABI 6. */
struct ruleset_attr {
    uint64_t fs, net, scoped;
};

int landlock_abi(void)
{
    long abi =
        syscall(SYS_landlock_create_ruleset, NULL, (size_t)0, LANDLOCK_CREATE_RULESET_VERSION);
    return abi >= LANDLOCK_ABI_MIN ? (int)abi : 0;
}

static int open_ruleset(int abi)
{
    struct ruleset_attr attr = {.fs = FS_READ | FS_MAKE | FS_DEVICES};
    size_t size = sizeof attr.fs;
    if (abi >= 3)
        attr.fs |= FS_TRUNCATE;
    if (abi >= 4) {
        attr.net = NET_BIND_TCP | NET_CONNECT_TCP;
        size += sizeof attr.net;
    }
    if (abi >= 6) {
        attr.scoped = SCOPE_ABSTRACT | SCOPE_SIGNAL;
        size += sizeof attr.scoped;
    }
    return (int)syscall(SYS_landlock_create_ruleset, &attr, size, 0);
}

static int allow(int ruleset, int fd, uint64_t access)
{
    struct landlock_path_beneath_attr attr = {.allowed_access = access, .parent_fd = fd};
    return (int)syscall(SYS_landlock_add_rule, ruleset, LANDLOCK_RULE_PATH_BENEATH, &attr, 0);
}

static int allow_path(int ruleset, const char *path, uint64_t access)
{
    AUTO_FD int fd = open(path, O_PATH | O_DIRECTORY | O_CLOEXEC);
    return fd < 0 ? -1 : allow(ruleset, fd, access);
}

int landlock_confine(int abi, int stdin_fd)
{
    uint64_t truncate = abi >= 3 ? FS_TRUNCATE : 0;
    /* Rules add up from a file to the root, so what "/" may is true of /tmp also: that nothing is
     * executed there is noexec's matter. A rule on /box itself would not be found: mount points are
     * passed over, and what is mounted there comes later. */
    uint64_t own = LANDLOCK_ACCESS_FS_READ_FILE | LANDLOCK_ACCESS_FS_READ_DIR | FS_MAKE | truncate;
    AUTO_FD int ruleset = open_ruleset(abi);
    if (ruleset < 0)
        return -1;
    if (allow_path(ruleset, "/", FS_READ) != 0 ||
        allow_path(ruleset, "/dev", LANDLOCK_ACCESS_FS_WRITE_FILE | truncate) != 0 ||
        /* Its own processes' files: names of threads are written there. */
        allow_path(ruleset, "/proc", LANDLOCK_ACCESS_FS_WRITE_FILE | truncate) != 0 ||
        allow_path(ruleset, "/tmp", own) != 0 || allow_path(ruleset, "/dev/shm", own) != 0)
        return -1;
    struct stat st;
    if (fstat(stdin_fd, &st) != 0)
        return -1;
    /* A file beyond every mount of the job, which it may still open as /dev/stdin. What lies on no
     * mount at all, a memfd, takes no rule and needs none. */
    if (S_ISREG(st.st_mode) && allow(ruleset, stdin_fd, LANDLOCK_ACCESS_FS_READ_FILE) != 0 &&
        errno != EBADFD)
        return -1;
    return (int)syscall(SYS_landlock_restrict_self, ruleset, abi >= 7 ? RESTRICT_LOG_OFF : 0);
}

bool landlock_in_force(void)
{
    return mount("none", "/", "rustbox-no-such-type", 0, NULL) != 0 && errno == EPERM;
}
