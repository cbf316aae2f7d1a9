/* Reading back from the kernel what is in force for a payload that waits for its start. */
#pragma once
#include "sandbox/child.h"
#include "sandbox/host.h"

/* A process's directory in /proc, which is that process's and no later one's; -1 = errno. What is
 * called `payload` or `process` below is such a descriptor. */
int readback_process(pid_t pid);
/* Fills ev's controls, namespace numbers and phase->limits from /proc/PID and the group's files.
 * A control is applied only when the kernel says so; what could not be read is missing. Landlock
 * shows in no file: the payload tried what only Landlock refuses, and told the result. */
void readback(const struct host *host, const struct child_spec *spec, pid_t init, int payload,
              bool landlock, struct evidence *ev, struct phase_evidence *phase);
/* Of these the part that changes when a prepared sandbox takes its job's limits. */
void readback_limits(const struct host *host, const struct child_spec *spec, int payload,
                     struct evidence *ev, struct phase_evidence *phase);
/* /box is placed last, into mounts that were read back and that nobody could change since: what is
 * found there is box_mount, read-only, nosuid and nodev, or the mounts do not hold. */
void readback_box(int root_fd, int box_mount, struct evidence *ev);
/* Hands what was read back from a prepared sandbox to the evidence of the job that got it. */
void readback_carry(const struct evidence *from, struct evidence *ev);
/* Bits of the controls that controls.def requires. */
uint32_t readback_required(void);
/* The kernel's numbers of a process's namespaces; 0 = unreadable. */
void readback_namespaces(int process, uint64_t out[NS_COUNT]);
