/* Everything the launcher mounts, all of it in its own private mount namespace or detached: the
 * read-only roots of the languages (made once) and the tmpfs of each phase (made fresh, never
 * reused). The kernel takes all of it back when the launcher and the jobs are gone. */
#pragma once
#include "lib/base/err.h"
#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

#define MOUNTS_PREBUILT "/prebuilt" /* in the binds of a root: the tree that was attached */

/* Leaves the host's mount namespace and mounts a private tmpfs over dir for the roots. */
int mounts_private(const char *dir, struct err *err) MUST_CHECK;
/* Makes dir/dev: null zero full random urandom, the fd links, an empty shm; read-only. */
int mounts_dev(const char *dir, struct err *err) MUST_CHECK;
/* Attaches a detached, sealed mount with a directory `files`, for roots that list MOUNTS_PREBUILT.
 */
int mounts_attach_prebuilt(const char *dir, int mount_fd, struct err *err) MUST_CHECK;
/* A read-only root at dir/name: binds (toolchain paths, NULL-terminated), /dev from dir/dev, and
 * empty /proc, /tmp, /box to be mounted over by each job. */
int mounts_root(const char *dir, const char *name, const char *const *binds,
                struct err *err) MUST_CHECK;

/* A mount namespace with dir/name as its root and nothing else, as a descriptor; every sandbox
 * copies it. The caller's own namespace keeps no mount at dir/name. */
int mounts_template(const char *dir, const char *name, struct err *err) MUST_CHECK;

/* A detached tmpfs, nosuid, nodev and noexec; the caller owns the descriptor, which is usable as a
 * directory. */
int mounts_tmpfs(uint64_t bytes, uint64_t inodes, unsigned mode, struct err *err) MUST_CHECK;
/* Moves a detached mount to a place (descriptor of a directory) in the mount namespace ns of a
 * sandbox, whose program does not run yet; the launcher is in that namespace for the moment and
 * back in its own, home, after. */
int mounts_place(int mount_fd, int place, int ns, int home, struct err *err) MUST_CHECK;
/* Makes a detached tmpfs read-only, and with `executable` lets programs in it run. */
int mounts_seal(int mount_fd, bool executable, struct err *err) MUST_CHECK;
int mounts_exec(int mount_fd, struct err *err) MUST_CHECK; /* drops noexec: escape tests only */
int mounts_writable(int mount_fd,
                    struct err *err) MUST_CHECK; /* undoes the seal: escape tests only */
/* Copies all of from (a regular file or memfd, from its start) into dir/name.
 * ERR_TOO_LARGE beyond max_bytes. */
int mounts_copy(int dir, const char *name, int from, uint64_t max_bytes, mode_t mode,
                struct err *err) MUST_CHECK;
int mounts_copy_all(int to, int from, uint64_t max_bytes, struct err *err) MUST_CHECK;
/* The same with `bytes` bytes from `offset` on, all of which must be there. */
int mounts_copy_part(int dir, const char *name, int from, uint64_t offset, uint64_t bytes,
                     mode_t mode, struct err *err) MUST_CHECK;
/* Hangs a detached mount up at a path of the launcher's own, made for it, from where mounts_clone
 * takes any number of detached copies; kernels before 6.15 clone nothing that hangs nowhere. */
int mounts_hang(int mount_fd, const char *path, struct err *err) MUST_CHECK;
int mounts_clone(const char *path, struct err *err) MUST_CHECK; /* a descriptor */
void mounts_unhang(const char *path);                           /* copies stay as they are */
