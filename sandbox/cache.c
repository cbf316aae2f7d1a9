/* Files and memory behind cache.h. Each entry is a directory, named by a number, in a tmpfs that
 * only this process can reach; its key, with the source in it, is on the heap and wiped when the
 * entry goes. An entry is listed only after its copy was found equal to what the harvest took, and
 * every hit compares again. */
#include "sandbox/cache.h"
#include "lib/base/cleanup.h"
#include "lib/base/strict.h"
#include "lib/log/log.h"
#include "sandbox/mounts.h"
#include <dirent.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/timerfd.h>

#define PACKAGES "/var/lib/dpkg/status" /* changes with every package */
#define NAME_BYTES 24

struct cache {
    struct loop *loop;
    struct cache_index index;
    struct watch timer;
    int64_t age_ns;
    uint64_t epoch, numbers;
    int mount;
};

static void name_of(uint64_t number, char out[NAME_BYTES])
{
    snprintf(out, NAME_BYTES, "%llu", (unsigned long long)number);
}

/* Of the launcher's own making, so no deeper than a harvest goes. */
static void remove_tree(int dir, const char *name)
{
    int fd = openat(dir, name, O_RDONLY | O_DIRECTORY | O_CLOEXEC | O_NOFOLLOW);
    DIR *list = fd < 0 ? NULL : fdopendir(fd);
    if (!list) {
        cleanup_fd(&fd);
        return;
    }
    for (struct dirent *entry; (entry = readdir(list));) {
        if (strcmp(entry->d_name, ".") == 0 || strcmp(entry->d_name, "..") == 0)
            continue;
        if (entry->d_type == DT_DIR)
            remove_tree(fd, entry->d_name);
        else
            unlinkat(fd, entry->d_name, 0);
    }
    closedir(list);
    unlinkat(dir, name, AT_REMOVEDIR);
}

static void drop(struct cache *cache, struct cache_entry *entry)
{
    char name[NAME_BYTES];
    struct cache_entry removed = cache_remove(&cache->index, entry);
    name_of(removed.number, name);
    remove_tree(cache->mount, name);
    explicit_bzero(removed.text, removed.text_len);
    free(removed.text);
}

static void arm(struct cache *cache)
{
    struct err err;
    const struct cache_entry *oldest = cache_oldest(&cache->index);
    if (loop_timer(cache->timer.fd, oldest ? oldest->stored_ns + cache->age_ns : 0, &err) != 0)
        log_event(LOG_ERROR, "cache_timer_failed", kv_err(&err));
}

static void on_timer(struct watch *watch, uint32_t events)
{
    (void)events;
    struct cache *cache = watch->owner;
    uint64_t expirations;
    (void)!read(watch->fd, &expirations, sizeof expirations);
    for (struct cache_entry *oldest; (oldest = cache_oldest(&cache->index)) &&
                                     oldest->stored_ns + cache->age_ns <= loop_now_ns();)
        drop(cache, oldest);
    arm(cache);
}

static int watch_timer(struct cache *cache, struct err *err)
{
    int fd = timerfd_create(CLOCK_MONOTONIC, TFD_CLOEXEC | TFD_NONBLOCK);
    if (fd < 0)
        return err_sys(err, ERR_SYSTEM, "make the compile cache's timer");
    cache->timer = (struct watch){.fd = -1, .ready = on_timer, .owner = cache};
    if (loop_add(cache->loop, &cache->timer, fd, EPOLLIN, err) == 0)
        return 0;
    close(fd);
    return -1;
}

int cache_open(struct loop *loop, const struct cache_limits *limits, struct cache **out,
               struct err *err)
{
    *out = NULL;
    if (limits->bytes == 0)
        return 0;
    struct cache *cache = calloc(1, sizeof *cache);
    struct cache_entry *entries = calloc(CACHE_ENTRIES_MAX, sizeof *entries);
    if (!cache || !entries) {
        free(entries);
        free(cache);
        return err_set(err, ERR_NO_MEMORY, "no memory for the compile cache");
    }
    *cache = (struct cache){.loop = loop, .age_ns = limits->age_ns, .timer.fd = -1, .mount = -1};
    cache->index = (struct cache_index){.entries = entries,
                                        .max_count = CACHE_ENTRIES_MAX,
                                        .max_bytes = limits->bytes,
                                        .max_project_entries = limits->project_entries};
    /* The index keeps within its bytes; the mount's own bound is the second wall. */
    cache->mount = mounts_tmpfs(limits->bytes, limits->bytes / 1024 + CACHE_ENTRIES_MAX, 0700, err);
    if (cache->mount < 0 || watch_timer(cache, err) != 0) {
        cache_close(cache);
        return -1;
    }
    *out = cache;
    return 0;
}

void cache_close(struct cache *cache)
{
    if (!cache)
        return;
    while (cache->index.count > 0)
        drop(cache, cache->index.entries);
    int timer = cache->timer.fd;
    loop_remove(cache->loop, &cache->timer);
    cleanup_fd(&timer);
    cleanup_fd(&cache->mount);
    free(cache->index.entries);
    free(cache);
}

uint64_t cache_epoch(const struct cache *cache)
{
    return cache ? cache->epoch : 0;
}

void cache_ticket_done(struct cache_ticket *ticket)
{
    if (ticket->key.data)
        explicit_bzero(ticket->key.data, ticket->key.cap);
    buf_done(&ticket->key);
}

static void add_text(struct buf *out, const char *text)
{
    buf_add(out, text, strlen(text) + 1);
}

