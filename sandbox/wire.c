/* Encoding and strict decoding of the launcher's messages, and moving them with descriptors. */
#include "sandbox/wire.h"
#include "lib/base/enc.h"
#include "lib/base/strict.h"
#include <cjson/cJSON.h>
#include <errno.h>
#include <stdio.h>
#include <sys/socket.h>
#include <unistd.h>

#define EXACT_MAX 9007199254740991.0 /* 2^53 - 1: what a JSON number holds exactly */
#define MIB (UINT64_C(1) << 20)

/* The bounds are the launcher's own and wider than any profile: they keep arithmetic and the host
 * safe, not the service's policy. */
static const struct limit_rule {
    const char *name;
    size_t offset;
    uint64_t min, max;
} limit_rules[] = {
    {"memory_bytes", offsetof(struct limits, memory_bytes), 16 * MIB, 16384 * MIB},
    {"cpu_ms", offsetof(struct limits, cpu_ms), 1, 600000},
    {"wall_ms", offsetof(struct limits, wall_ms), 1, 600000},
    {"processes", offsetof(struct limits, processes), 1, 16384},
    {"open_files", offsetof(struct limits, open_files), 8, 4096},
    {"file_bytes", offsetof(struct limits, file_bytes), 0, 1024 * MIB},
    {"tmp_bytes", offsetof(struct limits, tmp_bytes), 4096, 4096 * MIB},
    {"output_bytes", offsetof(struct limits, output_bytes), 0, 64 * MIB},
    {"stack_bytes", offsetof(struct limits, stack_bytes), 64 * 1024, 1024 * MIB},
};

static uint64_t *limit_at(struct limits *limits, const struct limit_rule *rule)
{
    return (uint64_t *)(void *)((char *)limits + rule->offset);
}

static void add_limits(struct buf *out, const char *name, struct limits limits)
{
    buf_printf(out, ",\"%s\":{", name);
    for (size_t i = 0; i < COUNT_OF(limit_rules); i++)
        buf_printf(out, "%s\"%s\":%llu", i ? "," : "", limit_rules[i].name,
                   (unsigned long long)*limit_at(&limits, &limit_rules[i]));
    buf_puts(out, "}");
}

static void add_words(struct buf *out, const struct box_job *job)
{
    for (size_t i = 0; i < job->arg_count; i++) {
        buf_puts(out, i > 0 ? "," : ",\"args\":[");
        json_quote(job->args[i], out);
    }
    buf_puts(out, job->arg_count > 0 ? "]" : "");
    for (size_t i = 0; i < job->file_count; i++) {
        buf_puts(out, i > 0 ? ",[" : ",\"files\":[[");
        json_quote(job->files[i].path, out);
        buf_printf(out, ",%zu]", job->files[i].content.len);
    }
    buf_puts(out, job->file_count > 0 ? "]" : "");
}

static int encoded(const struct buf *out, struct err *err)
{
    if (out->failed)
        return err_set(err, ERR_TOO_LARGE, "message to or from the launcher is over %d bytes",
                       BOX_MESSAGE_BYTES);
    return 0;
}

static const char *const kind_names[] = {
    [WIRE_JOB] = "job",         [WIRE_BUILD] = "build",   [WIRE_RUN] = "run",
    [WIRE_RELEASE] = "release", [WIRE_CANCEL] = "cancel", [WIRE_FORGET] = "forget"};

static void add_job(struct buf *out, const struct wire_request *request)
{
    char project[UUID_TEXT];
    uuid_format(&request->job.project, project);
    buf_printf(out, ",\"project\":\"%s\",\"language\":\"%s\",\"profile\":\"%s\"", project,
               language_name(request->job.language), profile_name(request->job.profile));
    if (request->job.high_assurance)
        buf_puts(out, ",\"assurance\":\"high\"");
    add_limits(out, "run", request->job.run);
    if (request->job.compile.memory_bytes != 0)
        add_limits(out, "compile", request->job.compile);
    add_words(out, &request->job);
}

