/* The launcher's client, the only header of sandbox/ that consumers may include.
 *
 * The launcher rustbox-box is a service of its own on a SOCK_SEQPACKET unix socket. A job goes out
 * as one JSON message (at most BOX_MESSAGE_BYTES) with descriptors for code (and behind it the
 * given files) and stdin; a report
 * comes back as one JSON message with descriptors for stdout and stderr. Everything is
 * non-blocking: the caller polls box_fd() for POLLIN and calls box_next() until it returns 0.
 *
 * Ownership: box_submit does not take the spans (it copies them into sealed memfds); a report's
 * outputs are mapped memory, valid until box_report_done. Errors are ERR_LAUNCHER (the connection
 * died: every job in flight is a suspect; close, then box_open again), ERR_BUSY (no slot free),
 * ERR_SYSTEM. Not thread-safe. An in-memory implementation for tests is in
 * tests/support/box_memory.h. */
#pragma once
#include "lib/base/err.h"
#include "lib/base/uuid.h"
#include "schemas/evidence.h"
#include "schemas/file_path.h"

#define BOX_MESSAGE_BYTES (64 * 1024)
#define BOX_LANGUAGE_TEXT 64

struct box; /* one connection */

/* The launcher's greeting. */
struct box_info {
    uint32_t slots; /* jobs it runs at the same time */
    bool permissive;
    uint32_t controls;  /* bits that it can apply and read back */
    uint32_t languages; /* bits 1 << enum language that have a toolchain */
    char toolchain[LANGUAGE_COUNT][BOX_LANGUAGE_TEXT]; /* "gcc 12.2.0-14"; "" = missing */
    char cgroup_backend[4];
};

struct box_file {
    struct span path, content; /* the launcher refuses what breaks schemas/file_path.h */
};

struct box_job {
    struct uuid id;      /* unique among the jobs in flight on this connection */
    struct uuid project; /* scope of anything that is cached */
    enum language language;
    enum profile profile;
    bool high_assurance; /* nothing is shared with other jobs: no fork of a template, none made
                            ahead */
    struct limits run, compile; /* effective limits; compile all zero when there is no such step */
    struct span code, stdin_data;
    const struct box_file *files; /* beside the source and beside the binary; ascending by path */
    const struct span *args;      /* of the program, without NUL */
    size_t file_count, arg_count;
};

struct box_report {
    struct uuid id;
    struct evidence evidence;
    struct span out, errout; /* kept stdout and stderr; the compiler's text is in errout */
    void *private_maps[2];
};

/* Connects and waits up to timeout_ms for the greeting. */
int box_open(const char *socket_path, int timeout_ms, struct box **out, struct box_info *info,
             struct err *err) MUST_CHECK;
void box_close(struct box *box); /* NULL is fine; jobs in flight are killed by the launcher */
int box_fd(const struct box *box);
int box_submit(struct box *box, const struct box_job *job, struct err *err) MUST_CHECK;
/* For many runs of one program: compiles it, if its language has that, and keeps the result in the
 * launcher under the job's id until box_release or the end of the connection. The report has the
 * compile's evidence alone; box_built says whether there is something to run. args and stdin are
 * not looked at. Takes a slot while it compiles. */
int box_build(struct box *box, const struct box_job *job, struct err *err) MUST_CHECK;
bool box_built(enum language language, const struct evidence *ev);
/* One run of it, a job like any other: id, run, args and stdin_data count. */
int box_run_built(struct box *box, const struct uuid *built, const struct box_job *job,
                  struct err *err) MUST_CHECK;
/* Running ones end as they would. ERR_BUSY: say it again later. */
int box_release(struct box *box, const struct uuid *built, struct err *err) MUST_CHECK;
#define BOX_BUILT_MAX 64 /* kept at the same time for one connection */
int box_cancel(struct box *box, const struct uuid *id,
               struct err *err) MUST_CHECK; /* a report follows */
/* Erases what the launcher keeps of a project: compiled programs and their sources, also those of
 * jobs in flight. Waits up to timeout_ms for the answer, so it needs a connection without jobs of
 * its own (ERR_INVALID otherwise); *entries is how many there were. After an error ask again. */
int box_forget(struct box *box, const struct uuid *project, int timeout_ms, uint64_t *entries,
               struct err *err) MUST_CHECK;
/* 1 = a report, 0 = none now, -1 = error. */
int box_next(struct box *box, struct box_report *out, struct err *err) MUST_CHECK;
void box_report_done(struct box_report *report);
