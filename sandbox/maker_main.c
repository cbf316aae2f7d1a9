/* The maker: a small static program that clones the inits of the launcher's sandboxes (maker.h).
 * An init is a copy of it, and a copy of it is cheap. It knows of no job, holds no descriptor but
 * its pair between two orders, and of root's capabilities only CAPS_SANDBOX. Its children are the
 * launcher's (CLONE_PARENT). */
#include "sandbox/maker_wire.h"
#include "sandbox/pass.h"
#include <elf.h>
#include <errno.h>
#include <linux/sched.h>
#include <signal.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/rseq.h>
#include <sys/syscall.h>
#include <unistd.h>

#define PAGE 4096UL
#define LARGE (UINT64_C(2) << 20)
#ifndef MADV_COLLAPSE
#define MADV_COLLAPSE 25 /* Linux 6.1, not yet in Debian 12's libc */
#endif

/* What a blank writes, from a page's beginning on: of most orders it touches that page alone. */
static struct {
    struct maker_order order;
    struct maker_room room;
    char body[MAKER_BODY_BYTES] __attribute__((aligned(8)));
} own __attribute__((aligned(PAGE)));

/* Its first and only order; the launcher gone or a torn one: it goes too. */
static _Noreturn void be_blank(int pair, uint32_t layers)
{
    struct iovec parts[] = {{&own.order, sizeof own.order}, {own.body, sizeof own.body}};
    int fds[MAKER_FDS_MAX];
    size_t fd_count = MAKER_FDS_MAX;
    struct child_spec spec;
    const int32_t here = 0;
    prctl(PR_SET_PDEATHSIG, SIGKILL);
    prctl(PR_SET_DUMPABLE, 0);
    prctl(PR_SET_NAME, "blank");
    close(MAKER_SOCKET);
    if (write(pair, &here, sizeof here) != (ssize_t)sizeof here)
        _exit(126);
    child_blank(pair, layers);
    ssize_t got = pass_receive(pair, parts, 2, fds, &fd_count);
    if (got < (ssize_t)sizeof own.order ||
        maker_unpack(&own.order, own.body, (size_t)got - sizeof own.order, fds, fd_count, &own.room,
                     &spec) != 0)
        _exit(126);
    spec.sync_fd = pair;
    child_init(&spec);
}

static void make(uint32_t layers, int pair)
{
    struct clone_args args = {.flags = CLONE_PARENT | CLONE_CLEAR_SIGHAND |
                                       (layers & LAYER_PID ? 0 : CLONE_NEWPID)};
    long pid = syscall(SYS_clone3, &args, sizeof args);
    if (pid == 0)
        be_blank(pair, layers);
    const int32_t error = errno;
    if (pid < 0 && write(pair, &error, sizeof error) < 0)
        return; /* the launcher is gone, as the next order will show */
}

/* The end of what nobody writes: the linker puts that first, without a gap. */
static size_t constant_bytes(const Elf64_Ehdr *image)
{
    const Elf64_Phdr *part = (const Elf64_Phdr *)((const char *)image + image->e_phoff);
    uint64_t end = 0;
    for (int i = 0; i < image->e_phnum; i++)
        if (part[i].p_type == PT_LOAD && !(part[i].p_flags & PF_W) && part[i].p_vaddr <= end)
            end = (part[i].p_vaddr + part[i].p_memsz + PAGE - 1) / PAGE * PAGE;
    return end;
}

/* A copy of a process meets a fault for each stretch of a file that it runs, and none for anonymous
 * memory, whose pages are copied and given back together where they are parts of a large one. So
 * the maker moves its code and constants, which are no secret and are written by nobody, into one
 * such page and that to where they were. Without it, all stays as it is. */
static void gather(void)
{
    extern const Elf64_Ehdr __ehdr_start __attribute__((visibility("hidden")));
    char *image = (char *)(uintptr_t)&__ehdr_start;
    size_t bytes = constant_bytes(&__ehdr_start);
    char *space = mmap(NULL, 2 * LARGE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (space == MAP_FAILED)
        return;
    char *page = space + (LARGE - (uintptr_t)space % LARGE) % LARGE;
    if (bytes <= LARGE) {
        memcpy(page, image, bytes);
        if (madvise(page, LARGE, MADV_COLLAPSE) == 0 &&
            mprotect(page, bytes, PROT_READ | PROT_EXEC) == 0 &&
            mremap(page, bytes, bytes, MREMAP_MAYMOVE | MREMAP_FIXED, image) != image)
            _exit(126); /* where it was there may be nothing any more */
    }
    munmap(space, 2 * LARGE);
}

/* The kernel would write to this area in every copy after every switch, which would make the page
 * it lies in be copied. Nobody here asks on which processor it is. */
static void leave_rseq(void)
{
    syscall(SYS_rseq, (char *)__builtin_thread_pointer() + __rseq_offset, sizeof(struct rseq),
            RSEQ_FLAG_UNREGISTER, RSEQ_SIG);
}

int main(void)
{
    gather();
    leave_rseq();
    prctl(PR_SET_PDEATHSIG, SIGKILL);
    prctl(PR_SET_DUMPABLE, 0);
    prctl(PR_SET_NAME, "maker");
    for (;;) {
        uint32_t layers;
        int pair;
        size_t fd_count = 1;
        struct iovec part = {&layers, sizeof layers};
        if (pass_receive(MAKER_SOCKET, &part, 1, &pair, &fd_count) != (ssize_t)sizeof layers)
            return 0;
        make(layers, pair);
        close(pair);
    }
}
