/* The keystore's protocol: the order of its steps, and a kill before each of them. */
#include "lib/base/cleanup.h"
#include "lib/keystore/key_day.h"
#include "tests/unit/unit.h"
#include <dirent.h>
#include <fcntl.h>
#include <sys/wait.h>
#include <unistd.h>

static char dir[] = "/tmp/rustbox_crash_XXXXXX";
static const struct uuid project = {{1}}, sub = {{0x11}};
static struct rnd rnd;
static struct err err;
static int32_t day = 20000;
#define CLASS 30

static char trace[4096];
static int steps_left;

static void write_trace(const char *step, const char *name)
{
    const char *dot = strchr(name, '.');
    size_t used = strlen(trace);
    snprintf(trace + used, sizeof trace - used, "%s %s; ", step,
             strcmp(step, "mkdir") == 0             ? ""
             : dot && strcmp(name, "day.gone") != 0 ? dot
                                                    : name);
}

static void die_at(const char *step, const char *name)
{
    (void)step;
    (void)name;
    if (steps_left-- == 0)
        _exit(9);
}

static struct keystore *opened(void)
{
    struct keystore *ks = NULL;
    assert_ok(keystore_open(dir, KEYSTORE_CREATE, &rnd, &ks, &err), err);
    return ks;
}

#define LOCK "lock lock; fsync day; "
#define SYNC "fsync day; fsync parent; fsync parent; fsync root; "
#define MKDIR "mkdir ; mkdir ; mkdir ; "

static void steps_come_in_order(void **state)
{
    (void)state;
    struct keystore *ks = opened(), *second = opened();
    struct key_id key;
    trace[0] = '\0';
    key_day_step = write_trace;
    assert_ok(keystore_current(ks, &project, CLASS, ++day, &key, &err), err);
    assert_string_equal(trace, MKDIR LOCK "create .tmp; fsync day; write .tmp; fdatasync .tmp; "
                                          "rename .key; " SYNC);
    trace[0] = '\0';
    assert_ok(keystore_current(ks, &project, CLASS, day, &key, &err), err);
    assert_string_equal(trace, ""); /* known and durable */
    assert_ok(keystore_current(second, &project, CLASS, day, &key, &err), err);
    assert_string_equal(trace, MKDIR SYNC); /* found: synced by this process too */
    trace[0] = '\0';
    assert_ok(keystore_destroy_key(ks, &key, &err), err);
    assert_string_equal(trace, MKDIR LOCK "tombstone .gone; fsync day; overwrite .key; "
                                          "fdatasync .key; unlink .key; fsync day; " SYNC);
    assert_ok(keystore_current(ks, &project, CLASS, day, &key, &err), err);
    trace[0] = '\0';
    assert_ok(keystore_destroy_day(ks, &project, CLASS, day, &err), err);
    assert_string_equal(trace, MKDIR LOCK "tombstone day.gone; fsync day; overwrite .key; "
                                          "fdatasync .key; unlink .key; fsync day; " SYNC);
    key_day_step = NULL;
    keystore_close(ks);
    keystore_close(second);
}

/* Runs one operation in a child that dies before its n-th step; true when it died there. */
static bool dies_at(int n, int (*operation)(struct keystore *ks, struct key_id *key),
                    struct key_id *key)
{
    pid_t pid = fork();
    if (pid == 0) {
        struct keystore *mine = NULL;
        struct rnd fresh = rnd_system();
        steps_left = n;
        key_day_step = die_at;
        _exit(keystore_open(dir, KEYSTORE_CREATE, &fresh, &mine, NULL) || operation(mine, key));
    }
    int status = -1;
    assert_int_equal(waitpid(pid, &status, 0), pid);
    assert_true(WIFEXITED(status) && (WEXITSTATUS(status) == 0 || WEXITSTATUS(status) == 9));
    return WEXITSTATUS(status) == 9;
}

static int create(struct keystore *ks, struct key_id *key)
{
    return keystore_current(ks, &project, CLASS, day, key, NULL);
}

static int destroy(struct keystore *ks, struct key_id *key)
{
    return keystore_destroy_key(ks, key, NULL);
}

static int destroy_day(struct keystore *ks, struct key_id *key)
{
    return keystore_destroy_day(ks, &key->project, CLASS, key->day, NULL);
}

struct seen {
    int fds[8]; /* every file that may hold key bytes, held open to look at its blocks later */
    int count, keys, leftovers;
};

