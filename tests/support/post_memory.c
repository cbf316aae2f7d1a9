/* See post_memory.h. */
#include "tests/support/post_memory.h"
#include "lib/base/strict.h"
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <unistd.h>

#define POSTS_MAX 20000
#define RULES_MAX 32

struct post {
    size_t number;
};

struct poster {
    post_done_fn *done;
    void *owner;
    const struct clock *clock;
    int fd;
};

static struct post_memory_seen *posts[POSTS_MAX];
static struct post handles[POSTS_MAX];
static size_t count, rule_count;
static struct {
    char text[64], retry_after[64];
    enum post_end end;
    unsigned status;
    size_t most;
} rules[RULES_MAX];
static struct {
    char text[64];
    size_t flying, most;
} counts[RULES_MAX];

void post_memory_reset(void)
{
    for (size_t i = 0; i < count; i++)
        free(posts[i]);
    count = rule_count = 0;
    memset(rules, 0, sizeof rules);
    memset(counts, 0, sizeof counts);
}

void post_memory_rule(const char *text, enum post_end end, unsigned status, const char *retry_after)
{
    CHECK(rule_count < RULES_MAX);
    snprintf(rules[rule_count].text, sizeof rules[0].text, "%s", text);
    snprintf(rules[rule_count].retry_after, sizeof rules[0].retry_after, "%s", retry_after);
    rules[rule_count].end = end;
    rules[rule_count++].status = status;
}

size_t post_memory_count(void)
{
    return count;
}

const struct post_memory_seen *post_memory_get(size_t index)
{
    return index < count ? posts[index] : NULL;
}

size_t post_memory_flying(void)
{
    size_t flying = 0;

    for (size_t i = 0; i < count; i++)
        flying += !posts[i]->over;
    return flying;
}

static size_t *slot(const char *text, bool most)
{
    size_t i = 0;

    while (counts[i].text[0] && strcmp(counts[i].text, text) != 0)
        i++;
    CHECK(i < RULES_MAX);
    snprintf(counts[i].text, sizeof counts[i].text, "%s", text);
    return most ? &counts[i].most : &counts[i].flying;
}

size_t post_memory_most(const char *text)
{
    return *slot(text, true);
}

size_t post_memory_to(const char *text)
{
    size_t found = 0;

    for (size_t i = 0; i < count; i++)
        found += strstr(posts[i]->url, text) != NULL;
    return found;
}

static void count_most(void)
{
    for (size_t c = 0; c < RULES_MAX && counts[c].text[0]; c++) {
        size_t flying = 0;
        for (size_t i = 0; i < count; i++)
            flying += !posts[i]->over && strstr(posts[i]->url, counts[c].text) != NULL;
        if (flying > counts[c].most)
            counts[c].most = flying;
    }
}

/* ---- lib/http/post.h ---- */

int post_open(const struct post_config *config, post_done_fn *done, void *owner,
              struct poster **out, struct err *err)
{
    struct poster *poster = calloc(1, sizeof *poster);

    (void)err;
    CHECK(poster != NULL);
    *poster = (struct poster){done, owner, config->clock, eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK)};
    *out = poster;
    return 0;
}

void post_close(struct poster *poster)
{
    if (!poster)
        return;
    close(poster->fd);
    free(poster);
}

static void take(const char *line, const char *name, char *out, size_t size)
{
    if (strncmp(line, name, strlen(name)) == 0)
        snprintf(out, size, "%s", line + strlen(name));
}

struct post *post_start(struct poster *poster, const struct post_request *request)
{
    struct post_memory_seen *seen = calloc(1, sizeof *seen);

    (void)poster;
    CHECK(seen && count < POSTS_MAX && request->body.len < sizeof seen->body);
    snprintf(seen->url, sizeof seen->url, "%s", request->url);
    for (size_t i = 0; request->headers[i]; i++) {
        take(request->headers[i], "webhook-id: ", seen->id, sizeof seen->id);
        take(request->headers[i], "webhook-timestamp: ", seen->timestamp, sizeof seen->timestamp);
        take(request->headers[i], "webhook-signature: ", seen->signature, sizeof seen->signature);
    }
    memcpy(seen->body, request->body.data, request->body.len);
    seen->owner = request->owner;
    handles[count].number = count;
    posts[count++] = seen;
    count_most();
    return &handles[count - 1];
}

void post_cancel(struct post *post)
{
    CHECK(!posts[post->number]->over);
    posts[post->number]->over = true;
}

int post_fd(const struct poster *poster)
{
    return poster->fd;
}

static ptrdiff_t rule_of(const struct post_memory_seen *seen)
{
    for (size_t r = rule_count; r-- > 0;)
        if (strstr(seen->url, rules[r].text))
            return (ptrdiff_t)r;
    return -1;
}

int64_t post_due_ms(const struct poster *poster)
{
    for (size_t i = 0; i < count; i++)
        if (!posts[i]->over && rule_of(posts[i]) >= 0)
            return clock_mono_ms(poster->clock);
    return INT64_MAX;
}

void post_turn(struct poster *poster)
{
    size_t until = count;

    for (size_t i = 0; i < until; i++) {
        ptrdiff_t r = posts[i]->over ? -1 : rule_of(posts[i]);
        if (r < 0)
            continue;
        struct post_answer answer = {.end = rules[r].end,
                                     .status = (uint16_t)rules[r].status,
                                     .port = 443,
                                     .address = "192.0.2.1",
                                     .latency_us = 1000};
        snprintf(answer.retry_after, sizeof answer.retry_after, "%s", rules[r].retry_after);
        posts[i]->over = true;
        poster->done(poster->owner, posts[i]->owner, &answer);
    }
}

size_t post_open_connections(const struct poster *poster)
{
    (void)poster;
    return 0;
}
