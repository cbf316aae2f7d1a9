/* The clear envelope as Kafka headers: one table of fields (envelope_fields.c), written and read
 * here. Reading is strict by writing again: a header whose text is not exactly what this file would
 * write for the value it read is malformed, so one record has one text and one signature. */
#include "lib/base/strict.h"
#include "schemas/envelope_impl.h"

static const struct {
    const char *text;
    bool subscribable;
} events[WEBHOOK_EVENT_COUNT] = {
#define WEBHOOK_EVENT(name, text, subscribable, ...) [WEBHOOK_EVENT_##name] = {text, subscribable},
#include "schemas/webhook_events.def"
#undef WEBHOOK_EVENT
};

const char *webhook_event_name(enum webhook_event event)
{
    CHECK((unsigned)event < WEBHOOK_EVENT_COUNT);
    return events[event].text;
}

int webhook_event_find(struct span name, enum webhook_event *out)
{
    for (unsigned i = 0; i < WEBHOOK_EVENT_COUNT; i++) {
        if (span_is(name, events[i].text)) {
            *out = (enum webhook_event)i;
            return 0;
        }
    }
    return -1;
}

bool webhook_event_subscribable(enum webhook_event event)
{
    CHECK((unsigned)event < WEBHOOK_EVENT_COUNT);
    return events[event].subscribable;
}

size_t envelope_encode(const struct envelope *env, struct arena *arena,
                       struct header headers[ENVELOPE_HEADERS_MAX])
{
    size_t count = 0;
    for (size_t i = 0; i < ENVELOPE_FIELDS; i++) {
        struct text text;
        if (!envelope_fields[i].put(env, &text))
            continue;
        char *copy = arena_text(arena, span_text(text.data));
        if (!copy)
            return 0;
        headers[count++] = (struct header){envelope_fields[i].name, span_text(copy)};
    }
    return count;
}

int envelope_signed_text(const struct envelope *env, struct buf *out, struct err *err)
{
    if (env->signer[0] == '\0')
        return err_set(err, ERR_BUG, "signed text: no signer");
    for (size_t i = 0; i < ENVELOPE_FIELDS; i++) {
        struct text text;
        if (i == FIELD_SIGNATURE || !envelope_fields[i].put(env, &text))
            continue;
        buf_puts(out, envelope_fields[i].name);
        buf_add(out, "=", 1);
        buf_puts(out, text.data);
        buf_add(out, "\n", 1);
    }
    return out->failed ? err_set(err, ERR_NO_MEMORY, "signed text: the buffer is full") : 0;
}

static const struct field *field_named(const char *name)
{
    for (size_t i = 0; i < ENVELOPE_FIELDS; i++)
        if (strcmp(envelope_fields[i].name, name) == 0)
            return &envelope_fields[i];
    return NULL;
}

/* First complaint wins; decoding goes on, so that the caller has all that could be read. */
static void complain(const struct field *field, const char *what, struct err *err)
{
    if (err->code == ERR_NONE)
        err_set(err, ERR_CORRUPT, "header %s: %s%s", field->name, what,
                strcmp(what, "must be ") == 0 ? field->rule : "");
}

/* Absent, though a record of this type carries it; or present in another text than ours. */
static void check_field(const struct field *field, const struct header *given,
                        const struct envelope *env, struct err *err)
{
    struct text text;
    bool wanted = field->put(env, &text);
    if (!wanted || field == &envelope_fields[FIELD_TIMES])
        wanted = wanted && given;
    else if (!given)
        complain(field, "is missing", err);
    if (wanted && given && !span_is(given->value, text.data))
        complain(field, "must be ", err);
}

int envelope_decode(const struct header *headers, size_t count, struct envelope *out, bool *has_id,
                    struct err *err)
{
    const struct header *given[ENVELOPE_FIELDS] = {NULL};
    bool read[ENVELOPE_FIELDS] = {false};
    struct err found = {.code = ERR_NONE};
    *out = (struct envelope){.type = RECORD_COUNT};
    *has_id = false;
    for (size_t i = 0; i < count; i++) {
        const struct field *field = field_named(headers[i].name);
        if (!field)
            continue;
        size_t n = (size_t)(field - envelope_fields);
        if (given[n])
            complain(field, "is there twice", &found);
        read[n] = !given[n] && headers[i].value.data && field->get(headers[i].value, out);
        if (!read[n])
            complain(field, "must be ", &found);
        given[n] = &headers[i];
    }
    *has_id = read[FIELD_ID];
    if (!given[FIELD_TYPE])
        complain(&envelope_fields[FIELD_TYPE], "is missing", &found);
    if (found.code == ERR_NONE) {
        for (size_t i = 0; i < ENVELOPE_FIELDS; i++)
            check_field(&envelope_fields[i], given[i], out, &found);
        if (of_submission(out) && out->origin[0] == '\0')
            complain(field_named("origin"), "is missing", &found);
        if (out->is_signed != (out->signer[0] != '\0'))
            complain(field_named("signer"), "must come with signature", &found);
    }
    if (found.code == ERR_NONE)
        return 0;
    if (err)
        *err = found;
    return -1;
}

bool traceparent_valid(struct span text)
{
    const char *in = text.data;
    if (text.len != TRACEPARENT_TEXT - 1 || memcmp(in, "00-", 3) != 0)
        return false;
    bool trace = false, parent = false;
    for (size_t i = 3; i < text.len; i++) {
        if (i == 35 || i == 52) {
            if (in[i] != '-')
                return false;
            continue;
        }
        if (!(in[i] >= '0' && in[i] <= '9') && !(in[i] >= 'a' && in[i] <= 'f'))
            return false;
        trace |= i < 35 && in[i] != '0';
        parent |= i > 35 && i < 52 && in[i] != '0';
    }
    return trace && parent;
}

void envelope_aad(const struct envelope *env, enum record_type content, struct buf *out)
{
    char id[UUID_TEXT], project[UUID_TEXT], day[DAY_TEXT];
    uuid_format(&env->id, id);
    uuid_format(&env->project, project);
    day_format(uuid_day(&env->id), day);
    buf_printf(out, "rustbox/1\n%s\n%s\n%s\n%s\n", record_name(content), id, project, day);
}

void envelope_key(const struct envelope *env, char out[UUID_TEXT])
{
    uuid_format(of_message(env) ? &env->endpoint : &env->id, out);
}

int32_t envelope_partition(const struct envelope *env, enum topic topic)
{
    int32_t partitions = topic_spec(topic)->partitions;
    if (topic == TOPIC_submissions && env->keyed)
        return partition_of_key(env->key_hash, partitions);
    if (topic == TOPIC_control || topic == TOPIC_audit)
        return partition_of_id(&env->project, partitions);
    if (topic == TOPIC_endpoints)
        return partition_of_endpoint(&env->id, partitions);
    if (of_message(env))
        return partition_of_endpoint(&env->endpoint, partitions);
    return partition_of_id(&env->id, partitions);
}
