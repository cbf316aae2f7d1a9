/* A race on what the launcher reads back of a job's writable tree: while harvest() copies, another
 * thread exchanges files, directories, links to the host and fifos below the same names. Nothing of
 * the host may get into the copy, nothing on the host may change; with links followed (the layer
 * off) the same race must get the canary out, or it proves nothing.
 *
 * All of it happens in a private mount namespace, on tmpfs of its own: the "host" that the links
 * lead to is one of them. The racer names nothing but entries of directories that it opened beneath
 * the job's tree without links. RUSTBOX_RACE_SECONDS is how long (default 3 for each form). */
#include "lib/base/cleanup.h"
#include "sandbox/harvest.h"
#include "sandbox/mounts.h"
#include "tests/unit/unit.h"
#include <dirent.h>
#include <fcntl.h>
#include <linux/openat2.h>
#include <pthread.h>
#include <sched.h>
#include <stdatomic.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#define SECRET "canary of the host"
#define MUTANT_SECONDS 60

static char host[] = "/tmp/rustbox-race-XXXXXX";
static struct {
    int tree;
    unsigned seed;
    atomic_bool stop;
    atomic_ulong moves;
} race;

/* What is exchanged with each other, made once in each directory that is raced in. */
static const char *const names[] = {"main", "classes", "file", "secret", "hostdir", "fifo", "dir"};

static int beneath(int dir, const char *name, uint64_t flags)
{
    struct open_how how = {.flags = flags | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK,
                           .resolve = RESOLVE_BENEATH | RESOLVE_NO_SYMLINKS | RESOLVE_NO_XDEV};
    return (int)syscall(SYS_openat2, dir, name, &how, sizeof how);
}

static void put(int dir, const char *name, const char *text)
{
    AUTO_FD int file =
        openat(dir, name, O_CREAT | O_EXCL | O_WRONLY | O_CLOEXEC | O_NOFOLLOW, 0644);
    assert_true(file >= 0 && write(file, text, strlen(text)) == (ssize_t)strlen(text));
}

static void furnish(int dir, int depth)
{
    char path[64];
    put(dir, "main", "program");
    put(dir, "file", "of the job");
    snprintf(path, sizeof path, "%s/secret", host);
    assert_int_equal(symlinkat(path, dir, "secret"), 0);
    assert_int_equal(symlinkat(host, dir, "hostdir"), 0);
    assert_int_equal(mkfifoat(dir, "fifo", 0666), 0);
    static const char *const below[] = {"classes", "dir"};
    for (size_t i = 0; i < COUNT_OF(below); i++) {
        assert_int_equal(mkdirat(dir, below[i], 0777), 0);
        AUTO_FD int inner = beneath(dir, below[i], O_RDONLY | O_DIRECTORY);
        assert_true(inner >= 0);
        if (depth > 0)
            furnish(inner, depth - 1);
    }
}

static void *racer(void *unused)
{
    (void)unused;
    unsigned seed = race.seed;
    while (!atomic_load(&race.stop)) {
        AUTO_FD int inner =
            beneath(race.tree, rand_r(&seed) % 2 ? "classes" : "dir", O_RDONLY | O_DIRECTORY);
        int dir = inner >= 0 && rand_r(&seed) % 2 ? inner : race.tree;
        const char *a = names[(size_t)rand_r(&seed) % COUNT_OF(names)],
                   *b = names[(size_t)rand_r(&seed) % COUNT_OF(names)];
        if (renameat2(dir, a, dir, b, RENAME_EXCHANGE) == 0)
            atomic_fetch_add(&race.moves, 1);
    }
    return NULL;
}

/* Whether a file below dir (the launcher's copy, which nobody changes) holds the canary. */
static bool holds_secret(int dir)
{
    bool found = false;
    DIR *list = fdopendir(openat(dir, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC));
    assert_non_null(list);
    for (struct dirent *entry; (entry = readdir(list));) {
        char text[64] = "";
        if (strcmp(entry->d_name, ".") == 0 || strcmp(entry->d_name, "..") == 0)
            continue;
        AUTO_FD int fd = beneath(dir, entry->d_name, O_RDONLY);
        if (fd >= 0 && entry->d_type == DT_DIR)
            found |= holds_secret(fd);
        else if (fd >= 0 && read(fd, text, sizeof text - 1) > 0)
            found |= strstr(text, SECRET) != NULL;
    }
    closedir(list);
    return found;
}