int wire_encode_request(const struct wire_request *request, struct buf *out, struct err *err)
{
    char id[UUID_TEXT], built[UUID_TEXT];
    bool forget = request->kind == WIRE_FORGET;
    uuid_format(forget ? &request->job.project : &request->job.id, id);
    buf_printf(out, "{\"type\":\"%s\",\"%s\":\"%s\"", kind_names[request->kind],
               forget ? "project" : "id", id);
    if (request->kind == WIRE_JOB || request->kind == WIRE_BUILD)
        add_job(out, request);
    if (request->kind == WIRE_RUN) {
        uuid_format(&request->built, built);
        buf_printf(out, ",\"built\":\"%s\"", built);
        add_limits(out, "run", request->job.run);
        add_words(out, &request->job);
    }
    buf_puts(out, "}");
    return encoded(out, err);
}

static int get_u64(const cJSON *object, const char *name, uint64_t min, uint64_t max, uint64_t *out,
                   struct err *err)
{
    const cJSON *item = cJSON_GetObjectItemCaseSensitive(object, name);
    if (!cJSON_IsNumber(item) || !(item->valuedouble >= 0) || item->valuedouble > EXACT_MAX ||
        (double)(uint64_t)item->valuedouble != item->valuedouble)
        return err_set(err, ERR_INVALID, "%s must be a whole number", name);
    uint64_t value = (uint64_t)item->valuedouble;
    if (value < min || value > max)
        return err_set(err, ERR_INVALID, "%s must be between %llu and %llu", name,
                       (unsigned long long)min, (unsigned long long)max);
    *out = value;
    return 0;
}

static const char *get_text(const cJSON *object, const char *name)
{
    return cJSON_GetStringValue(cJSON_GetObjectItemCaseSensitive(object, name));
}

static int get_uuid(const cJSON *object, const char *name, struct uuid *out, struct err *err)
{
    const char *text = get_text(object, name);
    if (!text || uuid_parse(span_text(text), out) != 0)
        return err_set(err, ERR_INVALID, "%s must be a UUID", name);
    return 0;
}

static int get_limits(const cJSON *object, const char *name, struct limits *out, struct err *err)
{
    const cJSON *item = cJSON_GetObjectItemCaseSensitive(object, name);
    if (!cJSON_IsObject(item) || cJSON_GetArraySize(item) != (int)COUNT_OF(limit_rules))
        return err_set(err, ERR_INVALID, "%s must be an object of %zu limits", name,
                       COUNT_OF(limit_rules));
    for (size_t i = 0; i < COUNT_OF(limit_rules); i++) {
        const struct limit_rule *rule = &limit_rules[i];
        if (get_u64(item, rule->name, rule->min, rule->max, limit_at(out, rule), err) != 0)
            return err_wrap(err, "%s", name);
    }
    return 0;
}

static int decode_args(const cJSON *array, struct given *given, struct err *err)
{
    const cJSON *item;
    if (!cJSON_IsArray(array) || cJSON_GetArraySize(array) > GIVEN_ARGS_MAX)
        return err_set(err, ERR_INVALID, "args must be an array of at most %d texts",
                       GIVEN_ARGS_MAX);
    cJSON_ArrayForEach(item, array)
    {
        const char *text = cJSON_GetStringValue(item);
        if (!text)
            return err_set(err, ERR_INVALID, "args must be texts");
        if (given_add_arg(given, text, err) != 0)
            return -1;
    }
    return 0;
}

static int decode_files(const cJSON *array, struct given *given, struct err *err)
{
    const cJSON *item;
    if (!cJSON_IsArray(array))
        return err_set(err, ERR_INVALID, "files must be an array");
    cJSON_ArrayForEach(item, array)
    {
        const cJSON *path = cJSON_GetArrayItem(item, 0), *bytes = cJSON_GetArrayItem(item, 1);
        if (!cJSON_IsArray(item) || cJSON_GetArraySize(item) != 2 || !cJSON_IsString(path) ||
            !cJSON_IsNumber(bytes) || !(bytes->valuedouble >= 0) ||
            bytes->valuedouble > GIVEN_FILES_BYTES)
            return err_set(err, ERR_INVALID, "a file must be its path and its bytes");
        if (given_add_file(given, path->valuestring, (uint64_t)bytes->valuedouble, err) != 0)
            return -1;
    }
    return 0;
}

