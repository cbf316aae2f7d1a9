/* What a result says, as one text with one form, and its SHA-256. Outputs and the message enter as
 * hashes of their bytes, times as microseconds (what the body shows of them), the evidence as
 * evidence_encode writes it. Form 2 is form 1 with a hash over all cases; a result without cases
 * has form 1, so that its digest is what it always was. */
#include "lib/base/enc.h"
#include "lib/base/strict.h"
#include "lib/crypto/crypto.h"
#include "schemas/result.h"
#include <inttypes.h>

#define TEXT_BYTES_MAX (128 * 1024)
#define CASES_BYTES_MAX (2 * 1024 * 1024) /* a thousand, below 1 KiB each */

static void put_hash(struct buf *text, const char *name, struct span bytes)
{
    uint8_t hash[SHA256_BYTES];
    char hex[HEX_SIZE(SHA256_BYTES)];
    sha256(bytes, hash);
    hex_encode(hash, sizeof hash, hex);
    buf_printf(text, "%s=%s\n", name, hex);
}

static void put_int(struct buf *text, const char *name, bool has, int value)
{
    if (has)
        buf_printf(text, "%s=%d\n", name, value);
    else
        buf_printf(text, "%s=null\n", name);
}

static void put_time(struct buf *text, const char *name, int64_t ns)
{
    buf_printf(text, "%s=%" PRId64 "\n", name, ns > 0 ? ns / 1000 : 0);
}

static void put_decision(struct buf *text, const struct decision *decision)
{
    buf_printf(text, "verdict=%s\ncause=%s\n", verdict_name(decision->verdict),
               cause_name(decision->cause));
    put_int(text, "exit_code", decision->has_exit_code, decision->exit_code);
    put_int(text, "signal", decision->has_signal, decision->signal);
    buf_printf(text, "output_integrity=%s\n", output_integrity_name(decision->integrity));
}

static void put_u64(struct buf *text, const char *name, uint64_t value)
{
    buf_printf(text, "%s=%" PRIu64 "\n", name, value);
}

static void put_case(struct buf *text, const struct case_result *one)
{
    char digest[HEX_SIZE(32)];
    put_hash(text, "name", one->name);
    buf_printf(text, "ran=%d\n", one->ran);
    if (!one->ran)
        return;
    put_decision(text, &one->verdict);
    put_hash(text, "stdout", one->out);
    put_hash(text, "stderr", one->errout);
    put_u64(text, "stdout_bytes", one->stdout_bytes);
    put_u64(text, "stderr_bytes", one->stderr_bytes);
    put_u64(text, "cpu_us", one->cpu_ns / 1000);
    put_u64(text, "wall_us", one->wall_ns / 1000);
    put_u64(text, "memory_peak_bytes", one->memory_peak_bytes);
    put_u64(text, "ns_pid", one->ns_pid);
    put_u64(text, "ns_mnt", one->ns_mnt);
    hex_encode(one->evidence_sha256, sizeof one->evidence_sha256, digest);
    buf_printf(text, "evidence=%s\n", digest);
}

static int put_cases(struct buf *text, const struct result *result, struct err *err)
{
    BUF_AUTO struct buf cases = {.max = CASES_BYTES_MAX};
    for (size_t i = 0; i < result->case_count; i++)
        put_case(&cases, &result->cases[i]);
    put_hash(text, "cases", buf_span(&cases));
    return cases.failed ? err_set(err, ERR_TOO_LARGE, "result digest: its cases are above %d bytes",
                                  CASES_BYTES_MAX)
                        : 0;
}

int result_digest(const struct result *result, const struct uuid *id_shown, uint8_t out[32],
                  struct err *err)
{
    return result_digest_form(result, id_shown, result->case_count > 0 ? 2 : 1, out, err);
}

int result_digest_form(const struct result *result, const struct uuid *id_shown, int form,
                       uint8_t out[32], struct err *err)
{
    BUF_AUTO struct buf text = {.max = TEXT_BYTES_MAX};
    const char *message =
        result->error_message ? result->error_message : cause_message(result->verdict.cause);
    char id[UUID_TEXT], submission[HEX_SIZE(32)];
    uuid_format(id_shown, id);
    hex_encode(result->digest, sizeof result->digest, submission);
    buf_printf(&text, "form=rustbox-result/%d\nid=%s\nlanguage=%s\n", form, id,
               language_name(result->language));
    put_decision(&text, &result->verdict);
    put_hash(&text, "stdout", result->out);
    put_hash(&text, "stderr", result->errout);
    put_hash(&text, "error_message", span_text(message));
    put_time(&text, "received", result->times.received);
    put_time(&text, "validated", result->times.validated);
    put_time(&text, "admitted", result->times.admitted);
    put_time(&text, "dequeued", result->times.dequeued);
    put_time(&text, "started", result->started_ns);
    put_time(&text, "completed", result->completed_ns);
    buf_printf(&text, "policy=%s\nsubmission=%s\nevidence=", result->policy, submission);
    if (result->has_evidence && evidence_encode(&result->evidence, &text, err))
        return -1;
    buf_puts(&text, "\n");
    if (form > 1 && put_cases(&text, result, err))
        return -1;
    if (text.failed)
        return err_set(err, ERR_TOO_LARGE, "result digest: above %d bytes", TEXT_BYTES_MAX);
    sha256(buf_span(&text), out);
    return 0;
}