static bool host_intact(void)
{
    char path[64], text[64] = "";
    unsigned entries = 0;
    struct stat st;
    snprintf(path, sizeof path, "%s/secret", host);
    AUTO_FD int file = open(path, O_RDONLY | O_CLOEXEC | O_NOFOLLOW);
    DIR *list = opendir(host);
    while (list && readdir(list))
        entries++;
    if (list)
        closedir(list);
    return entries == 3 && file >= 0 && fstat(file, &st) == 0 && st.st_nlink == 1 &&
           (st.st_mode & 07777) == 0640 && read(file, text, sizeof text - 1) > 0 &&
           strcmp(text, SECRET) == 0;
}

struct counts {
    unsigned long harvests, taken, refused, leaks;
};

static void harvest_once(bool directory, bool follow, struct counts *counts)
{
    struct harvested took;
    struct err refused, err;
    struct harvest what = {.name = directory ? "classes" : "main",
                           .directory = directory,
                           .max_bytes = 1 << 20,
                           .follow_links = follow};
    AUTO_FD int box = harvest(race.tree, &what, &took, &refused, &err);
    counts->harvests++;
    if (box < 0) /* in a race even a failure of the host's is fine: it is an IE */
        return;
    counts->taken += refused.code == ERR_NONE;
    counts->refused += refused.code != ERR_NONE;
    counts->leaks += holds_secret(box);
}

static double seconds(void)
{
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (double)now.tv_sec + (double)now.tv_nsec / 1e9;
}

/* Races for so long, or, when links are followed, until the canary is out. */
static struct counts run(bool directory, bool follow, double how_long)
{
    struct counts counts = {0};
    struct err err;
    pthread_t thread;
    AUTO_FD int tree = mounts_tmpfs(4 << 20, 1024, 01777, &err);
    assert_true(tree >= 0);
    furnish(tree, 1);
    race.tree = tree;
    atomic_store(&race.stop, false);
    atomic_store(&race.moves, 0);
    assert_int_equal(pthread_create(&thread, NULL, racer, NULL), 0);
    for (double until = seconds() + how_long; seconds() < until && !(follow && counts.leaks);)
        harvest_once(directory, follow, &counts);
    atomic_store(&race.stop, true);
    pthread_join(thread, NULL);
    print_message("%s, links %s: %lu harvests, %lu taken, %lu refused, %lu with the canary, "
                  "%lu exchanges, seed %u\n",
                  directory ? "directory" : "file", follow ? "followed" : "not followed",
                  counts.harvests, counts.taken, counts.refused, counts.leaks,
                  atomic_load(&race.moves), race.seed);
    assert_true(host_intact());
    return counts;
}

static double how_long(void)
{
    const char *text = getenv("RUSTBOX_RACE_SECONDS");
    uint64_t number = 3;
    assert_true(!text || (span_u64(span_text(text), &number) == 0 && number >= 1));
    return (double)number;
}

static void test_race(void **state)
{
    (void)state;
    for (int directory = 0; directory < 2; directory++) {
        struct counts counts = run(directory, false, how_long());
        assert_int_equal(counts.leaks, 0);
        /* Else there was no race. */
        assert_true(counts.taken > 0 && atomic_load(&race.moves) > counts.harvests);
        assert_true(directory || counts.refused > 0);
    }
}

static void test_race_with_links_followed(void **state)
{
    (void)state;
    for (int directory = 0; directory < 2; directory++)
        assert_true(run(directory, true, MUTANT_SECONDS).leaks > 0);
}

/* The host of the links: a tmpfs that this process alone sees. */
static int start(void **state)
{
    (void)state;
    if (geteuid() != 0) {
        fprintf(stderr, "skipped: a mount namespace of its own needs root\n");
        _exit(77);
    }
    race.seed = (unsigned)getpid();
    if (!mkdtemp(host) || unshare(CLONE_NEWNS) != 0 ||
        mount(NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL) != 0 ||
        mount("host", host, "tmpfs", MS_NOSUID | MS_NODEV, "size=1m") != 0)
        return -1;
    AUTO_FD int dir = open(host, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (dir < 0)
        return -1;
    put(dir, "secret", SECRET);
    return fchmodat(dir, "secret", 0640, 0);
}

static int stop(void **state)
{
    (void)state;
    return umount(host) == 0 ? rmdir(host) : -1;
}

int main(void)
{
    static const struct CMUnitTest tests[] = {cmocka_unit_test(test_race),
                                              cmocka_unit_test(test_race_with_links_followed)};
    return cmocka_run_group_tests_name("escape_race", tests, start, stop);
}
