/* rustbox admin migrate: applies the numbered SQL files that the database has not seen, each in one
 * transaction, under a lock that a second migrator waits for. A file that was applied and has
 * changed since is an error: the database and the program no longer speak of the same schema. */
#include "lib/base/enc.h"
#include "lib/crypto/crypto.h"
#include "producers/cli/admin.h"
#include "producers/cli/migrations.h"
#include <stdio.h>

#define MIGRATION_TIMEOUT_MS 600000

static void digest_of(const struct migration *file, char out[HEX_SIZE(SHA256_BYTES)])
{
    uint8_t digest[SHA256_BYTES];
    sha256(span_of(file->sql, file->sql_bytes), digest);
    hex_encode(digest, sizeof digest, out);
}

/* *applied; ERR_CONFIG when it was applied with another text. Files applied by hand have no digest.
 */
static int look_up(struct db *db, const struct migration *file, bool *applied, struct err *err)
{
    static const struct db_statement seen = {
        "migrate_seen", "SELECT coalesce(sha256, '') FROM rustbox.migrations WHERE version = $1"};
    struct db_param version = db_int(file->version);
    DB_RESULT_AUTO result = {0};
    char digest[HEX_SIZE(SHA256_BYTES)];
    if (db_exec(db, &seen, &version, 1, &result, err))
        return -1;
    *applied = db_rows(&result) == 1;
    digest_of(file, digest);
    if (!*applied || db_get_text(&result, 0, 0).len == 0 ||
        span_is(db_get_text(&result, 0, 0), digest))
        return 0;
    return err_set(
        err, ERR_CONFIG,
        "%s was applied with another content: this program belongs to another version of the "
        "schema; install the version that made the database, or a newer one",
        file->name);
}

static int apply(struct db *db, const struct migration *file, struct err *err)
{
    char digest[HEX_SIZE(SHA256_BYTES)], note[400];
    digest_of(file, digest);
    snprintf(
        note, sizeof note,
        "SET LOCAL ROLE rustbox_owner;"
        "DO $$ BEGIN UPDATE rustbox.migrations SET name = '%s', sha256 = '%s' WHERE version = %d;"
        " IF NOT FOUND THEN RAISE 'the file does not enter its version'; END IF; END $$",
        file->name, digest, file->version);
    if (db_begin(db, err))
        return -1;
    if (db_script(db, file->sql, err) || db_script(db, note, err) || db_commit(db, err)) {
        db_rollback(db);
        return err_wrap(err, "%s", file->name);
    }
    return 0;
}

static int migrate(struct db *db, struct buf *made, struct err *err)
{
    static const struct db_statement is_new = {"migrate_new",
                                               "SELECT to_regclass('rustbox.migrations') IS NULL"};
    if (db_script(db, "SELECT pg_advisory_lock(hashtext('rustbox.migrate'))", err))
        return -1;
    for (const struct migration *file = migrations; file->version; file++) {
        DB_RESULT_AUTO result = {0};
        bool applied = false;
        if (db_exec(db, &is_new, NULL, 0, &result, err))
            return -1;
        if (!db_get_bool(&result, 0, 0) && look_up(db, file, &applied, err))
            return -1;
        if (applied)
            continue;
        if (apply(db, file, err))
            return -1;
        buf_printf(made, "%s\"%s\"", made->len ? "," : "", file->name);
    }
    return 0;
}

static int run(const struct args *args, int *exit_code, struct err *err)
{
    struct admin admin;
    BUF_AUTO struct buf made = {.max = 10000};
    (void)exit_code;
    int failed = admin_open(args, SETTING_db_url_admin, MIGRATION_TIMEOUT_MS, &admin, err);
    if (!failed)
        failed = migrate(admin.db, &made, err);
    admin_close(&admin);
    if (failed)
        return -1;
    if (args->json)
        printf("{\"applied\":[%s]}\n", buf_text(&made));
    else
        printf("%s%s\n", made.len ? "applied " : "the database is up to date", buf_text(&made));
    return 0;
}

const struct verb verb_admin_migrate = {
    .name = "admin migrate",
    .positional = "",
    .summary = "bring the database's schema up to date",
    .details = "Uses [db] url_admin, a member of rustbox_owner (schemas/sql/roles.sql).",
    .run = run,
};
