/* lib/keystore: what is destroyed cannot be opened, by anyone, at the next use; what is not can. */
#include "lib/base/cleanup.h"
#include "lib/crypto/crypto.h"
#include "lib/keystore/key_day.h"
#include "lib/keystore/key_file.h"
#include "tests/unit/unit.h"
#include <fcntl.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

static char dir[] = "/tmp/rustbox_keys_XXXXXX";
static const struct uuid project = {{1}}, other_project = {{2}}, sub_x = {{0x11}}, sub_y = {{0x22}};
static struct rnd rnd;
static struct err err;
static int32_t day = 20000; /* each test takes a day of its own */
#define CLASS 30

static int setup(void **state)
{
    (void)state;
    day++;
    key_day_step = NULL;
    return 0;
}

static struct keystore *opened(void)
{
    struct keystore *ks = NULL;
    assert_ok(keystore_open(dir, KEYSTORE_CREATE, &rnd, &ks, &err), err);
    return ks;
}

static struct key_id current(struct keystore *ks)
{
    struct key_id key;
    assert_ok(keystore_current(ks, &project, CLASS, day, &key, &err), err);
    return key;
}

static int opens(struct keystore *ks, const struct key_id *key, const struct uuid *sub,
                 struct span sealed)
{
    BUF_AUTO struct buf out = {.max = 1000};
    err.code = ERR_NONE;
    int status = keystore_open_record(ks, key, sub, SPAN_LIT("aad"), sealed, &out, &err);
    if (status == 0)
        assert_string_equal(buf_text(&out), "payload");
    return status;
}

static void seal(struct keystore *ks, const struct key_id *key, const struct uuid *sub,
                 struct buf *out)
{
    assert_ok(keystore_seal(ks, key, sub, SPAN_LIT("aad"), SPAN_LIT("payload"), out, &err), err);
}

static void full_path(const struct key_id *key, char out[200])
{
    char path[KEY_PATH_TEXT];
    key_path(key, path);
    snprintf(out, 200, "%s/%s", dir, path);
}

static void round_trip(void **state)
{
    (void)state;
    struct keystore *ks = opened(), *reader = NULL;
    struct key_id key = current(ks), again = current(ks), other;
    assert_int_equal(key.number, again.number);
    assert_ok(keystore_current(ks, &other_project, CLASS, day, &other, &err), err);
    assert_int_not_equal(key.number, other.number);
    BUF_AUTO struct buf sealed = {.max = 1000};
    seal(ks, &key, &sub_x, &sealed);
    assert_ok(keystore_open(dir, KEYSTORE_READ, &rnd, &reader, &err), err);
    assert_ok(opens(reader, &key, &sub_x, buf_span(&sealed)), err);
    assert_err(opens(reader, &key, &sub_y, buf_span(&sealed)), err, ERR_CORRUPT);
    assert_err(opens(reader, &other, &sub_x, buf_span(&sealed)), err, ERR_CORRUPT);
    other.number++; /* a directory without this key: destroyed */
    assert_err(opens(reader, &other, &sub_x, buf_span(&sealed)), err, ERR_ERASED);
    other.day += 5000; /* no directory: nobody knows */
    assert_err(opens(reader, &other, &sub_x, buf_span(&sealed)), err, ERR_SYSTEM);
    sealed.data[sealed.len - 1] ^= 1;
    assert_err(opens(reader, &key, &sub_x, buf_span(&sealed)), err, ERR_CORRUPT);
    keystore_close(reader);
    keystore_close(ks);
}

/* A second process destroys; the first, with the key in its cache, notices at its next use. */
static void destroyed_while_cached(void **state)
{
    (void)state;
    struct keystore *ks = opened();
    struct key_id key = current(ks);
    BUF_AUTO struct buf sealed = {.max = 1000};
    seal(ks, &key, &sub_x, &sealed);
    pid_t pid = fork();
    if (pid == 0) {
        struct keystore *mine = NULL;
        _exit(keystore_open(dir, KEYSTORE_CREATE, &rnd, &mine, NULL) ||
              keystore_destroy_key(mine, &key, NULL));
    }
    int status = -1;
    assert_int_equal(waitpid(pid, &status, 0), pid);
    assert_int_equal(status, 0);
    assert_err(keystore_test(ks, &key, &sub_x, &err), err, ERR_ERASED);
    assert_err(opens(ks, &key, &sub_x, buf_span(&sealed)), err, ERR_ERASED);
    buf_clear(&sealed);
    assert_err(keystore_seal(ks, &key, &sub_x, SPAN_LIT("a"), SPAN_LIT("b"), &sealed, &err), err,
               ERR_ERASED);
    struct key_id next = current(ks); /* one key's tombstone does not close the day */
    assert_int_not_equal(next.number, key.number);
    assert_ok(keystore_destroy_key(ks, &key, &err), err); /* again: harmless */
    assert_ok(keystore_test(ks, &next, &sub_x, &err), err);
    keystore_close(ks);
}

