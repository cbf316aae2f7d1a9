/* The table of jobs: queued, running, reporting. A place is held until its report is in the
 * client's socket, so a client that does not read gets no further jobs done. */
#include "lib/base/strict.h"
#include "lib/log/log.h"
#include "sandbox/server_impl.h"
#include <sys/socket.h>

struct place *place_find(struct server *server, const struct client *client, const struct uuid *id)
{
    for (uint32_t i = 0; i < server->place_count; i++) {
        struct place *place = &server->places[i];
        if (place->state != PLACE_FREE && place->client == client &&
            uuid_eq(&place->job.request.id, id))
            return place;
    }
    return NULL;
}

static void place_free(struct place *place)
{
    if (place->client)
        place->client->jobs--;
    job_release(&place->job);
    place->client = NULL;
    place->state = PLACE_FREE;
}

static void log_outcome(const struct place *place)
{
    const struct evidence *ev = &place->job.ev;
    const struct uuid *id = &place->job.request.id;
    if (!ev->setup_ok && !place->job.cancelled)
        log_event(LOG_ERROR, "job_setup_failed", kv_uuid("id", id),
                  kv("language", language_name(place->job.request.language)),
                  kv("why", ev->setup_error));
    for (size_t i = 0; i < COUNT_OF(ev->collection_errors) && ev->collection_errors[i][0]; i++)
        log_event(LOG_WARN, "job_evidence", kv_uuid("id", id), kv("why", ev->collection_errors[i]));
}

/* 1 = sent, 0 = the socket is full, -1 = the client is as good as gone. */
static int send_report(struct place *place)
{
    struct job *job = &place->job;
    struct err err;
    BUF_AUTO struct buf text;
    buf_init(&text, BOX_MESSAGE_BYTES);
    int sent = -1, files[PIPE_COUNT];
    /* What was never written to is not there: nothing can be read from these. */
    for (int i = 0; i < PIPE_COUNT; i++)
        files[i] = job->files[i] >= 0 ? job->files[i] : job->host->null_fd;
    if (wire_encode_report(&job->request.id, &job->ev, &text, &err) == 0)
        sent = wire_send(place->client->watch.fd, buf_span(&text), files, PIPE_COUNT, &err);
    if (sent < 0)
        log_event(LOG_WARN, "report_lost", kv_err(&err));
    return sent;
}

static void want_write(struct client *client, bool on)
{
    struct err err;
    if (client->wants_write == on)
        return;
    client->wants_write = on;
    if (loop_change(&client->server->host->loop, &client->watch, EPOLLIN | (on ? EPOLLOUT : 0u),
                    &err) != 0)
        log_event(LOG_ERROR, "watch_failed", kv_err(&err));
}

static void report(struct place *place)
{
    if (place->client) {
        int sent = send_report(place);
        if (sent == 0)
            return want_write(place->client, true);
        /* A report that cannot be sent must not look like a job still running. */
        if (sent < 0)
            shutdown(place->client->watch.fd, SHUT_RDWR); /* its next event drops it */
    }
    place_free(place);
}

static void on_job_done(struct job *job)
{
    struct place *place = job->owner;
    struct server *server = place->server;
    if (place->state == PLACE_RUNNING)
        server->running--;
    struct err err;
    if (place->client && job->build && job->box_mount >= 0 &&
        built_add(&place->client->built, job, &err) != 0)
        job_refuse(job, err.message);
    log_outcome(place);
    place->state = PLACE_REPORTING;
    report(place);
    if (place->state == PLACE_REPORTING)
        job_release_inputs(&place->job); /* it waits for its client with two descriptors only */
    if (server->closing)
        server->host->loop.stop = server->running == 0;
    else
        server_schedule(server);
}

void client_flush(struct client *client)
{
    want_write(client, false);
    struct server *server = client->server;
    for (uint32_t i = 0; i < server->place_count && !client->wants_write; i++)
        if (server->places[i].state == PLACE_REPORTING && server->places[i].client == client)
            report(&server->places[i]);
}

void place_add(struct server *server, struct client *client, const struct wire_request *request,
               int code, int input)
{
    struct place *place = NULL;
    for (uint32_t i = 0; i < server->place_count && !place; i++)
        if (server->places[i].state == PLACE_FREE)
            place = &server->places[i];
    CHECK(place); /* clients times slots places, and no client has more than slots */
    *place = (struct place){
        .server = server, .client = client, .state = PLACE_QUEUED, .order = server->arrivals++};
    place->job = (struct job){
        .host = server->host,
        .request = request->job,
        .given = request->given,
        .build = request->kind == WIRE_BUILD,
        .code = code,
        .input = input,
        .files = {-1, -1},
        .stdin_file = -1,
        .source_mount = -1,
        .box_mount = -1,
        .ticket = {.project = request->job.project, .epoch = cache_epoch(server->host->cache)},
        .done = on_job_done,
        .owner = place};
    client->jobs++;
    const struct built *built =
        request->kind == WIRE_RUN ? built_find(&client->built, &request->built) : NULL;
    if (built)
        built_lend(built, &place->job);
}

void server_schedule(struct server *server)
{
    /* A job that cannot start is done at once and schedules in turn: not one frame a job. */
    if (server->scheduling)
        return;
    server->scheduling = true;
    while (server->running < server->host->config.slots && !remains_full(server->host)) {
        struct place *next = NULL;
        for (uint32_t i = 0; i < server->place_count; i++) {
            struct place *place = &server->places[i];
            if (place->state == PLACE_QUEUED && (!next || place->order < next->order))
                next = place;
        }
        if (!next)
            break;
        next->state = PLACE_RUNNING;
        server->running++;
        job_start(&next->job);
    }
    server->scheduling = false;
}

void place_cancel(struct place *place)
{
    if (place->state == PLACE_RUNNING) {
        job_cancel(&place->job);
    } else if (place->state == PLACE_QUEUED) {
        job_never_ran(&place->job);
        on_job_done(&place->job);
    }
}

void place_abandon(struct place *place)
{
    if (place->state == PLACE_RUNNING) {
        place->client = NULL;
        job_cancel(&place->job);
    } else if (place->state != PLACE_FREE) {
        place_free(place);
    }
}
