/* Records of the topic `control`: what changed in projects and keys (delivery.md rule 26), so that
 * every gateway knows within a second. The value is plain JSON and holds nothing personal: ids,
 * hashes, plans, times; no labels, no names. Keyed by the project id; one partition keeps a
 * project's changes in order. */
#pragma once
#include "lib/base/buf.h"
#include "lib/base/err.h"
#include "lib/base/uuid.h"
#include "schemas/envelope.h"
#include "schemas/plans.h"
#include "schemas/verdict_rules.h"

enum control_kind {
    CONTROL_EVENT_project_created,
    CONTROL_EVENT_project_changed,
    CONTROL_EVENT_key_created,
    CONTROL_EVENT_key_revoked,
    CONTROL_EVENT_COUNT
};

struct control_event {
    enum control_kind kind;
    struct uuid project;
    int64_t at_ns; /* when it was stored: Unix time */
    /* of project_created, project_changed */
    enum plan_id plan;
    uint16_t retention_class;
    enum taxonomy taxonomy;
    bool deleted;
    /* of key_created, key_revoked */
    struct uuid key;
    uint8_t key_sha256[32];
    bool test_key; /* rb_test_...; of key_created */
};

const char *control_kind_name(enum control_kind kind); /* "key.created" */
int control_encode(const struct control_event *event, struct buf *out, struct err *err) MUST_CHECK;
/* ERR_CORRUPT: malformed; ERR_NOT_FOUND: an event of a newer version, to be skipped. */
int control_decode(struct span json, struct control_event *out, struct err *err) MUST_CHECK;
/* The envelope around it: type control, a fresh id, origin; the caller signs it
 * (signing.h). */
struct envelope control_envelope(const struct control_event *event, const struct uuid *id,
                                 const char *origin);
