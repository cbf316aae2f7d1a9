/* A terminal result: packed into the value of a verdict record by execute and admit, stored
 * unchanged by persist, turned into the v1 result body by the gateway.
 *
 * The payload: metadata (JSON with sorted keys; times as decimal strings of Unix nanoseconds), then
 * the sections stdout, stderr and, after a run, evidence: exactly what evidence_encode wrote, so
 * that the verdict can be decided again from it; then, of a submission with cases, theirs
 * (result_cases.c). */
#pragma once
#include "lib/base/arena.h"
#include "lib/base/buf.h"
#include "lib/base/err.h"
#include "schemas/envelope.h"
#include "schemas/submission.h"
#include "schemas/verdict_rules.h"

#define RESULT_MESSAGE_MAX 400

#define CASE_OUTPUT_MAX 4096           /* kept of a case, stdout and stderr together */
#define CASE_STDERR_MAX 1024           /* of that, stderr has no more where stdout wants it */
#define CASES_OUTPUT_MAX (1024 * 1024) /* kept of all cases, in their order */

/* One case of a submission with cases. */
struct case_result {
    struct span name;
    bool ran; /* else it was passed over: behind the first failure, or the compile failed */
    struct decision verdict;
    uint64_t cpu_ns, wall_ns, memory_peak_bytes;
    uint64_t stdout_bytes, stderr_bytes; /* written, also beyond what is kept */
    uint64_t ns_pid, ns_mnt;             /* its own sandbox's */
    uint8_t evidence_sha256[32];         /* of its evidence as evidence_encode writes it */
    struct span out, errout;             /* kept */
};
struct case_totals {
    uint64_t cpu_ns, wall_ns, stdout_bytes, stderr_bytes; /* sums */
    uint64_t memory_peak_bytes;                           /* the largest */
    size_t ran, passed;
};
struct case_totals case_totals(const struct case_result *cases, size_t count);
/* Cuts what is kept of a case; *left is what is left for all, CASES_OUTPUT_MAX at first. */
void case_cut(struct case_result *one, size_t *left);

struct result {
    struct uuid id;
    enum language language;
    enum profile profile;
    struct decision verdict;
    const char *error_message; /* NULL = the cause's own; names field and rule for rejections */
    bool has_evidence;
    struct evidence evidence; /* counts when has_evidence */
    struct stage_times times;
    int64_t started_ns, completed_ns; /* Unix time; started 0 = never started */
    struct span out, errout;          /* stdout and stderr, any bytes */
    /* With cases: verdict, exit code and evidence are those of the first that failed, else of the
     * first; out and errout those of a compile that failed. */
    const struct case_result *cases;
    size_t case_count;
    const struct label *labels; /* the submission's, to be told with its result */
    size_t label_count;
    char policy[16];
    uint8_t
        digest[32]; /* of the submission's value as executed (its envelope's); zero = never read */
};

/* The plain columns persist stores beside the sealed value. */
struct result_summary {
    enum verdict verdict;
    enum cause cause;
    enum language language;
    enum profile profile;
    bool has_exit_code, has_signal;
    int exit_code, signal;
    uint64_t cpu_ns, wall_ns, memory_peak_bytes, stdout_bytes, stderr_bytes;
    int64_t received_ns, started_ns, completed_ns;
};

int result_pack(const struct result *result, struct buf *out, struct err *err) MUST_CHECK;
/* The whole result back; outputs point into payload, error_message and labels into arena.
 * ERR_CORRUPT. */
int result_unpack(struct span payload, struct arena *arena, struct result *out,
                  struct err *err) MUST_CHECK;
/* Without reading the evidence: a tenth of the cost. */
int result_summary(struct span payload, struct result_summary *out, struct err *err) MUST_CHECK;
/* The v1 body (api.md part 1) from a verdict's payload; id_shown differs from the stored id for
 * aliases. Outputs that are not UTF-8 or hold NUL get U+FFFD and a twin field stdout_base64 /
 * stderr_base64. */
int result_body(struct span payload, const struct uuid *id_shown, struct buf *out,
                struct err *err) MUST_CHECK;
/* The same in at most max bytes: the cases go, outputs are cut, last the evidence goes; what was
 * cut is said by stdout_truncated and stderr_truncated, and result_url leads to the whole. */
int result_body_cut(struct span payload, const struct uuid *id_shown, size_t max,
                    int64_t *completed_ns, struct buf *out, struct err *err) MUST_CHECK;
/* The same from a result that was read before. */
int result_body_of(const struct result *result, const struct uuid *id_shown, struct buf *out,
                   struct err *err) MUST_CHECK;
/* The body's evidence.digest: SHA-256 over the lines "name=value\n" of result_digest.c, all of
 * which a reader of the body can make again. It covers the verdict, the outputs, the times, the
 * evidence and the cases. It has no key: it shows an accident, and an alteration to whoever kept
 * the digest. */
int result_digest(const struct result *result, const struct uuid *id_shown, uint8_t out[32],
                  struct err *err) MUST_CHECK;
/* The same in an older form: 1 says nothing of cases. */
int result_digest_form(const struct result *result, const struct uuid *id_shown, int form,
                       uint8_t out[32], struct err *err) MUST_CHECK;
/* The body of a submission that has no verdict yet (no `verdict` key). */
void result_body_open(const struct uuid *id, enum language language, bool running,
                      int64_t created_ns, int64_t started_ns, struct buf *out);
/* Canonical text for comparing duplicates (the caller hashes it with a key): what the program did,
 * without any measurement, so that two executions of a deterministic program agree. */
int result_canonical(struct span payload, struct buf *out, struct err *err) MUST_CHECK;
