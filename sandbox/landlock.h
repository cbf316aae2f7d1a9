/* A second wall around files, TCP, signals and abstract sockets: what the mounts, the namespaces
 * and the filter already refuse is refused once more by Landlock, should one of them be got round.
 * Best effort by the kernel's ABI; the evidence says whether it was in force. */
#pragma once
#include <stdbool.h>

#define LANDLOCK_ABI_MIN 2 /* before it, no program could move a file to another directory */

/* The kernel's ABI number (landlock(7)); 0 = the kernel has none, or too old a one to be used. */
int landlock_abi(void);
/* Confines the calling process and what it starts: "/" can be read and executed, /dev and /proc
 * written, /tmp and /dev/shm used freely but for device nodes, stdin_fd read; with
 * ABI 4 no TCP, with ABI 6 no signal and no abstract socket to the outside. Needs no_new_privs or
 * CAP_SYS_ADMIN. -1 with errno set. */
int landlock_confine(int abi, int stdin_fd);
/* Whether the kernel refuses the calling process, which holds CAP_SYS_ADMIN, what only Landlock
 * refuses to it: a mount call (security_sb_mount comes before the type is looked up). */
bool landlock_in_force(void);