/* Optional members; counts those that are there. */
static int decode_given(const cJSON *root, struct given *given, int *members, struct err *err)
{
    const cJSON *args = cJSON_GetObjectItemCaseSensitive(root, "args"),
                *files = cJSON_GetObjectItemCaseSensitive(root, "files");
    *members = (args != NULL) + (files != NULL);
    if (args && decode_args(args, given, err) != 0)
        return -1;
    return files ? decode_files(files, given, err) : 0;
}

static int decode_job(const cJSON *root, struct wire_request *out, struct err *err)
{
    struct box_job *job = &out->job;
    const char *language = get_text(root, "language"), *profile = get_text(root, "profile");
    bool compiles = cJSON_HasObjectItem(root, "compile");
    bool high = cJSON_HasObjectItem(root, "assurance");
    int members;
    if (decode_given(root, &out->given, &members, err) != 0)
        return -1;
    if (cJSON_GetArraySize(root) != 6 + compiles + high + members)
        return err_set(
            err, ERR_INVALID,
            "a job has exactly type, id, project, language, profile, "
            "run, for compiled languages compile, and perhaps assurance, args and files");
    if (get_uuid(root, "id", &job->id, err) != 0 ||
        get_uuid(root, "project", &job->project, err) != 0)
        return -1;
    if (!language || language_find(span_text(language), &job->language) != 0)
        return err_set(err, ERR_INVALID, "language is not in the table");
    if (!profile || profile_find(span_text(profile), &job->profile) != 0)
        return err_set(err, ERR_INVALID, "profile is not in the table");
    const char *assurance = get_text(root, "assurance");
    if (high && (!assurance || strcmp(assurance, "high") != 0))
        return err_set(err, ERR_INVALID, "assurance is high or left out");
    job->high_assurance = high;
    if (compiles != (limits_compile(job->language).memory_bytes != 0))
        return err_set(err, ERR_INVALID, "compile must be given for compiled languages only");
    if (get_limits(root, "run", &job->run, err) != 0)
        return -1;
    return compiles ? get_limits(root, "compile", &job->compile, err) : 0;
}

static int decode_run(const cJSON *root, struct wire_request *out, struct err *err)
{
    int members;
    if (decode_given(root, &out->given, &members, err) != 0)
        return -1;
    if (cJSON_GetArraySize(root) != 4 + members || out->given.file_count > 0)
        return err_set(err, ERR_INVALID, "a run has exactly type, id, built, run and perhaps args");
    return get_uuid(root, "id", &out->job.id, err) != 0 ||
                   get_uuid(root, "built", &out->built, err) != 0
               ? -1
               : get_limits(root, "run", &out->job.run, err);
}

static int decode_id(const cJSON *root, const char *name, struct uuid *id, struct err *err)
{
    if (cJSON_GetArraySize(root) != 2)
        return err_set(err, ERR_INVALID, "%s has exactly type and %s", get_text(root, "type"),
                       name);
    return get_uuid(root, name, id, err);
}

static int decode_kind(const cJSON *root, struct wire_request *out, struct err *err)
{
    switch (out->kind) {
    case WIRE_JOB:
    case WIRE_BUILD:
        return decode_job(root, out, err);
    case WIRE_RUN:
        return decode_run(root, out, err);
    case WIRE_RELEASE:
    case WIRE_CANCEL:
        return decode_id(root, "id", &out->job.id, err);
    case WIRE_FORGET:
        return decode_id(root, "project", &out->job.project, err);
    }
    return err_set(err, ERR_INVALID, "type must be job, build, run, release, cancel or forget");
}

int wire_decode_request(struct span text, struct wire_request *out, struct err *err)
{
    cJSON *root = cJSON_ParseWithLength(text.data, text.len);
    const char *type = get_text(root, "type");
    unsigned kind = 0;
    int result = -1;
    memset(out, 0, sizeof *out);
    while (type && kind < COUNT_OF(kind_names) && strcmp(type, kind_names[kind]) != 0)
        kind++;
    out->kind = (enum wire_kind)kind;
    if (!cJSON_IsObject(root) || !type)
        err_set(err, ERR_INVALID, "message is not a JSON object with a type");
    else
        result = decode_kind(root, out, err);
    cJSON_Delete(root);
    return result;
}

