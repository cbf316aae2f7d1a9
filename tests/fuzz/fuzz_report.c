/* wire_decode_greeting, wire_decode_forgotten and wire_decode_report: what a client believes of
 * whoever answers on the launcher's socket. */
#include "sandbox/wire.h"
#include "tests/fuzz/fuzz.h"

static void greeting(struct span text)
{
    struct box_info info;
    struct err err = {.code = ERR_NONE};
    if (wire_decode_greeting(text, &info, &err)) {
        CHECK(err.code == ERR_CORRUPT || err.code == ERR_INVALID);
        return;
    }
    CHECK(info.slots >= 1 && info.slots <= 4096);
    CHECK(strnlen(info.cgroup_backend, sizeof info.cgroup_backend) < sizeof info.cgroup_backend);
    for (int i = 0; i < LANGUAGE_COUNT; i++)
        CHECK(strnlen(info.toolchain[i], BOX_LANGUAGE_TEXT) < BOX_LANGUAGE_TEXT);
}

static void forgotten(struct span text)
{
    struct uuid project, back;
    uint64_t entries, entries_back;
    struct err err = {.code = ERR_NONE};
    BUF_AUTO struct buf out = {.max = BOX_MESSAGE_BYTES};
    if (wire_decode_forgotten(text, &project, &entries, &err)) {
        check_error(&err);
        return;
    }
    CHECK(wire_encode_forgotten(&project, entries, &out, &err) == 0);
    CHECK(wire_decode_forgotten(buf_span(&out), &back, &entries_back, &err) == 0);
    CHECK(uuid_eq(&project, &back) && entries == entries_back);
}

static void report(struct span text)
{
    struct uuid id, id_back;
    struct evidence ev, back;
    struct err err = {.code = ERR_NONE};
    BUF_AUTO struct buf first = {.max = BOX_MESSAGE_BYTES}, second = {.max = BOX_MESSAGE_BYTES};
    if (wire_decode_report(text, &id, &ev, &err)) {
        check_error(&err);
        return;
    }
    if (wire_encode_report(&id, &ev, &first, &err))
        return; /* longer in our own spelling */
    CHECK(wire_decode_report(buf_span(&first), &id_back, &back, &err) == 0);
    CHECK(uuid_eq(&id, &id_back));
    CHECK(wire_encode_report(&id_back, &back, &second, &err) == 0);
    CHECK(span_eq(buf_span(&first), buf_span(&second)));
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    greeting(span_of(data, size));
    forgotten(span_of(data, size));
    report(span_of(data, size));
    return 0;
}