static void add_file(struct buf *out, const char *path)
{
    struct stat st = {0};
    add_text(out, path);
    if (stat(path, &st) != 0)
        return buf_puts(out, "none");
    uint64_t identity[] = {st.st_dev,
                           st.st_ino,
                           (uint64_t)st.st_size,
                           (uint64_t)st.st_mtim.tv_sec,
                           (uint64_t)st.st_mtim.tv_nsec,
                           (uint64_t)st.st_ctim.tv_sec,
                           (uint64_t)st.st_ctim.tv_nsec};
    buf_add(out, identity, sizeof identity);
}

/* The tools' files may be replaced while the launcher runs: what was compiled before is then as
 * good as of another compiler. */
static void describe(const struct toolchain *toolchain, struct buf *out)
{
    const struct toolchain_phase *compile = &toolchain->compile;
    add_text(out, toolchain->version);
    for (size_t i = 0; compile->steps[i]; i++) {
        for (const char *const *word = compile->steps[i]; *word; word++)
            add_text(out, *word);
        add_file(out, compile->steps[i][0]);
    }
    for (const char *const *word = compile->env; *word; word++)
        add_text(out, *word);
    for (const char *const *path = compile->binds; *path; path++)
        add_file(out, *path);
    add_file(out, PACKAGES);
}

bool cache_ask(struct cache *cache, const struct toolchain *toolchain, const struct limits *limits,
               const struct cache_source *sources, size_t count, struct cache_ticket *ticket)
{
    if (!cache)
        return false;
    BUF_AUTO struct buf tools;
    buf_init(&tools, 16384);
    describe(toolchain, &tools);
    struct cache_request request = {.language = toolchain->language,
                                    .limits = limits,
                                    .toolchain = buf_span(&tools),
                                    .sources = sources,
                                    .source_count = count};
    buf_init(&ticket->key, CACHE_KEY_BYTES);
    if (!tools.failed && cache_timeless(&request))
        cache_key(&request, &ticket->key);
    if (ticket->key.failed || tools.failed)
        cache_ticket_done(ticket);
    return ticket->key.len > 0;
}

static bool same(const struct harvested *a, const struct harvested *b)
{
    return a->files == b->files && a->bytes == b->bytes && a->sum == b->sum;
}

int cache_take(struct cache *cache, const struct cache_ticket *ticket, const struct harvest *what)
{
    char name[NAME_BYTES];
    struct err refused, err = {0};
    struct harvested took = {0};
    struct cache_entry *entry = cache_find(&cache->index, &ticket->project, buf_span(&ticket->key));
    if (!entry)
        return -1;
    name_of(entry->number, name);
    AUTO_FD int dir = openat(cache->mount, name, O_RDONLY | O_DIRECTORY | O_CLOEXEC | O_NOFOLLOW);
    AUTO_FD int box = dir < 0 ? -1 : harvest(dir, what, &took, &refused, &err);
    struct harvested kept = {entry->files, entry->output_bytes, entry->sum};
    if (box >= 0 && refused.code == ERR_NONE && same(&took, &kept))
        return take_fd(&box);
    log_event(LOG_ERROR, "cache_entry_damaged",
              kv("why", box < 0 ? err.message : "its files are not what was kept"));
    drop(cache, entry);
    return -1;
}

/* The copy, found equal to what was harvested; else nothing of it stays. */
static bool keep(struct cache *cache, uint64_t number, int box_mount, const struct harvest *what,
                 const struct harvested *took)
{
    char name[NAME_BYTES];
    struct err err = {0};
    struct harvested copied = {0};
    name_of(number, name);
    AUTO_FD int dir = -1;
    if (mkdirat(cache->mount, name, 0700) == 0 &&
        (dir = openat(cache->mount, name, O_RDONLY | O_DIRECTORY | O_CLOEXEC)) >= 0 &&
        harvest_copy(box_mount, dir, what, &copied, &err) == 0 && same(&copied, took))
        return true;
    log_event(LOG_WARN, "cache_full", kv("why", err.message));
    remove_tree(cache->mount, name);
    return false;
}

void cache_put(struct cache *cache, struct cache_ticket *ticket, int box_mount,
               const struct harvest *what, const struct harvested *took)
{
    struct span text = buf_span(&ticket->key);
    struct cache_entry entry = {.project = ticket->project,
                                .text_len = text.len,
                                .number = cache->numbers,
                                .bytes = took->bytes + text.len + sizeof entry,
                                .output_bytes = took->bytes,
                                .files = took->files,
                                .sum = took->sum,
                                .stored_ns = loop_now_ns()};
    if (ticket->epoch != cache->epoch || !cache_worth(&cache->index, entry.bytes) ||
        cache_find(&cache->index, &entry.project, text))
        return;
    for (struct cache_entry *victim;
         (victim = cache_victim(&cache->index, &entry.project, entry.bytes));)
        drop(cache, victim);
    entry.text = malloc(text.len);
    if (!entry.text || !keep(cache, cache->numbers++, box_mount, what, took))
        return free(entry.text);
    memcpy(entry.text, text.data, text.len);
    cache_add(&cache->index, &entry);
    if (cache->index.count == 1)
        arm(cache);
}

uint64_t cache_forget(struct cache *cache, const struct uuid *project)
{
    uint64_t count = 0;
    if (!cache)
        return 0;
    cache->epoch++;
    for (size_t i = cache->index.count; i-- > 0;) /* removing moves the last one into a hole */
        if (uuid_eq(&cache->index.entries[i].project, project)) {
            drop(cache, &cache->index.entries[i]);
            count++;
        }
    return count;
}