static void look_around(struct seen *seen)
{
    char path[KEY_PATH_TEXT], full[200];
    struct key_id of = {.project = project, .retention_class = CLASS, .day = day};
    *seen = (struct seen){0};
    key_day_path(&of, path);
    snprintf(full, sizeof full, "%s/%s", dir, path);
    DIR *found = opendir(full);
    for (struct dirent *entry; found && (entry = readdir(found));) {
        bool key = strstr(entry->d_name, ".key") != NULL;
        bool leftover = strstr(entry->d_name, ".tmp") != NULL || strstr(entry->d_name, ".old");
        if (!key && !leftover)
            continue;
        seen->keys += key;
        seen->leftovers += leftover;
        seen->fds[seen->count++] = openat(dirfd(found), entry->d_name, O_RDONLY | O_CLOEXEC);
    }
    if (found)
        closedir(found);
}

static int still_written(struct seen *seen)
{
    int written = 0;
    for (int i = 0; i < seen->count; i++) {
        char bytes[4096];
        ssize_t len = pread(seen->fds[i], bytes, sizeof bytes, 0);
        bool zero = true;
        for (ssize_t j = 0; j < len; j++)
            zero = zero && bytes[j] == 0;
        written += !zero;
        close(seen->fds[i]);
    }
    return written;
}

static void killed_while_creating(void **state)
{
    (void)state;
    int n = 0, leftovers = 0;
    for (bool died = true; died; n++) {
        struct key_id key, again;
        struct seen seen, after;
        day++;
        died = dies_at(n, create, &key);
        look_around(&seen);
        leftovers += seen.leftovers;
        struct keystore *ks = opened();
        if (seen.leftovers > 0 || seen.keys == 0) { /* the next taker finishes and creates */
            assert_ok(create(ks, &again), err);
            assert_int_equal(still_written(&seen), 0);
        } else { /* the key was named: it is found and used, whole */
            assert_ok(create(ks, &again), err);
            assert_int_equal(still_written(&seen), 1);
        }
        assert_ok(keystore_test(ks, &again, &sub, &err), err);
        look_around(&after);
        assert_int_equal(after.leftovers, 0);
        assert_int_equal(after.keys, 1);
        assert_int_equal(still_written(&after), 1);
        keystore_close(ks);
    }
    assert_int_equal(n, 15);        /* 14 steps, and once to the end */
    assert_int_equal(leftovers, 4); /* from its fsync to its rename */
}

static void killed_while_destroying(int (*operation)(struct keystore *ks, struct key_id *key),
                                    bool day_closed)
{
    bool died = true;
    for (int n = 0; died; n++) {
        struct key_id key, next;
        struct seen seen, after;
        day++;
        struct keystore *ks = opened();
        assert_ok(create(ks, &key), err);
        look_around(&seen);
        assert_int_equal(seen.keys, 1);
        died = dies_at(n, operation, &key);
        bool buried = n > 5;         /* mkdir * 3, lock, fsync, tombstone */
        if (buried && !day_closed) { /* the next taker finishes, whatever it came for */
            assert_ok(create(ks, &next), err);
            assert_ok(operation(ks, &next), err);
        }
        if (day_closed || !buried)
            assert_ok(operation(ks, &key), err);
        assert_int_equal(still_written(&seen), 0);
        assert_err(keystore_test(ks, &key, &sub, &err), err, ERR_ERASED);
        if (day_closed)
            assert_err(keystore_current(ks, &project, CLASS, day, &next, &err), err, ERR_ERASED);
        look_around(&after);
        assert_int_equal(after.count, 0);
        keystore_close(ks);
    }
}

static void killed_while_destroying_a_key(void **state)
{
    (void)state;
    killed_while_destroying(destroy, false);
}

static void killed_while_destroying_a_day(void **state)
{
    (void)state;
    killed_while_destroying(destroy_day, true);
}

int main(void)
{
    rnd = rnd_system();
    if (!mkdtemp(dir))
        return 1;
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(steps_come_in_order),
        cmocka_unit_test(killed_while_creating),
        cmocka_unit_test(killed_while_destroying_a_key),
        cmocka_unit_test(killed_while_destroying_a_day),
    };
    int failed = cmocka_run_group_tests(tests, NULL, NULL);
    if (fork() == 0)
        execl("/bin/rm", "rm", "-rf", dir, (char *)NULL);
    wait(NULL);
    return failed;
}
