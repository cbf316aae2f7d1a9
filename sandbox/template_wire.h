/* What the launcher and its Python template say to each other, on a SOCK_SEQPACKET pair. Both come
 * from one build (the extension is part of the launcher's own file), so structs travel as they are.
 *
 *   launcher -> template  one template_order with its descriptors for each fork
 *   template -> launcher  one byte when it is ready, then nothing: the fork speaks for itself, on
 * its sandbox's own pair, as every payload does (child.h) */
#pragma once
#include "schemas/languages.h"
#include <stdbool.h>
#include <stdint.h>

#define TEMPLATE_SOCKET 3 /* the template's descriptors when it is started */
#define TEMPLATE_FILTER 4 /* a memfd: the instructions of its jobs' filter */

/* Places in the descriptors of an order; then the files to join the control groups. */
enum template_fd {
    TEMPLATE_INIT, /* pidfd of the sandbox's init, already in its finished root */
    TEMPLATE_SYNC,
    TEMPLATE_STDIN,
    TEMPLATE_STDOUT,
    TEMPLATE_STDERR,
    TEMPLATE_GROUPS,
};
#define TEMPLATE_GROUPS_MAX 4
#define TEMPLATE_FDS_MAX (TEMPLATE_GROUPS + TEMPLATE_GROUPS_MAX)

struct template_order {
    struct limits limits;
    uint32_t uid, layers;
    int32_t landlock_abi;
    bool ahead; /* no job waits: what can be done before it comes is done */
};
