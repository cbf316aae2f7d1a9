/* harvest() on what a hostile compiler could leave: nothing of the host gets into the run, nothing
 * that the compiled program caused is a failure of the sandbox, and the work is bounded. */
#include "lib/base/cleanup.h"
#include "sandbox/harvest.h"
#include "sandbox/mounts.h"
#include "tests/unit/unit.h"
#include <dirent.h>
#include <fcntl.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <unistd.h>

#define MIB (UINT64_C(1) << 20)
static const struct harvest file = {.name = "main", .max_bytes = MIB},
                            tree = {.name = "classes", .directory = true, .max_bytes = MIB};

static void put(int dir, const char *name, const char *text)
{
    AUTO_FD int fd = openat(dir, name, O_CREAT | O_WRONLY | O_CLOEXEC, 06777);
    assert_int_equal(write(fd, text, strlen(text)), (ssize_t)strlen(text));
    assert_int_equal(fchmod(fd, 06777), 0);
}

static int fresh(void)
{
    struct err err;
    int tmp = mounts_tmpfs(80 * MIB, 40000, 01777, &err);
    if (tmp < 0)
        fail_msg("%s", err.message);
    return tmp;
}

static int open_tree_dir(int tmp)
{
    assert_int_equal(mkdirat(tmp, "classes", 0777), 0);
    return openat(tmp, "classes", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
}

/* Regular files below dir, all of them; -1 when something else is among them. */
static int count_files(int dir)
{
    int count = 0, copy = openat(dir, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    DIR *list = fdopendir(copy);
    assert_non_null(list);
    for (struct dirent *entry; (entry = readdir(list));) {
        if (strcmp(entry->d_name, ".") == 0 || strcmp(entry->d_name, "..") == 0)
            continue;
        AUTO_FD int below = entry->d_type == DT_DIR ? openat(copy, entry->d_name, O_RDONLY) : -1;
        int inside = entry->d_type == DT_DIR   ? count_files(below)
                     : entry->d_type == DT_REG ? 1
                                               : -1;
        count = inside < 0 || count < 0 ? -1 : count + inside;
    }
    closedir(list);
    return count;
}

static int take(int tmp, const struct harvest *what, enum err_code refused_code)
{
    struct harvested took;
    struct err refused, err;
    int box = harvest(tmp, what, &took, &refused, &err);
    if (box < 0)
        fail_msg("failed: %s", err.message);
    if (refused.code != refused_code)
        fail_msg("%s: %s", err_name(refused.code), refused.message);
    if (refused_code != ERR_NONE)
        assert_int_equal(count_files(box), 0);
    assert_int_equal(openat(box, "new", O_CREAT | O_WRONLY, 0600), -1);
    assert_int_equal(errno, EROFS);
    return box;
}

static void refused(int tmp, const struct harvest *what, enum err_code code)
{
    close(take(tmp, what, code));
    close(tmp);
}

static void test_good(void **state)
{
    (void)state;
    AUTO_FD int tmp = fresh();
    put(tmp, "main", "program");
    put(tmp, "other", "not asked for");
    AUTO_FD int box = take(tmp, &file, ERR_NONE);
    struct stat st;
    assert_int_equal(count_files(box), 1);
    assert_int_equal(fstatat(box, "main", &st, AT_SYMLINK_NOFOLLOW), 0);
    assert_int_equal(st.st_mode, S_IFREG | 0555); /* neither setuid nor writable */
    assert_true(st.st_size == 7 && st.st_uid == 0);
}

static void test_no_file(void **state)
{
    (void)state;
    refused(fresh(), &file, ERR_INVALID);
    int tmp = fresh();
    assert_int_equal(symlinkat("/etc/passwd", tmp, "main"), 0);
    refused(tmp, &file, ERR_INVALID);
    tmp = fresh();
    put(tmp, "real", "x");
    assert_int_equal(symlinkat("real", tmp, "main"), 0);
    refused(tmp, &file, ERR_INVALID);
    tmp = fresh();
    assert_int_equal(mkfifoat(tmp, "main", 0777), 0); /* must not block either */
    refused(tmp, &file, ERR_INVALID);
    tmp = fresh();
    assert_int_equal(mkdirat(tmp, "main", 0777), 0);
    refused(tmp, &file, ERR_INVALID);
    tmp = fresh();
    assert_int_equal(mknodat(tmp, "main", S_IFCHR | 0666, makedev(1, 5)), 0);
    refused(tmp, &file, ERR_INVALID);
}

static void test_sizes(void **state)
{
    (void)state;
    int tmp = fresh();
    put(tmp, "main", "");
    AUTO_FD int sparse = openat(tmp, "main", O_WRONLY | O_CLOEXEC);
    assert_int_equal(ftruncate(sparse, (off_t)1 << 40), 0);
    refused(tmp, &file, ERR_TOO_LARGE);
    /* One file by many names is as large as all of them. */
    tmp = fresh();
    AUTO_FD int dir = open_tree_dir(tmp);
    put(dir, "a", "");
    AUTO_FD int half = openat(dir, "a", O_WRONLY | O_CLOEXEC);
    assert_int_equal(ftruncate(half, MIB / 2 + 1), 0);
    assert_int_equal(linkat(dir, "a", dir, "b", 0), 0);
    refused(tmp, &tree, ERR_TOO_LARGE);
}

static void test_tree(void **state)
{
    (void)state;
    AUTO_FD int tmp = fresh();
    AUTO_FD int dir = open_tree_dir(tmp);
    static const char *const names[] = {"Main.class", "-rf", "new\nline", "\xff\xfe", "a b$c"};
    for (size_t i = 0; i < COUNT_OF(names); i++)
        put(dir, names[i], names[i]);
    assert_int_equal(symlinkat("/etc", dir, "etc"), 0);
    assert_int_equal(symlinkat("/etc/passwd", dir, "passwd"), 0);
    assert_int_equal(mkfifoat(dir, "fifo", 0777), 0);
    assert_int_equal(mknodat(dir, "zero", S_IFCHR | 0666, makedev(1, 5)), 0);
    AUTO_FD int box = take(tmp, &tree, ERR_NONE);
    assert_int_equal(count_files(box), COUNT_OF(names));
}

/* 300 directories deep: what is below the 64th is left out, nothing overflows or runs out. */
static void test_deep(void **state)
{
    (void)state;
    AUTO_FD int tmp = fresh();
    int dir = open_tree_dir(tmp);
    for (int i = 0; i < 300; i++) {
        put(dir, "f", "x");
        assert_int_equal(mkdirat(dir, "d", 0777), 0);
        int below = openat(dir, "d", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
        close(dir);
        dir = below;
    }
    close(dir);
    AUTO_FD int box = take(tmp, &tree, ERR_NONE);
    assert_int_equal(count_files(box), 65);
}

static void test_many(void **state)
{
    (void)state;
    char name[16];
    AUTO_FD int tmp = fresh();
    AUTO_FD int dir = open_tree_dir(tmp);
    for (int i = 0; i < 16384; i++) {
        snprintf(name, sizeof name, "%d", i);
        put(dir, name, "x");
    }
    /* Each a page of the copy, 64 times what their bytes are limited to. */
    AUTO_FD int box = take(tmp, &tree, ERR_NONE);
    assert_int_equal(count_files(box), 16384);
    put(dir, "one more", "x");
    close(take(tmp, &tree, ERR_TOO_LARGE));
}

int main(void)
{
    if (geteuid() != 0) {
        fprintf(stderr, "skipped: making mounts needs root\n");
        return 77;
    }
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_good), cmocka_unit_test(test_no_file), cmocka_unit_test(test_sizes),
        cmocka_unit_test(test_tree), cmocka_unit_test(test_deep),    cmocka_unit_test(test_many),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
