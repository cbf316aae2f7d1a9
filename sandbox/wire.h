/* The messages between the launcher and its clients: JSON texts with descriptors on a
 * SOCK_SEQPACKET socket.
 *
 *   launcher -> client  greeting; report: {"id":...,"evidence":...} + [stdout, stderr]
 *                       forgotten, the answer to forget
 *   client -> launcher  job, build + [code with the files' contents behind it, stdin];
 *                       run + [stdin]; release; cancel; forget (a project)
 *
 * Used by both ends. The launcher trusts nothing it reads: every member must be there exactly once,
 * numbers are integers within bounds, nothing unknown is accepted. */
#pragma once
#include "sandbox/box.h"
#include "sandbox/given.h"

#define WIRE_FDS 2

enum wire_kind { WIRE_JOB, WIRE_BUILD, WIRE_RUN, WIRE_RELEASE, WIRE_CANCEL, WIRE_FORGET };

struct wire_request {
    enum wire_kind kind;
    struct box_job job; /* WIRE_CANCEL, WIRE_RELEASE: only id, WIRE_FORGET: only project; decoded,
                           it has no spans */
    struct uuid built;  /* WIRE_RUN: whose result to run */
    struct given given; /* decoded: what the job's args and files are */
};

int wire_encode_greeting(const struct box_info *info, struct buf *out, struct err *err) MUST_CHECK;
int wire_decode_greeting(struct span text, struct box_info *out, struct err *err) MUST_CHECK;
int wire_encode_request(const struct wire_request *request, struct buf *out,
                        struct err *err) MUST_CHECK;
int wire_decode_request(struct span text, struct wire_request *out, struct err *err) MUST_CHECK;
int wire_encode_forgotten(const struct uuid *project, uint64_t entries, struct buf *out,
                          struct err *err) MUST_CHECK;
int wire_decode_forgotten(struct span text, struct uuid *project, uint64_t *entries,
                          struct err *err) MUST_CHECK;
int wire_encode_report(const struct uuid *id, const struct evidence *ev, struct buf *out,
                       struct err *err) MUST_CHECK;
int wire_decode_report(struct span text, struct uuid *id, struct evidence *ev,
                       struct err *err) MUST_CHECK;

/* Sends one message. 1 = sent, 0 = would block, -1 = ERR_LAUNCHER. */
int wire_send(int fd, struct span text, const int *fds, size_t fd_count,
              struct err *err) MUST_CHECK;
/* Receives one message into buffer (size bytes). 1 = got one, 0 = none now, -1 = ERR_LAUNCHER (the
 * other side is gone, or sent something larger than the buffer or with too many descriptors). The
 * descriptors are the caller's; unused places are -1. */
int wire_recv(int fd, char *buffer, size_t size, struct span *text, int fds[WIRE_FDS],
              struct err *err) MUST_CHECK;
