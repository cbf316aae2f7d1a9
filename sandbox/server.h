/* The launcher's front: the listening socket, its connections, the queue of jobs. */
#pragma once
#include "sandbox/built.h"
#include "sandbox/job.h"

#define SERVER_CLIENTS 16

struct client {
    struct server *server; /* NULL = free place */
    struct watch watch;
    uid_t uid;
    struct built_list built;
    uint32_t jobs;    /* in flight */
    bool wants_write; /* a report waits for room in the socket */
};

enum place_state { PLACE_FREE, PLACE_QUEUED, PLACE_RUNNING, PLACE_REPORTING };

/* A job's place in the launcher's table. */
struct place {
    struct server *server;
    struct client *client; /* NULL = it went away */
    enum place_state state;
    uint64_t order; /* of arrival */
    struct job job;
};

struct server {
    struct host *host;
    struct watch listener;
    struct client clients[SERVER_CLIENTS];
    struct place *places;
    uint32_t place_count, running;
    uint64_t arrivals;
    bool scheduling, closing;
    char buffer[BOX_MESSAGE_BYTES];
};

int server_open(struct server *server, struct host *host, int listen_fd,
                struct err *err) MUST_CHECK;
/* Kills all jobs and waits for their ends, which are bounded; then nothing of them is left. */
int server_close(struct server *server, struct err *err) MUST_CHECK;
/* Binds the socket, replacing one nobody listens on. */
int server_listen(const struct host_config *config, struct err *err) MUST_CHECK;
