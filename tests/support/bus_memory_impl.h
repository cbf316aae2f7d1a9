/* What the files of the bus in memory share: the log itself, and what is to fail next. */
#pragma once
#include "tests/support/bus_memory.h"

#define PARTITIONS 24

struct stored {
    struct record rec; /* owned copies */
    uint64_t written;  /* order over all partitions */
};
struct log {
    struct stored **records;
    size_t count;
    int64_t position, committed; /* the one consumer's */
    bool paused;
};
struct report {
    struct delivery delivery;
    struct report *next;
};
struct failure {
    size_t count;
    enum err_code code;
};
struct consumer {
    struct consumer_hooks hooks;
    bool reads[TOPIC_COUNT], assigned;
    enum { CALM, REVOKE, ASSIGN } pending;
    bool lost, tail;
    int fd;
};
struct producer {
    delivery_fn *on_delivery;
    void *owner;
    struct report *first, **last;
    int fd;
};

extern struct log logs[TOPIC_COUNT][PARTITIONS];
extern struct failure deliveries, polls, commits, topics_fail;
extern bool commits_held, held; /* answers of commits; acknowledgements */
#define TAILS 4
extern struct consumer *current, *tails[TAILS]; /* the group's, and those without a group */
extern struct producer *current_producer;
extern size_t open_records;

int fails(struct failure *failure, const char *what, struct err *err);
void wake(int fd);
void calm(int fd);
