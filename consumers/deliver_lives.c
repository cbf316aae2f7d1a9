/* Endpoints that are at work, and the projects they belong to: whose turn it is.
 *
 * A live endpoint stands in its project's list while it has something waiting and room below its
 * cap; a project stands among the ready ones while its list is not empty. Decisions are
 * deliver_rules'. */
#include "consumers/deliver_impl.h"
#include "lib/base/strict.h"
#include "lib/crypto/crypto.h"
#include "lib/metrics/metrics.h"
#include <stdlib.h>

#define IDLE_MS 60000

static struct project *project_of(struct deliver *d, const struct uuid *id)
{
    struct project **bucket = &d->projects[(id->bytes[14] << 8 | id->bytes[15]) % PROJECT_BUCKETS];
    struct project *project = *bucket;

    while (project && !uuid_eq(&project->id, id))
        project = project->next;
    if (project)
        return project;
    project = calloc(1, sizeof *project);
    CHECK(project != NULL);
    project->id = *id;
    project->share.weight = 1;
    project->startable_last = &project->startable;
    project->next = *bucket;
    *bucket = project;
    return project;
}

static void project_put(struct deliver *d, struct project *project)
{
    struct project **at =
        &d->projects[(project->id.bytes[14] << 8 | project->id.bytes[15]) % PROJECT_BUCKETS];

    if (--project->lives > 0)
        return;
    while (*at != project)
        at = &(*at)->next;
    *at = project->next;
    free(project);
}

struct live *live_of(struct deliver *d, struct endpoint *endpoint)
{
    struct live *live = endpoint->live;

    if (live)
        return live;
    live = calloc(1, sizeof *live);
    CHECK(live != NULL);
    live->endpoint = endpoint;
    live->project = project_of(d, &endpoint->project);
    live->project->lives++;
    cap_init(&live->cap);
    live->idle_ms = deliver_mono_ms(d);
    live->next = d->lives;
    live->self = &d->lives;
    if (d->lives)
        d->lives->self = &live->next;
    d->lives = live;
    endpoint->live = live;
    return live;
}

static void forget_document(struct live *live)
{
    if (live->doc)
        webhook_endpoint_wipe(live->doc);
    free(live->doc);
    live->doc = NULL;
}

int live_document(struct deliver *d, struct live *live, struct err *err)
{
    const struct endpoint *endpoint = live->endpoint;

    if (live->doc && live->doc_version == endpoint->version)
        return 0;
    forget_document(live);
    live->doc = calloc(1, sizeof *live->doc);
    CHECK(live->doc != NULL);
    live->doc_version = endpoint->version;
    if (webhook_endpoint_open(d->webhooks.bytes, &endpoint->project, &endpoint->id,
                              span_of(endpoint->sealed, endpoint->sealed_len), live->doc, err) == 0)
        return 0;
    forget_document(live);
    return -1;
}

static void ready_add(struct deliver *d, struct project *project)
{
    if (project->share.ready)
        return;
    if (d->ready_count == d->ready_cap) {
        d->ready_cap = d->ready_cap ? d->ready_cap * 2 : 64;
        d->ready = realloc(d->ready, d->ready_cap * sizeof(struct project *));
        CHECK(d->ready != NULL);
    }
    project->share.ready = true;
    d->ready[d->ready_count++] = project;
}

void live_consider(struct deliver *d, struct live *live)
{
    size_t room = d->endpoint_most ? cap_now(&live->cap) : d->most;

    if (live->startable || live->waiting.count == 0 || live->in_flight >= room)
        return;
    live->startable = true;
    live->next_startable = NULL;
    *live->project->startable_last = live;
    live->project->startable_last = &live->next_startable;
    ready_add(d, live->project);
}

/* Takes the first of the project's list out of it. */
static struct live *take_first(struct project *project)
{
    struct live *live = project->startable;

    project->startable = live->next_startable;
    if (!project->startable)
        project->startable_last = &project->startable;
    live->startable = false;
    return live;
}

static void drop_idle_projects(struct deliver *d)
{
    for (size_t i = 0; i < d->ready_count;) {
        if (d->ready[i]->startable) {
            i++;
            continue;
        }
        d->ready[i]->share.ready = false;
        d->ready[i] = d->ready[--d->ready_count];
    }
}

struct live *live_next(struct deliver *d)
{
    /* a share is its project's first member */
    const struct rules_share *const *shares = (const struct rules_share *const *)d->ready;
    ptrdiff_t at;

    drop_idle_projects(d);
    at = rules_next_project(shares, d->ready_count,
                            d->endpoint_most ? rules_project_most(d->most) : d->most);
    if (at < 0)
        return NULL;
    d->ready[at]->share.served = ++d->served;
    return take_first(d->ready[at]);
}

static void live_free(struct deliver *d, struct live *live)
{
    if (live->startable) { /* only when everything ends */
        live->project->startable = NULL;
        live->project->startable_last = &live->project->startable;
    }
    *live->self = live->next;
    if (live->next)
        live->next->self = live->self;
    live->endpoint->live = NULL;
    forget_document(live);
    project_put(d, live->project);
    free(live);
}

void lives_sweep(struct deliver *d, bool all)
{
    int64_t now_ms = deliver_mono_ms(d);

    if (all)
        d->ready_count = 0;
    else
        drop_idle_projects(d);
    for (struct live *live = d->lives, *next; live; live = next) {
        next = live->next;
        bool idle = live->waiting.count == 0 && live->in_flight == 0 && !live->startable &&
                    now_ms - live->idle_ms > IDLE_MS;
        if (all || (idle && breaker_rests(&live->breaker)))
            live_free(d, live);
        else if (idle)
            forget_document(live); /* its trouble is remembered, its secrets need not be */
    }
}

void lives_count(struct deliver *d)
{
    static const char *const names[] = {"closed", "open", "half_open"};
    int64_t counts[COUNT_OF(names)] = {0};

    for (const struct live *live = d->lives; live; live = live->next)
        counts[live->breaker.state]++;
    for (size_t i = 0; i < COUNT_OF(names); i++)
        metric_set(METRIC_delivery_breakers, names[i], counts[i]);
}
