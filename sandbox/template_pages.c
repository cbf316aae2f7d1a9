/* What a fork costs is mostly its page tables: an entry for each page that is copied when it begins
 * and given back when it ends, a fault for each stretch of a file that it runs, and both for each
 * mapping. Pages of one large folio are copied and given back together, anonymous memory needs no
 * fault to be read, and neighbours of one kind can be one mapping. So the template copies all that
 * it is, the interpreter's and the libraries' code too, into such memory and moves that to where it
 * was. Read-only data becomes executable where code is beside it: a program here may make any of
 * its memory executable anyway.
 *
 * Between the first byte copied and the last mapping moved nothing may change what is copied: no
 * call is made, also not of libc, and all variables are on the stack, which stays where it is. */
#include "sandbox/template_pages.h"
#include "lib/base/cleanup.h"
#include <errno.h>
#include <fcntl.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/mount.h>
#include <sys/syscall.h>
#include <unistd.h>

#define LARGE (UINT64_C(2) << 20)
#define GROUPS_MAX 96
#define CLUSTERS_MAX 8
#define MAPS_BYTES (24 * 1024)
#ifndef MADV_COLLAPSE
#define MADV_COLLAPSE 25 /* Linux 6.1, not yet in Debian 12's libc */
#endif

/* Mappings that touch and can be one: all of them writable, or none. */
struct group {
    uint64_t start, end;
    int prot;
    bool changed; /* has pages of its own */
};

/* Groups that are near each other, and the new memory that will be theirs. */
struct cluster {
    uint64_t start, end;      /* of the old ones, in whole large pages */
    uint64_t room, bytes, at; /* what was mapped; where in it the cluster's start is */
};

struct layout {
    struct group groups[GROUPS_MAX];
    struct cluster clusters[CLUSTERS_MAX];
    size_t group_count, cluster_count;
};

/* A root of jobs has no /proc, so one is made that is mounted nowhere. */
static int open_maps(void)
{
    AUTO_FD int context = fsopen("proc", FSOPEN_CLOEXEC);
    if (context < 0 || fsconfig(context, FSCONFIG_CMD_CREATE, NULL, NULL, 0) != 0)
        return -1;
    AUTO_FD int mount = fsmount(context, FSMOUNT_CLOEXEC, 0);
    return mount < 0 ? -1 : openat(mount, "self/maps", O_RDONLY | O_CLOEXEC);
}

/* The kernel's own, the stack and what is shared stay. */
static bool stays(const char *prot, const char *name)
{
    return prot[3] == 's' || prot[0] != 'r' || (name[0] == '[' && strncmp(name, "[heap]", 6) != 0);
}

/* false = more groups than there is room for. */
static bool add_mapping(struct layout *layout, const char *line)
{
    unsigned long long start, end;
    unsigned long inode;
    char prot[8];
    int name = 0;
    if (sscanf(line, "%llx-%llx %7s %*s %*s %lu %n", &start, &end, prot, &inode, &name) != 4 ||
        stays(prot, line + name))
        return true;
    bool writable = prot[1] == 'w';
    int flags = PROT_READ | (writable ? PROT_WRITE : 0) | (prot[2] == 'x' ? PROT_EXEC : 0);
    struct group *last = layout->group_count ? &layout->groups[layout->group_count - 1] : NULL;
    if (last && last->end == start && writable == ((last->prot & PROT_WRITE) != 0)) {
        last->end = end;
        last->prot |= flags;
        last->changed |= inode == 0;
        return true;
    }
    if (layout->group_count == GROUPS_MAX)
        return false;
    layout->groups[layout->group_count++] =
        (struct group){.start = start, .end = end, .prot = flags, .changed = inode == 0};
    return true;
}

/* A file's data that nobody changed and nobody executes is as cheap where it is. */
static void leave_plain_files(struct layout *layout)
{
    size_t kept = 0;
    for (size_t i = 0; i < layout->group_count; i++)
        if (layout->groups[i].changed || (layout->groups[i].prot & (PROT_WRITE | PROT_EXEC)))
            layout->groups[kept++] = layout->groups[i];
    layout->group_count = kept;
}