static void a_destroyed_day_stays_closed(void **state)
{
    (void)state;
    struct keystore *ks = opened(), *late = opened();
    struct key_id key = current(ks), none;
    assert_ok(keystore_test(late, &key, &sub_x, &err), err);
    assert_ok(keystore_destroy_day(ks, &project, CLASS, day, &err), err);
    assert_err(keystore_test(late, &key, &sub_x, &err), err, ERR_ERASED);
    assert_err(keystore_current(late, &project, CLASS, day, &none, &err), err, ERR_ERASED);
    assert_err(keystore_current(ks, &project, CLASS, day, &none, &err), err, ERR_ERASED);
    assert_ok(keystore_current(ks, &other_project, CLASS, day, &none, &err), err);
    day++; /* a day without any key can be closed too */
    assert_ok(keystore_destroy_day(ks, &project, CLASS, day, &err), err);
    assert_err(keystore_current(ks, &project, CLASS, day, &none, &err), err, ERR_ERASED);
    keystore_close(ks);
    keystore_close(late);
}

static void damage_is_destruction_but_a_lost_directory_is_not(void **state)
{
    (void)state;
    struct keystore *ks = opened();
    struct key_id key = current(ks);
    char path[200], moved[220];
    full_path(&key, path);
    struct stat st;
    assert_int_equal(stat(path, &st), 0);
    for (off_t at = 0; at < st.st_size; at++) { /* every single byte counts */
        AUTO_FD int fd = open(path, O_RDWR | O_CLOEXEC);
        uint8_t byte;
        assert_int_equal(pread(fd, &byte, 1, at), 1);
        byte ^= 0x40;
        assert_int_equal(pwrite(fd, &byte, 1, at), 1);
        struct keystore *fresh = opened();
        assert_err(keystore_test(fresh, &key, &sub_x, &err), err, ERR_ERASED);
        keystore_close(fresh);
        byte ^= 0x40;
        assert_int_equal(pwrite(fd, &byte, 1, at), 1);
    }
    char *slash = strrchr(path, '/'); /* the day's directory is away: an unmounted disk */
    *slash = '\0';
    snprintf(moved, sizeof moved, "%s.away", path);
    assert_int_equal(rename(path, moved), 0);
    struct keystore *fresh = opened();
    assert_err(keystore_test(ks, &key, &sub_x, &err), err, ERR_SYSTEM);
    assert_err(keystore_test(fresh, &key, &sub_x, &err), err, ERR_SYSTEM);
    assert_int_equal(rename(moved, path), 0);
    assert_ok(keystore_test(ks, &key, &sub_x, &err), err);
    assert_ok(keystore_test(fresh, &key, &sub_x, &err), err);
    keystore_close(fresh);
    keystore_close(ks);
    assert_err(keystore_open("/nonexistent/keys", KEYSTORE_READ, &rnd, &ks, &err), err, ERR_CONFIG);
}

