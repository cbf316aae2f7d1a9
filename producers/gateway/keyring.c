/* See keyring.h. Three tables would be two too many: keys by hash, projects by id. */
#include "producers/gateway/keyring.h"
#include "lib/crypto/crypto.h"
#include "schemas/apikey.h"

#define MINUTE_NS INT64_C(60000000000)
/* A change may be stored while the rows are read, by a host whose clock differs a little. */
#define LOAD_SLACK_NS (5 * MINUTE_NS)

struct keyring {
    struct secret master;
    struct table keys, projects;
    int64_t floor_ns; /* a change older than this came before the rows were loaded */
};

struct keyring *keyring_new(const struct secret *master)
{
    struct keyring *ring = calloc(1, sizeof(*ring));
    CHECK(ring);
    ring->master = *master;
    return ring;
}

void keyring_free(struct keyring *ring)
{
    if (!ring)
        return;
    for (int kind = 0; kind < 2; kind++) {
        struct table *table = kind ? &ring->projects : &ring->keys;
        for (size_t i = 0; table->buckets && i <= table->mask; i++)
            for (struct node *node = table->buckets[i], *next; node; node = next) {
                next = node->next;
                if (kind)
                    free(OWNER_OF(node, struct project, node));
                else
                    free(OWNER_OF(node, struct api_key, node));
            }
        free(table->buckets);
    }
    wipe(ring, sizeof(*ring));
    free(ring);
}

struct project *keyring_project(struct keyring *ring, const struct uuid *id)
{
    uint64_t hash = table_hash(id->bytes);
    for (struct node *node = table_first(&ring->projects, hash); node; node = table_next(node)) {
        struct project *project = OWNER_OF(node, struct project, node);
        if (uuid_eq(&project->id, id))
            return project;
    }
    struct project *project = calloc(1, sizeof(*project));
    CHECK(project);
    project->id = *id;
    project->plan = plan_get(PLAN_standard);
    project->retention_class = RETENTION_CLASS_DEFAULT;
    secret_of_project(&ring->master, id, &project->secret);
    table_add(&ring->projects, &project->node, hash);
    return project;
}

static struct api_key *by_hash(struct keyring *ring, const uint8_t hash[32])
{
    for (struct node *node = table_first(&ring->keys, table_hash(hash)); node;
         node = table_next(node)) {
        struct api_key *key = OWNER_OF(node, struct api_key, node);
        if (equal_ct(key->hash, hash, 32))
            return key;
    }
    return NULL;
}

void keyring_key(struct keyring *ring, const struct uuid *project, const struct uuid *id,
                 const uint8_t hash[32], bool revoked)
{
    struct api_key *key = by_hash(ring, hash);
    if (!key) {
        key = calloc(1, sizeof(*key));
        CHECK(key);
        key->id = *id;
        memcpy(key->hash, hash, 32);
        table_add(&ring->keys, &key->node, table_hash(hash));
        key->project = keyring_project(ring, project);
        key->project->keys++;
    }
    key->revoked |= revoked; /* a revocation is for ever, whatever is replayed later */
}

void keyring_loaded(struct keyring *ring, int64_t now_ns)
{
    ring->floor_ns = now_ns - LOAD_SLACK_NS;
}

bool keyring_apply(struct keyring *ring, const struct control_event *event)
{
    if (event->at_ns < ring->floor_ns)
        return false;
    struct project *project = keyring_project(ring, &event->project);
    switch (event->kind) {
    case CONTROL_EVENT_project_created:
    case CONTROL_EVENT_project_changed:
        if (event->at_ns < project->changed_ns)
            return false;
        project->changed_ns = event->at_ns;
        project->plan = plan_get(event->plan);
        project->retention_class = event->retention_class;
        project->deleted = event->deleted;
        break;
    case CONTROL_EVENT_key_created:
    case CONTROL_EVENT_key_revoked:
        keyring_key(ring, &event->project, &event->key, event->key_sha256,
                    event->kind == CONTROL_EVENT_key_revoked);
        break;
    case CONTROL_EVENT_COUNT:
        break;
    }
    return true;
}

struct api_key *keyring_find(struct keyring *ring, struct span text)
{
    uint8_t hash[32];
    if (!apikey_check(text, NULL))
        return NULL;
    sha256(text, hash);
    struct api_key *key = by_hash(ring, hash);
    return key && !key->revoked && !key->project->deleted ? key : NULL;
}

struct api_key *keyring_by_id(struct keyring *ring, const struct uuid *id)
{
    for (size_t i = 0; ring->keys.buckets && i <= ring->keys.mask; i++)
        for (struct node *node = ring->keys.buckets[i]; node; node = node->next)
            if (uuid_eq(&OWNER_OF(node, struct api_key, node)->id, id))
                return OWNER_OF(node, struct api_key, node);
    return NULL;
}

void keyring_each_project(struct keyring *ring, void (*each)(struct project *, void *), void *owner)
{
    for (size_t i = 0; ring->projects.buckets && i <= ring->projects.mask; i++)
        for (struct node *node = ring->projects.buckets[i]; node; node = node->next)
            each(OWNER_OF(node, struct project, node), owner);
}

struct rate keyring_take(struct project *project, int64_t mono_ns)
{
    struct rate rate = {.allowed = true, .limit = project->plan->requests_minute};
    if (!rate.limit)
        return rate;
    int64_t each_ns = MINUTE_NS / (int64_t)rate.limit;
    int64_t full_ns = project->rate_ns > mono_ns ? project->rate_ns : mono_ns;
    int64_t used_ns = full_ns - mono_ns;
    if (used_ns + each_ns > MINUTE_NS) {
        rate.allowed = false;
        rate.retry_s = (used_ns + each_ns - MINUTE_NS) / 1000000000 + 1;
    } else {
        project->rate_ns = full_ns + each_ns;
        used_ns += each_ns;
    }
    rate.remaining = (uint64_t)((MINUTE_NS - used_ns) / each_ns);
    rate.reset_s = used_ns / 1000000000 + 1;
    return rate;
}

bool project_may_open(const struct project *project)
{
    int64_t open = (int64_t)project->open_stored + project->open_tail - project->open_verdicts;
    return !project->plan->open_max || open < (int64_t)project->plan->open_max;
}
