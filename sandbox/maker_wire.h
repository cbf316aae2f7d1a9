/* What the launcher and the maker of its sandboxes (maker.h) say to each other, on SOCK_SEQPACKET
 * pairs. Both come from one build (the maker is part of the launcher's own file), so structs travel
 * as they are.
 *
 *   launcher -> maker  a uint32_t, the layers that are off, with the far end of a pair: a blank is
 *                      wanted there. On that pair:
 *   blank -> launcher  an int32_t, 0: it is there; or the maker's, the errno that the clone had
 *   launcher -> blank  a maker_order, the filter's instructions and the command's words behind it,
 *                      with the descriptors of the sandbox: from here it is the init (child.h) */
#pragma once
#include "sandbox/child.h"

#define MAKER_SOCKET 3 /* the maker's descriptor when it is started */

#define MAKER_FILTER_MAX 1024        /* instructions */
#define MAKER_WORDS_BYTES (8 * 1024) /* of the command and its environment, with their NULs */
#define MAKER_WORDS_MAX 256
#define MAKER_BODY_BYTES (MAKER_FILTER_MAX * sizeof(struct sock_filter) + MAKER_WORDS_BYTES)

/* Places in the descriptors of an order. */
enum maker_fd {
    MAKER_ROOT,
    MAKER_MORE /* /tmp, /dev/shm, last number, those of them that there are */
};
#define MAKER_FDS_MAX (MAKER_MORE + 3)

struct maker_order {
    struct limits limits;
    uint32_t uid, layers;
    int32_t landlock_abi;
    uint32_t instructions, words_bytes;
    bool tmp, shm, stays, compile, template;
    char source[64];
};

/* What a child_spec of the maker's points to. */
struct maker_room {
    struct cgroup group;
    struct toolchain_phase commands;
    struct filter filter;
    const char *words[MAKER_WORDS_MAX];
    int64_t at[STEP_COUNT];
};

/* Fills order, body and fds, of which none is taken; ERR_BUG: a command is too long. */
int maker_pack(const struct child_spec *spec, struct maker_order *order,
               char body[MAKER_BODY_BYTES], size_t *body_bytes, int fds[MAKER_FDS_MAX],
               size_t *fd_count, struct err *err) MUST_CHECK;
/* The spec again, pointing into body (aligned as for uint64_t) and room. -1: torn. */
int maker_unpack(const struct maker_order *order, const char *body, size_t body_bytes,
                 const int *fds, size_t fd_count, struct maker_room *room,
                 struct child_spec *out) MUST_CHECK;
