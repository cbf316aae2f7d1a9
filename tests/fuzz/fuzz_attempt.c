/* webhook_attempt_decode: what persist and deliver believe of a record of `attempts`. */
#include "schemas/webhook.h"
#include "tests/fuzz/fuzz.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct webhook_attempt attempt, back;
    struct err err = {.code = ERR_NONE};
    BUF_AUTO struct buf first = {.max = 8192}, second = {.max = 8192};
    if (webhook_attempt_decode(span_of(data, size), &attempt, &err)) {
        check_error(&err);
        CHECK(err.code == ERR_CORRUPT);
        return 0;
    }
    CHECK(attempt.at_ms > 0 && attempt.source < TOPIC_COUNT && attempt.source_partition >= 0);
    CHECK(attempt.source_offset >= 0 && attempt.latency_us >= 0 && attempt.next_due_ms >= 0);
    CHECK(attempt_error_name(attempt.error) && attempt_outcome_name(attempt.outcome));
    CHECK(attempt.status <= 999);
    CHECK(strnlen(attempt.address, sizeof attempt.address) < sizeof attempt.address);
    CHECK(strnlen(attempt.reason, sizeof attempt.reason) < sizeof attempt.reason);
    /* a database takes nothing but UTF-8 */
    CHECK(utf8_valid(span_text(attempt.address)) && utf8_valid(span_text(attempt.reason)));
    CHECK(webhook_attempt_encode(&attempt, &first, &err) == 0);
    if (first.len > ATTEMPT_BYTES_MAX)
        return 0; /* longer in our own spelling */
    CHECK(webhook_attempt_decode(buf_span(&first), &back, &err) == 0);
    CHECK(webhook_attempt_encode(&back, &second, &err) == 0);
    CHECK(span_eq(buf_span(&first), buf_span(&second)));
    return 0;
}
