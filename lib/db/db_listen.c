/* Notifications of the server on a synchronous connection (db.h). */
#include "lib/base/strict.h"
#include "lib/db/db_internal.h"
#include <stdio.h>

int db_listen(struct db *db, const char *channel, struct err *err)
{
    char sql[80];
    CHECK(strlen(channel) < 64);
    snprintf(sql, sizeof sql, "LISTEN %s", channel);
    return db_script(db, sql, err);
}

int db_listen_fd(const struct db *db)
{
    return PQsocket(db->conn);
}

int db_notified(struct db *db, bool *any, struct err *err)
{
    PGnotify *note;
    *any = false;
    if (!PQconsumeInput(db->conn))
        return db_fail(db, NULL, "waiting for a notification", err);
    while ((note = PQnotifies(db->conn)) != NULL) {
        *any = true;
        PQfreemem(note);
    }
    return 0;
}
