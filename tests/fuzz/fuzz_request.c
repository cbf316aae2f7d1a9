/* wire_decode_request: what a client of the launcher may send. */
#include "sandbox/wire.h"
#include "tests/fuzz/fuzz.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct wire_request request, back;
    struct err err = {.code = ERR_NONE};
    BUF_AUTO struct buf text = {.max = BOX_MESSAGE_BYTES};
    if (wire_decode_request(span_of(data, size), &request, &err)) {
        check_error(&err);
        return 0;
    }
    CHECK(wire_encode_request(&request, &text, &err) == 0);
    CHECK(wire_decode_request(buf_span(&text), &back, &err) == 0);
    CHECK(request.kind == back.kind && uuid_eq(&request.job.id, &back.job.id) &&
          uuid_eq(&request.job.project, &back.job.project));
    if (request.kind != WIRE_JOB && request.kind != WIRE_BUILD && request.kind != WIRE_RUN)
        return 0;
    /* What arithmetic and host rely on, whatever was sent. */
    const struct limits *run = &request.job.run;
    CHECK(memcmp(run, &back.job.run, sizeof *run) == 0);
    CHECK(run->cpu_ms >= 1 && run->cpu_ms <= 600000 && run->wall_ms <= 600000);
    CHECK(run->processes >= 1 && run->processes <= 16384 && run->open_files <= 4096);
    CHECK(run->memory_bytes >= 16 << 20 && run->output_bytes <= 64 << 20);
    CHECK(run->file_bytes <= 1 << 30 && run->stack_bytes <= 1 << 30);
    CHECK(run->tmp_bytes >= 4096 && run->tmp_bytes <= UINT64_C(4) << 30);
    CHECK((unsigned)request.job.language < LANGUAGE_COUNT);
    CHECK(request.given.args_len <= sizeof request.given.args);
    CHECK(request.given.args_len == 0 || request.given.args[request.given.args_len - 1] == '\0');
    for (size_t i = 0; i < request.given.file_count; i++)
        CHECK(!file_path_rule(span_text(request.given.files[i].path)));
    CHECK(request.kind == WIRE_RUN || (request.job.compile.memory_bytes != 0) ==
                                          (limits_compile(request.job.language).memory_bytes != 0));
    CHECK(!request.job.code.data && !request.job.stdin_data.data);
    return 0;
}