int wire_encode_greeting(const struct box_info *info, struct buf *out, struct err *err)
{
    buf_printf(out,
               "{\"type\":\"greeting\",\"slots\":%u,\"permissive\":%u,\"controls\":%u,"
               "\"languages\":%u,\"cgroup_backend\":\"%s\",\"toolchains\":{",
               info->slots, info->permissive, info->controls, info->languages,
               info->cgroup_backend);
    for (int i = 0; i < LANGUAGE_COUNT; i++) {
        buf_printf(out, "%s\"%s\":", i ? "," : "", language_name((enum language)i));
        json_quote(span_text(info->toolchain[i]), out);
    }
    buf_puts(out, "}}");
    return encoded(out, err);
}

static int copy_text(const cJSON *object, const char *name, char *out, size_t size, struct err *err)
{
    const char *text = get_text(object, name);
    if (!text || span_copy(span_text(text), out, size) != 0)
        return err_set(err, ERR_CORRUPT, "%s must be a text under %zu bytes", name, size);
    return 0;
}

static int decode_greeting(const cJSON *root, struct box_info *out, struct err *err)
{
    uint64_t slots = 0, permissive = 0, controls = 0, languages = 0;
    const cJSON *toolchains = cJSON_GetObjectItemCaseSensitive(root, "toolchains");
    if (get_u64(root, "slots", 1, 4096, &slots, err) != 0 ||
        get_u64(root, "permissive", 0, 1, &permissive, err) != 0 ||
        get_u64(root, "controls", 0, UINT32_MAX, &controls, err) != 0 ||
        get_u64(root, "languages", 0, UINT32_MAX, &languages, err) != 0 ||
        copy_text(root, "cgroup_backend", out->cgroup_backend, sizeof out->cgroup_backend, err) !=
            0)
        return -1;
    out->slots = (uint32_t)slots;
    out->permissive = permissive != 0;
    out->controls = (uint32_t)controls;
    out->languages = (uint32_t)languages;
    for (int i = 0; i < LANGUAGE_COUNT; i++)
        if (copy_text(toolchains, language_name((enum language)i), out->toolchain[i],
                      BOX_LANGUAGE_TEXT, err) != 0)
            return err_wrap(err, "toolchains");
    return 0;
}

int wire_decode_greeting(struct span text, struct box_info *out, struct err *err)
{
    cJSON *root = cJSON_ParseWithLength(text.data, text.len);
    memset(out, 0, sizeof *out);
    int result = decode_greeting(root, out, err);
    cJSON_Delete(root);
    return result == 0 ? 0 : err_wrap(err, "the launcher's greeting");
}

int wire_encode_forgotten(const struct uuid *project, uint64_t entries, struct buf *out,
                          struct err *err)
{
    char text[UUID_TEXT];
    uuid_format(project, text);
    buf_printf(out, "{\"type\":\"forgotten\",\"project\":\"%s\",\"entries\":%llu}", text,
               (unsigned long long)entries);
    return encoded(out, err);
}

int wire_decode_forgotten(struct span text, struct uuid *project, uint64_t *entries,
                          struct err *err)
{
    cJSON *root = cJSON_ParseWithLength(text.data, text.len);
    const char *type = get_text(root, "type");
    int result = -1;
    if (!type || strcmp(type, "forgotten") != 0 || cJSON_GetArraySize(root) != 3)
        err_set(err, ERR_CORRUPT, "the launcher did not answer that a project is forgotten");
    else if (get_uuid(root, "project", project, err) == 0)
        result = get_u64(root, "entries", 0, UINT32_MAX, entries, err);
    cJSON_Delete(root);
    return result;
}

/* The report's frame is fixed text, so that the evidence is parsed once and by its own codec. */
static const char report_head[] = "{\"id\":\"", report_mid[] = "\",\"evidence\":";
#define REPORT_HEAD (sizeof report_head - 1)
#define REPORT_MID (REPORT_HEAD + UUID_TEXT - 1)
#define REPORT_BODY (REPORT_MID + sizeof report_mid - 1)

int wire_encode_report(const struct uuid *id, const struct evidence *ev, struct buf *out,
                       struct err *err)
{
    char text[UUID_TEXT];
    uuid_format(id, text);
    buf_printf(out, "%s%s%s", report_head, text, report_mid);
    if (evidence_encode(ev, out, err) != 0)
        return -1;
    buf_puts(out, "}");
    return encoded(out, err);
}

