/* Between server.c (connections) and place.c (the table of jobs). */
#pragma once
#include "sandbox/server.h"

struct place *place_find(struct server *server, const struct client *client, const struct uuid *id);
/* Queues a job; takes the descriptors (code -1: a run of what was built, which is there). The
 * caller checked that the client has room. */
void place_add(struct server *server, struct client *client, const struct wire_request *request,
               int code, int input);
void place_cancel(struct place *place);      /* a report follows */
void place_abandon(struct place *place);     /* its client is gone: no report */
void client_flush(struct client *client);    /* sends reports that found the socket full */
void server_schedule(struct server *server); /* starts queued jobs while slots are free */
