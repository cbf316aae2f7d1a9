/* What an SQLSTATE means for us. Messages of class 22 (bad data) repeat the datum, so only their
 * code is passed on; DETAIL lines hold keys and are never read. */
#include "lib/db/db_internal.h"
#include <string.h>

static bool begins(const char *state, const char *with)
{
    return strncmp(state, with, strlen(with)) == 0;
}

static enum err_code code_of(const char *state, bool names_constraint)
{
    if (begins(state, "40") || begins(state, "55P03") || begins(state, "55006"))
        return ERR_BUSY;
    if (strcmp(state, "57014") == 0)
        return ERR_TIMEOUT;
    if (strcmp(state, "23514") == 0 && !names_constraint)
        return ERR_EXPIRED; /* "no partition of relation found for row" has no constraint's name */
    if (strcmp(state, "23505") == 0)
        return ERR_CONFLICT;
    if (begins(state, "22") || begins(state, "23"))
        return ERR_INVALID;
    if (strcmp(state, "42P17") == 0 || begins(state, "42") || begins(state, "3F") ||
        begins(state, "0A"))
        return ERR_CONFIG; /* a table, column or right is missing: migrations */
    return ERR_DATABASE;
}

int db_fail(const struct db *db, const PGresult *result, const char *what, struct err *err)
{
    const char *state = result ? PQresultErrorField(result, PG_DIAG_SQLSTATE) : NULL;
    if (!state)
        return err_set(err, ERR_DATABASE, "%s: %s", what,
                       db->conn ? PQerrorMessage(db->conn) : "no connection");
    const char *text = PQresultErrorField(result, PG_DIAG_MESSAGE_PRIMARY);
    const char *constraint = PQresultErrorField(result, PG_DIAG_CONSTRAINT_NAME);
    enum err_code code = PQstatus(db->conn) == CONNECTION_BAD
                             ? ERR_DATABASE
                             : code_of(state, constraint && constraint[0]);
    return err_set(err, code, "%s: %s [%s]", what, begins(state, "22") || !text ? "bad data" : text,
                   state);
}