/* What a later puncture will write: the root replaced by the siblings along x's path. */
static void replace_punctured(const struct key_id *key, const struct uuid *gone)
{
    char path[200], temporary[220];
    full_path(key, path);
    snprintf(temporary, sizeof temporary, "%s.new", path);
    AUTO_FD int fd = open(path, O_RDONLY | O_CLOEXEC);
    static uint8_t bytes[1 << 20];
    ssize_t len = read(fd, bytes, sizeof bytes);
    struct key_nodes old = {0}, new = {0};
    assert_ok(key_file_decode(key, span_of(bytes, (size_t)len), &old, &err), err);
    uint64_t at = tree_path(gone);
    const struct key_node *above = key_nodes_find(&old, at);
    new.nodes = calloc(old.count + 64, sizeof *new.nodes);
    for (const struct key_node *node = old.nodes; node < old.nodes + old.count; node++)
        if (node != above)
            new.nodes[new.count++] = *node;
    for (unsigned depth = above ? above->depth : 64; depth < 64; depth++) {
        struct key_node *node = &new.nodes[new.count++];
        uint64_t bit = UINT64_C(1) << (63 - depth);
        node->depth = (uint8_t)(depth + 1);
        node->prefix = (at ^ bit) & ~(bit - 1);
        tree_descend(above->key, above->depth, node->prefix, depth + 1, node->key);
    }
    for (size_t i = 1; i < new.count; i++) /* ascending */
        for (size_t j = i; j > 0 && new.nodes[j - 1].prefix > new.nodes[j].prefix; j--) {
            struct key_node swap = new.nodes[j];
            new.nodes[j] = new.nodes[j - 1];
            new.nodes[j - 1] = swap;
        }
    BUF_AUTO struct buf out = {.max = KEY_FILE_MAX};
    assert_ok(key_file_encode(key, &new, &out, &err), err);
    int made = open(temporary, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
    assert_int_equal(write(made, out.data, out.len), out.len);
    close(made);
    assert_int_equal(rename(temporary, path), 0);
    key_nodes_done(&old);
    key_nodes_done(&new);
}

static void punctured_leaves_are_gone_and_others_stay(void **state)
{
    (void)state;
    struct keystore *ks = opened();
    struct key_id key = current(ks);
    BUF_AUTO struct buf x = {.max = 1000}, y = {.max = 1000};
    seal(ks, &key, &sub_x, &x);
    seal(ks, &key, &sub_y, &y);
    replace_punctured(&key, &sub_x);
    assert_err(opens(ks, &key, &sub_x, buf_span(&x)), err, ERR_ERASED);
    assert_ok(opens(ks, &key, &sub_y, buf_span(&y)), err);
    for (uint8_t i = 0; i < 30;
         i++) { /* two exchanges in a row: inode numbers are reused at once */
        struct uuid first = {{0x33, i}}, second = {{0x44, i}};
        assert_ok(keystore_test(ks, &key, &first, &err), err);
        replace_punctured(&key, &first);
        replace_punctured(&key, &second);
        assert_err(keystore_test(ks, &key, &first, &err), err, ERR_ERASED);
        assert_err(keystore_test(ks, &key, &second, &err), err, ERR_ERASED);
        assert_ok(opens(ks, &key, &sub_y, buf_span(&y)), err);
    }
    assert_err(opens(ks, &key, &sub_x, buf_span(&x)), err, ERR_ERASED);
    keystore_close(ks);
}

static void many_keys_fit_the_cache(void **state)
{
    (void)state;
    struct keystore *ks = opened();
    struct key_id keys[300];
    for (int i = 0; i < 300; i++)
        assert_ok(keystore_current(ks, &project, CLASS, day + i, &keys[i], &err), err);
    for (int i = 0; i < 300; i++)
        assert_ok(keystore_test(ks, &keys[i], &sub_x, &err), err);
    int fds = 0;
    for (int fd = 0; fd < 1000; fd++)
        fds += fcntl(fd, F_GETFD) >= 0;
    assert_in_range(fds, 256, 275);
    keystore_close(ks);
    day += 300;
}

static void two_creators_agree(void **state)
{
    (void)state;
    for (int round = 0; round < 20; round++, day++) {
        int pipes[2];
        assert_int_equal(pipe2(pipes, O_CLOEXEC), 0);
        for (int i = 0; i < 4; i++)
            if (fork() == 0) {
                struct keystore *ks = NULL;
                struct rnd mine = rnd_system();
                struct key_id key;
                if (keystore_open(dir, KEYSTORE_CREATE, &mine, &ks, NULL) ||
                    keystore_current(ks, &project, CLASS, day, &key, NULL) ||
                    write(pipes[1], &key.number, sizeof key.number) != sizeof key.number)
                    _exit(1);
                _exit(0);
            }
        uint64_t numbers[4];
        for (int i = 0; i < 4; i++) {
            int status = -1;
            wait(&status);
            assert_int_equal(status, 0);
        }
        assert_int_equal(read(pipes[0], numbers, sizeof numbers), sizeof numbers);
        for (int i = 1; i < 4; i++)
            assert_true(numbers[i] == numbers[0]);
        close(pipes[0]);
        close(pipes[1]);
    }
}

static void secrets(void **state)
{
    (void)state;
    char path[220];
    struct secret master = {{0}}, derived;
    snprintf(path, sizeof path, "%s/secret", dir);
    assert_err(secret_load(path, &master, &err), err, ERR_CONFIG);
    FILE *file = fopen(path, "we");
    fputs("0123456789abcdef0123456789abcdef", file);
    fclose(file);
    assert_int_equal(chmod(path, 0644), 0);
    assert_err(secret_load(path, &master, &err), err, ERR_CONFIG);
    assert_int_equal(chmod(path, 0640), 0);
    assert_ok(secret_load(path, &master, &err), err);
    assert_memory_equal(master.bytes, "0123456789abcdef0123456789abcdef", 32);
    assert_int_equal(truncate(path, 31), 0);
    assert_err(secret_load(path, &master, &err), err, ERR_CONFIG);
    uint8_t wanted[32], text[23] = "project";
    memcpy(text + 7, project.bytes, 16);
    hmac_sha256(span_of(master.bytes, 32), span_of(text, sizeof text), wanted);
    secret_of_project(&master, &project, &derived);
    assert_memory_equal(derived.bytes, wanted, 32);
}

int main(void)
{
    rnd = rnd_system();
    if (!mkdtemp(dir))
        return 1;
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup(round_trip, setup),
        cmocka_unit_test_setup(destroyed_while_cached, setup),
        cmocka_unit_test_setup(a_destroyed_day_stays_closed, setup),
        cmocka_unit_test_setup(damage_is_destruction_but_a_lost_directory_is_not, setup),
        cmocka_unit_test_setup(punctured_leaves_are_gone_and_others_stay, setup),
        cmocka_unit_test_setup(many_keys_fit_the_cache, setup),
        cmocka_unit_test_setup(two_creators_agree, setup),
        cmocka_unit_test_setup(secrets, setup),
    };
    int failed = cmocka_run_group_tests(tests, NULL, NULL);
    char command[100];
    snprintf(command, sizeof command, "%s", dir);
    if (fork() == 0)
        execl("/bin/rm", "rm", "-rf", command, (char *)NULL);
    wait(NULL);
    return failed;
}
