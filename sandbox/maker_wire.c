/* The words of a body: each ends in NUL, an empty one ends a list, and a list ends the lists; first
 * the command's steps, then the environment. No word of a toolchain is empty. */
#include "sandbox/maker_wire.h"
#include "lib/base/strict.h"
#include <string.h>

static int add_bytes(char *body, size_t *used, const void *bytes, size_t count)
{
    if (count > MAKER_BODY_BYTES - *used)
        return -1;
    memcpy(body + *used, bytes, count);
    *used += count;
    return 0;
}

static int add_list(char *body, size_t *used, const char *const *words)
{
    for (; *words; words++)
        if (**words == '\0' || add_bytes(body, used, *words, strlen(*words) + 1) != 0)
            return -1;
    return add_bytes(body, used, "", 1);
}

static int add_words(char *body, size_t *used, const struct toolchain_phase *commands)
{
    for (size_t i = 0; commands->steps[i]; i++)
        if (add_list(body, used, commands->steps[i]) != 0)
            return -1;
    if (add_bytes(body, used, "", 1) != 0)
        return -1;
    return add_list(body, used, commands->env);
}

int maker_pack(const struct child_spec *spec, struct maker_order *order,
               char body[MAKER_BODY_BYTES], size_t *body_bytes, int fds[MAKER_FDS_MAX],
               size_t *fd_count, struct err *err)
{
    const struct sock_fprog *prog = &spec->filter->prog;
    size_t filter_bytes = prog->len * sizeof prog->filter[0];
    *order = (struct maker_order){.limits = spec->limits,
                                  .uid = spec->uid,
                                  .layers = spec->layers,
                                  .landlock_abi = spec->landlock_abi,
                                  .instructions = prog->len,
                                  .tmp = spec->tmp_mount >= 0,
                                  .shm = spec->shm_mount >= 0,
                                  .stays = spec->last_pid >= 0,
                                  .compile = spec->compile,
                                  .template = spec->template};
    *body_bytes = 0;
    if (strlen(spec->source) >= sizeof order->source || prog->len > MAKER_FILTER_MAX ||
        add_bytes(body, body_bytes, prog->filter, filter_bytes) != 0 ||
        add_words(body, body_bytes, spec->commands) != 0)
        return err_set(err, ERR_BUG, "a command or its filter is too long for an order");
    order->words_bytes = (uint32_t)(*body_bytes - filter_bytes);
    memcpy(order->source, spec->source, strlen(spec->source) + 1);
    fds[MAKER_ROOT] = spec->root_ns;
    const int more[] = {spec->tmp_mount, spec->shm_mount, spec->last_pid};
    *fd_count = MAKER_MORE;
    for (size_t i = 0; i < COUNT_OF(more); i++)
        if (more[i] >= 0)
            fds[(*fd_count)++] = more[i];
    return 0;
}

struct words {
    const char *at, *end;
    const char **free, **last; /* of the room */
};

/* The next list; NULL: torn. An empty one ends the lists. */
static const char *const *next_list(struct words *words)
{
    const char **list = words->free;
    for (;;) {
        if (words->free == words->last || words->at == words->end)
            return NULL;
        const char *word = words->at;
        words->at = memchr(word, '\0', (size_t)(words->end - word));
        if (!words->at++)
            return NULL;
        *words->free++ = *word ? word : NULL;
        if (!*word)
            return list;
    }
}

static int take_words(struct words *words, struct toolchain_phase *out)
{
    const char *const *list;
    for (size_t i = 0; (list = next_list(words)) && *list; out->steps[i++] = list)
        if (i == TOOLCHAIN_STEPS_MAX)
            return -1;
    out->env = list ? next_list(words) : NULL;
    return out->steps[0] && out->env && words->at == words->end ? 0 : -1;
}

int maker_unpack(const struct maker_order *order, const char *body, size_t body_bytes,
                 const int *fds, size_t fd_count, struct maker_room *room, struct child_spec *out)
{
    size_t filter_bytes = order->instructions * sizeof(struct sock_filter);
    struct words words = {body + filter_bytes, body + body_bytes, room->words,
                          room->words + MAKER_WORDS_MAX};
    room->commands = (struct toolchain_phase){.family = FILTER_NATIVE};
    size_t more = MAKER_MORE;
    int tmp = order->tmp ? (int)more++ : -1;
    int shm = order->shm ? (int)more++ : -1, last_pid = order->stays ? (int)more++ : -1;
    if (order->instructions > MAKER_FILTER_MAX || fd_count != more ||
        body_bytes != filter_bytes + order->words_bytes || take_words(&words, &room->commands) != 0)
        return -1;
    room->filter.prog = (struct sock_fprog){.len = (unsigned short)order->instructions,
                                            .filter = (void *)(uintptr_t)body};
    room->group = (struct cgroup){CGROUP_NONE};
    memset(room->at, 0, sizeof room->at);
    *out = (struct child_spec){.root_ns = fds[MAKER_ROOT],
                               .sync_fd = -1,
                               .stdin_fd = -1,
                               .stdout_fd = -1,
                               .stderr_fd = -1,
                               .tmp_mount = tmp < 0 ? -1 : fds[tmp],
                               .shm_mount = shm < 0 ? -1 : fds[shm],
                               .last_pid = last_pid < 0 ? -1 : fds[last_pid],
                               .group = &room->group,
                               .commands = &room->commands,
                               .filter = &room->filter,
                               .source = order->source,
                               .compile = order->compile,
                               .limits = order->limits,
                               .uid = order->uid,
                               .landlock_abi = order->landlock_abi,
                               .at = room->at,
                               .template = order->template,
                               .layers = order->layers};
    return 0;
}
