/* What a result says, as one text with one form, and its SHA-256. Outputs and the message enter as
 * hashes of their bytes, times as microseconds (what the body shows of them), the evidence as
 * evidence_encode writes it. */
#include "lib/base/enc.h"
#include "lib/base/strict.h"
#include "lib/crypto/crypto.h"
#include "schemas/result.h"
#include <inttypes.h>

#define TEXT_BYTES_MAX (128 * 1024)

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

int result_digest(const struct result *result, const struct uuid *id_shown, uint8_t out[32],
                  struct err *err)
{
    BUF_AUTO struct buf text = {.max = TEXT_BYTES_MAX};
    const char *message =
        result->error_message ? result->error_message : cause_message(result->verdict.cause);
    char id[UUID_TEXT], submission[HEX_SIZE(32)];
    uuid_format(id_shown, id);
    hex_encode(result->digest, sizeof result->digest, submission);
    buf_printf(&text, "form=rustbox-result/1\nid=%s\nlanguage=%s\n", id,
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
    if (text.failed)
        return err_set(err, ERR_TOO_LARGE, "result digest: above %d bytes", TEXT_BYTES_MAX);
    sha256(buf_span(&text), out);
    return 0;
}
