/* An init that stays for the next run of the same built program (README.md, "Cases"). The launcher
 * orders each further run on the pair of the run before; shelf.h is its side.
 *
 *   launcher -> init  one stay_order with a fresh pair's end; on that pair they say to each other,
 *                     and to the payload, all that they say of a first run (child.h) */
#pragma once
#include "sandbox/caps.h"
#include "sandbox/child.h"

/* The descriptors of an init that waits for its program. */
#define STAY_SYNC 0
#define STAY_LAST_PID 1 /* /proc/sys/kernel/ns_last_pid, if it stays */

/* What it may use between two runs, and hands to the payload, which gives all of them up. While a
 * program runs only CAP_KILL is in effect. */
#define CAPS_STAY (CAPS_BIT(SYS_ADMIN) | CAPS_BIT(SETUID) | CAPS_BIT(SETGID) | CAPS_BIT(KILL))

/* With the init's end of the fresh pair. */
struct stay_order {
    struct limits limits; /* with the tmp_bytes of the first run */
    uint32_t uid;
    bool template;
};

int stay_capabilities(uint64_t effective, uint64_t permitted) MUST_CHECK; /* -1 with errno set */
/* All processes are gone. Sockets that were sent over one another are held by one another alone and
 * outlive them, with abstract names, and locks on files that were sent along, until the kernel
 * looks for such at the end of any socket: it is made to, and waited for. False: some are left. */
bool stay_nothing_in_flight(void);
/* Makes anew what the run before could have changed, then waits for the order, with which spec is
 * the next run's. Leaves by exit when anything fails or the launcher is gone. */
void stay_for_next(struct child_spec *spec);
