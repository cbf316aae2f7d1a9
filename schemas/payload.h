/* The plaintext of a value: canonical JSON metadata plus raw byte sections, so that code and output
 * bytes are never JSON-escaped inside the log.
 *
 * Layout, little endian: "RBP1", u32 metadata bytes, u32 section count, per section u8 kind and u32
 * bytes, then the metadata, then the sections in order. Sizes are checked before use; at most
 * PAYLOAD_SECTIONS_MAX sections and RECORD_BYTES_MAX bytes in all. */
#pragma once
#include "lib/base/buf.h"
#include "lib/base/err.h"

enum section {
    SECTION_CODE = 1,
    SECTION_STDIN,
    SECTION_STDOUT,
    SECTION_STDERR,
    SECTION_FILE,
    SECTION_EVIDENCE, /* of a verdict: what the sandbox measured, as evidence_encode wrote it */
    SECTION_CASES, /* of a submission: stdin and expected output of each case, one behind the other;
                      of a verdict: see result_cases.c */
    SECTION_LAST = SECTION_CASES,
};
#define PAYLOAD_SECTIONS_MAX 80

struct payload {
    struct span meta; /* JSON text */
    size_t sections;
    struct {
        enum section kind;
        struct span bytes;
    } section[PAYLOAD_SECTIONS_MAX];
};

int payload_pack(const struct payload *payload, struct buf *out, struct err *err) MUST_CHECK;
/* Spans of out point into bytes. */
int payload_unpack(struct span bytes, struct payload *out, struct err *err) MUST_CHECK;
/* First section of a kind; empty span when there is none. */
struct span payload_section(const struct payload *payload, enum section kind);
