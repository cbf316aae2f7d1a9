/* control_decode and apikey_check. */
#include "schemas/apikey.h"
#include "schemas/control.h"
#include "tests/fuzz/fuzz.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct control_event event, back;
    struct err err = {.code = ERR_NONE};
    BUF_AUTO struct buf text = {.max = 65536};
    if (control_decode(span_of(data, size), &event, &err)) {
        check_error(&err);
    } else {
        CHECK(control_encode(&event, &text, &err) == 0);
        CHECK(control_decode(buf_span(&text), &back, &err) == 0);
        CHECK(uuid_eq(&event.project, &back.project) && event.kind == back.kind);
    }
    if (apikey_check(span_of(data, size), NULL))
        CHECK(size == APIKEY_BYTES);
    return 0;
}
