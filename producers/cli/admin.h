/* What the administration verbs share: configuration, database, and telling the gateways. */
#pragma once
#include "lib/db/db.h"
#include "lib/kafka/bus.h"
#include "producers/cli/cli.h"
#include "schemas/control.h"
#include "schemas/signing.h"

/* Closed by admin_close, also when it was opened in part. */
struct admin {
    struct config *config;
    struct db *db;
    struct producer *producer;
    struct signing signing;
    struct err delivery; /* of the last event */
    bool delivered;
};

/* url is the setting with the role's connection string; timeout_ms is for each statement. */
int admin_open(const struct args *args, enum setting url, int64_t timeout_ms, struct admin *out,
               struct err *err) MUST_CHECK;
void admin_close(struct admin *admin);
struct bus_config admin_bus(const struct config *config);
/* Before anything is stored: the signing secret can be read and the broker answers, so that what is
 * stored will also be told. */
int admin_producer(struct admin *admin, struct err *err) MUST_CHECK;
/* Publishes on `control` and waits for the acknowledgement. */
int admin_tell(struct admin *admin, const struct control_event *event, struct err *err) MUST_CHECK;
