/* API keys, projects, plans and request rates in memory (delivery.md rule 26): loaded at start,
 * changed by records of `control`. Looking a key up costs one SHA-256. Never holds a key's text. */
#pragma once
#include "lib/keystore/keystore.h"
#include "producers/gateway/http.h"
#include "producers/gateway/table.h"
#include "schemas/control.h"

struct project {
    struct node node;
    struct uuid id;
    const struct plan *plan;
    uint16_t retention_class;
    bool deleted;
    int64_t changed_ns;   /* at_ns of the newest change believed */
    struct secret secret; /* of key hashes and fingerprints */
    int64_t rate_ns;      /* when the bucket is full again, monotonic */
    /* open submissions = rows open in the database + in our tail, less verdicts not yet stored */
    uint64_t open_stored;
    int64_t open_tail, open_verdicts;
    int64_t asked_ms; /* when a submission came last, monotonic */
    size_t keys;      /* revoked ones included */
    struct http_share share;
};
#define PROJECT_KEYS_MAX 1000 /* made by the API: as many as its list shows */

struct api_key {
    struct node node;
    struct uuid id;
    struct project *project;
    uint8_t hash[32];
    bool revoked;
};

struct keyring;
struct keyring *keyring_new(const struct secret *master);
void keyring_free(struct keyring *ring);
/* Lasts as long as the keyring. New ones have the plan `standard` until told otherwise. */
struct project *keyring_project(struct keyring *ring, const struct uuid *id);
void keyring_key(struct keyring *ring, const struct uuid *project, const struct uuid *id,
                 const uint8_t hash[32], bool revoked);
/* What is in the database was loaded now: changes stored well before are known. */
void keyring_loaded(struct keyring *ring, int64_t now_ns);
/* False: older than what is known of the project (a record that came again), not applied. */
bool keyring_apply(struct keyring *ring, const struct control_event *event) MUST_CHECK;
/* By the text of X-API-Key; NULL: malformed, unknown, revoked, or its project is deleted. */
struct api_key *keyring_find(struct keyring *ring, struct span text);
struct api_key *keyring_by_id(struct keyring *ring, const struct uuid *id); /* walks all keys */
void keyring_each_project(struct keyring *ring, void (*each)(struct project *, void *),
                          void *owner);

/* A token bucket as one number. */
struct rate {
    bool allowed;
    uint64_t limit, remaining;
    int64_t retry_s, reset_s;
};
struct rate keyring_take(struct project *project, int64_t mono_ns);
bool project_may_open(const struct project *project);
