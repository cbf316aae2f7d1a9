/* submission_parse: what is taken keeps every rule, and survives the payload and its own canonical
 * body. */
#include "schemas/submission.h"
#include "tests/fuzz/fuzz.h"

static void close_with_slash(char *path)
{
    size_t len = strlen(path);
    path[len] = '/';
    path[len + 1] = '\0';
}

static void check_rules(const struct submission *sub)
{
    CHECK(sub->code.len >= 1 && sub->code.len <= CODE_BYTES_MAX);
    CHECK(sub->stdin_data.len <= STDIN_BYTES_MAX);
    CHECK(utf8_valid(sub->code) && utf8_valid(sub->stdin_data));
    CHECK(!memchr(sub->code.data, 0, sub->code.len));
    CHECK(sub->language < LANGUAGE_COUNT && sub->profile < PROFILE_COUNT);
    size_t bytes = 0;
    CHECK(sub->file_count <= GIVEN_FILES_MAX && sub->arg_count <= GIVEN_ARGS_MAX);
    for (size_t i = 0; i < sub->file_count; i++) {
        const struct given_file *file = &sub->files[i];
        char path[FILE_PATH_MAX + 3];
        bytes += file->content.len;
        CHECK(span_copy(file->path, path + 1, sizeof path - 2) == 0);
        path[0] = '/';
        close_with_slash(path);
        CHECK(!strstr(path, "//") && !strstr(path, "/./") && !strstr(path, "/../"));
        CHECK(i == 0 || !file_path_covers(sub->files[i - 1].path, file->path));
    }
    CHECK(bytes <= GIVEN_FILES_BYTES);
    struct limits own = limits_run(sub->language, sub->profile), limits = submission_limits(sub);
    CHECK(limits.cpu_ms <= own.cpu_ms && limits.memory_bytes <= own.memory_bytes);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct arena arena;
    struct submission sub, back;
    struct err err = {.code = ERR_NONE};
    char field[FIELD_NAME] = "";
    BUF_AUTO struct buf body = {.max = 8 * BODY_BYTES_MAX}, again = {.max = 8 * BODY_BYTES_MAX};
    arena_init(&arena, 4 * SUBMISSION_ARENA_MAX);
    if (submission_parse(span_of(data, size), &arena, &sub, field, &err)) {
        check_error(&err);
        CHECK(utf8_valid(span_text(field)));
        CHECK(submission_api_error(&err, field) != API_ERROR_internal);
        arena_done(&arena);
        return 0;
    }
    check_rules(&sub);
    CHECK(submission_pack(&sub, &body, &err) == 0);
    CHECK(submission_unpack(buf_span(&body), &arena, &back, &err) == 0);
    CHECK(span_eq(sub.code, back.code) && span_eq(sub.stdin_data, back.stdin_data));
    CHECK(sub.language == back.language && sub.profile == back.profile);
    CHECK(submission_canonical(&back, &again, &err) == 0);
    buf_clear(&body);
    CHECK(submission_canonical(&sub, &body, &err) == 0);
    CHECK(span_eq(buf_span(&body), buf_span(&again)));
    buf_clear(&again);
    CHECK(submission_parse(buf_span(&body), &arena, &back, field, &err) == 0);
    CHECK(submission_canonical(&back, &again, &err) == 0);
    CHECK(span_eq(buf_span(&body), buf_span(&again)));
    arena_done(&arena);
    return 0;
}