int wire_decode_report(struct span text, struct uuid *id, struct evidence *ev, struct err *err)
{
    const char *data = text.data;
    if (text.len < REPORT_BODY + 1 || memcmp(data, report_head, REPORT_HEAD) != 0 ||
        memcmp(data + REPORT_MID, report_mid, sizeof report_mid - 1) != 0 ||
        uuid_parse(span_of(data + REPORT_HEAD, UUID_TEXT - 1), id) != 0)
        return err_set(err, ERR_CORRUPT, "the launcher sent something that is no report");
    return evidence_decode(span_of(data + REPORT_BODY, text.len - REPORT_BODY - 1), ev, err);
}

union wire_control {
    struct cmsghdr head;
    char bytes[CMSG_SPACE(sizeof(int) * WIRE_FDS)];
};

int wire_send(int fd, struct span text, const int *fds, size_t fd_count, struct err *err)
{
    union wire_control control = {0};
    struct iovec iov = {(void *)(uintptr_t)text.data, text.len};
    struct msghdr message = {.msg_iov = &iov, .msg_iovlen = 1};
    CHECK(fd_count <= WIRE_FDS);
    if (fd_count > 0) {
        message.msg_control = control.bytes;
        message.msg_controllen = CMSG_SPACE(sizeof(int) * fd_count);
        control.head.cmsg_level = SOL_SOCKET;
        control.head.cmsg_type = SCM_RIGHTS;
        control.head.cmsg_len = CMSG_LEN(sizeof(int) * fd_count);
        memcpy(CMSG_DATA(&control.head), fds, sizeof(int) * fd_count);
    }
    for (;;) {
        if (sendmsg(fd, &message, MSG_NOSIGNAL | MSG_DONTWAIT) >= 0)
            return 1;
        if (errno == EAGAIN)
            return 0;
        if (errno != EINTR)
            return err_sys(err, ERR_LAUNCHER, "send on the launcher's socket");
    }
}

static size_t take_fds(struct msghdr *message, int fds[WIRE_FDS])
{
    size_t count = 0;
    for (struct cmsghdr *c = CMSG_FIRSTHDR(message); c; c = CMSG_NXTHDR(message, c)) {
        if (c->cmsg_level != SOL_SOCKET || c->cmsg_type != SCM_RIGHTS)
            continue;
        size_t n = (c->cmsg_len - CMSG_LEN(0)) / sizeof(int);
        for (size_t i = 0; i < n && count < WIRE_FDS; i++)
            memcpy(&fds[count++], CMSG_DATA(c) + i * sizeof(int), sizeof(int));
    }
    return count;
}

int wire_recv(int fd, char *buffer, size_t size, struct span *text, int fds[WIRE_FDS],
              struct err *err)
{
    union wire_control control = {0};
    struct iovec iov = {buffer, size};
    struct msghdr message = {.msg_iov = &iov,
                             .msg_iovlen = 1,
                             .msg_control = control.bytes,
                             .msg_controllen = sizeof control};
    for (size_t i = 0; i < WIRE_FDS; i++)
        fds[i] = -1;
    ssize_t got;
    do
        got = recvmsg(fd, &message, MSG_DONTWAIT | MSG_CMSG_CLOEXEC);
    while (got < 0 && errno == EINTR);
    if (got < 0 && errno == EAGAIN)
        return 0;
    if (got < 0)
        return err_sys(err, ERR_LAUNCHER, "receive on the launcher's socket");
    take_fds(&message, fds);
    bool oversize = (message.msg_flags & (MSG_TRUNC | MSG_CTRUNC)) != 0;
    if (got == 0 || oversize) {
        for (size_t i = 0; i < WIRE_FDS; i++)
            if (fds[i] >= 0)
                close(fds[i]);
        return got == 0 ? err_set(err, ERR_LAUNCHER, "the other side closed the connection")
                        : err_set(err, ERR_LAUNCHER, "message over %zu bytes or %d descriptors",
                                  size, WIRE_FDS);
    }
    *text = span_of(buffer, (size_t)got);
    return 1;
}