static bool find_groups(struct layout *layout, char *text)
{
    size_t got = 0;
    AUTO_FD int maps = open_maps();
    if (maps < 0)
        return false;
    for (ssize_t n; got < MAPS_BYTES - 1 && (n = read(maps, text + got, MAPS_BYTES - 1 - got)) != 0;
         got += (size_t)n)
        if (n < 0)
            return false;
    if (got == MAPS_BYTES - 1)
        return false;
    text[got] = '\0';
    for (char *line = text, *end; *line; line = end + 1) {
        end = strchr(line, '\n');
        if (!end)
            return false;
        *end = '\0';
        if (!add_mapping(layout, line))
            return false;
    }
    leave_plain_files(layout);
    return true;
}

/* Room whose distance to the old place is a number of whole large pages. */
static bool make_room(struct cluster *cluster)
{
    cluster->bytes = cluster->end - cluster->start + LARGE;
    void *room =
        mmap(NULL, cluster->bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (room == MAP_FAILED)
        return false;
    cluster->room = (uint64_t)(uintptr_t)room;
    cluster->at = (cluster->room + LARGE - 1) / LARGE * LARGE;
    return true;
}

static bool find_clusters(struct layout *layout)
{
    struct cluster *now = NULL;
    for (size_t i = 0; i < layout->group_count; i++) {
        const struct group *group = &layout->groups[i];
        uint64_t end = (group->end + LARGE - 1) / LARGE * LARGE;
        if (now && group->start < now->end + LARGE) {
            now->end = end;
            continue;
        }
        if (layout->cluster_count == CLUSTERS_MAX)
            return false;
        now = &layout->clusters[layout->cluster_count++];
        *now = (struct cluster){.start = group->start / LARGE * LARGE, .end = end};
    }
    return true;
}

static inline __attribute__((always_inline)) long call(long number, uint64_t a, uint64_t b,
                                                       uint64_t c, uint64_t d, uint64_t e)
{
    register uint64_t r10 __asm__("r10") = d;
    register uint64_t r8 __asm__("r8") = e;
    long result;
    __asm__ volatile("syscall"
                     : "=a"(result)
                     : "0"(number), "D"(a), "S"(b), "d"(c), "r"(r10), "r"(r8)
                     : "rcx", "r11", "memory");
    return result;
}

static inline __attribute__((always_inline)) void copy(uint64_t to, uint64_t from, uint64_t bytes)
{
    __asm__ volatile("rep movsb" : "+D"(to), "+S"(from), "+c"(bytes) : : "memory");
}

static inline __attribute__((always_inline)) uint64_t new_place(const struct layout *layout,
                                                                const struct group *group)
{
    for (size_t i = 0; i < layout->cluster_count; i++)
        if (group->start >= layout->clusters[i].start && group->start < layout->clusters[i].end)
            return layout->clusters[i].at + (group->start - layout->clusters[i].start);
    return 0;
}

/* See the head of the file: nothing but the stack is written here, but for the copy. */
static bool move_all(const struct layout *layout)
{
    for (size_t i = 0; i < layout->group_count; i++)
        copy(new_place(layout, &layout->groups[i]), layout->groups[i].start,
             layout->groups[i].end - layout->groups[i].start);
    for (size_t i = 0; i < layout->cluster_count; i++) {
        const struct cluster *cluster = &layout->clusters[i];
        if (call(SYS_madvise, cluster->at, cluster->end - cluster->start, MADV_COLLAPSE, 0, 0) != 0)
            return false;
    }
    for (size_t i = 0; i < layout->group_count; i++) {
        const struct group *group = &layout->groups[i];
        uint64_t bytes = group->end - group->start, from = new_place(layout, group);
        if (call(SYS_mprotect, from, bytes, (uint64_t)group->prot, 0, 0) != 0 ||
            call(SYS_mremap, from, bytes, bytes, MREMAP_MAYMOVE | MREMAP_FIXED, group->start) !=
                (long)group->start)
            call(SYS_exit_group, 1, 0, 0, 0, 0);
    }
    return true;
}

/* What is left of the room, the gaps between groups. */
static void give_back(const struct layout *layout)
{
    for (size_t i = 0; i < layout->cluster_count; i++)
        if (layout->clusters[i].room)
            munmap((void *)(uintptr_t)layout->clusters[i].room, layout->clusters[i].bytes);
}

bool template_pages_gather(void)
{
    struct layout layout = {.group_count = 0};
    char *text = malloc(MAPS_BYTES);
    bool done = text && find_groups(&layout, text) && find_clusters(&layout);
    for (size_t i = 0; i < layout.cluster_count && done; i++)
        done = make_room(&layout.clusters[i]);
    done = done && move_all(&layout);
    give_back(&layout);
    free(text);
    return done;
}
