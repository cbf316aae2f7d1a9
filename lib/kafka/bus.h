/* Kafka behind three handles: producer, group consumer, tail. The only place that calls librdkafka.
 *
 * Each handle belongs to one event loop: *_fd() becomes readable when there is something to do,
 * then call *_poll(). Never fork after opening one. Fatal errors (idempotence after a possibly
 * persisted time-out, an unusable configuration) are ERR_CONFIG/ERR_BUG class fatal: the process
 * exits and is restarted; "broker away" is ERR_BROKER, class systemic. */
#pragma once
#include "lib/base/arena.h"
#include "lib/base/err.h"
#include "lib/base/span.h"

struct bus_config {
    const char *brokers;   /* host:port,... */
    const char *client_id; /* also group.instance.id of consumers: static membership */
    const char *prefix;    /* of every topic name, "rustbox." */
    int linger_ms;         /* producers: 0 where somebody waits */
    int fetch_min_bytes, fetch_wait_max_ms; /* consumers */
    int gather_ms; /* consumers: while many fetches bring little they come so far apart; 0 = never
                    */
    int queued_max_kbytes;  /* consumers: what may be prefetched */
    int message_timeout_ms; /* producers: 300000 (delivery.md rule 6) unless a test says otherwise
                             */
};

struct bus_header {
    const char *name;
    struct span value;
};
#define BUS_HEADERS_MAX 32

/* ---- producer: idempotent, acks=all ---- */
struct producer;
struct delivery { /* what became of one record */
    void *opaque;
    struct err err; /* code ERR_NONE: acknowledged */
    int32_t partition;
    int64_t offset;
};
typedef void delivery_fn(void *owner, const struct delivery *delivery);

int producer_open(const struct bus_config *config, delivery_fn *on_delivery, void *owner,
                  struct producer **out, struct err *err) MUST_CHECK;
void producer_close(struct producer *producer); /* waits for nothing: flush first */
/* Copies everything. Topic without prefix. ERR_BUSY: local queue full, poll and retry. */
int producer_send(struct producer *producer, const char *topic, int32_t partition, struct span key,
                  const struct bus_header *headers, size_t header_count, struct span value,
                  void *opaque, struct err *err) MUST_CHECK;
int producer_fd(struct producer *producer);
int producer_poll(struct producer *producer,
                  int timeout_ms); /* calls on_delivery; returns how many */
int producer_flush(struct producer *producer, int timeout_ms, struct err *err) MUST_CHECK;
/* End offsets of all partitions in one request (0.2 ms): only on a handle that does not consume. */
int producer_end_offsets(struct producer *producer, const char *topic, int32_t partitions,
                         int64_t *ends, int timeout_ms, struct err *err) MUST_CHECK;
int producer_begin_offsets(struct producer *producer, const char *topic, int32_t partitions,
                           int64_t *begins, int timeout_ms, struct err *err) MUST_CHECK;
/* The first record at or after that time (LogAppendTime); -1 = there is none yet. */
int producer_offsets_at(struct producer *producer, const char *topic, int32_t partitions,
                        int64_t time_ms, int64_t *offsets, int timeout_ms,
                        struct err *err) MUST_CHECK;
/* Produces a probe record to each topic, so that later first sends do not wait 1 s for metadata.
 * Probes have the header type = BUS_PROBE_TYPE, key "probe" and no value; every reader drops them
 * (record_is_probe). */
#define BUS_PROBE_TYPE "probe/1"
int producer_warm(struct producer *producer, const char *const *topics, size_t count,
                  int timeout_ms, struct err *err) MUST_CHECK;

/* ---- a record as read ---- */
struct record {
    const char *topic; /* without prefix */
    int32_t partition;
    int64_t offset;
    int64_t timestamp_ms; /* LogAppendTime: the broker's */
    struct span key, value;
    struct bus_header headers[BUS_HEADERS_MAX];
    size_t header_count; /* more headers than the maximum: BUS_HEADERS_MAX + 1, unreadable */
    void *handle;        /* the library's message; give back with record_done */
};
void record_done(struct record *record);
bool record_is_probe(const struct record *record);

/* ---- group consumer: eager assignor, static membership, offsets committed by hand ---- */
struct consumer;
struct partition_at {
    const char *topic;
    int32_t partition;
    int64_t
        offset; /* where to begin; BUS_COMMITTED = the group's committed offset, else earliest */
};
#define BUS_COMMITTED (-1)
#define BUS_EARLIEST (-2)

/* on_assign may change parts[i].offset (offsets from the database). An error leaves the partitions
 * unread and is returned by consumer_poll; every further consumer_poll calls on_assign again. count
 * may be 0. on_revoke comes before the loss takes effect: the hook may still commit unless `lost`.
 * It follows only an on_assign that succeeded, and does not come from consumer_close. */
struct consumer_hooks {
    int (*on_assign)(void *owner, struct partition_at *parts, size_t count, struct err *err);
    void (*on_revoke)(void *owner, const struct partition_at *parts, size_t count, bool lost);
    void *owner;
};

int consumer_open(const struct bus_config *config, const char *group, const char *const *topics,
                  size_t topic_count, const struct consumer_hooks *hooks, struct consumer **out,
                  struct err *err) MUST_CHECK;
/* A consumer without a group that reads all partitions of a topic from given offsets (a tail). */
int tail_open(const struct bus_config *config, const struct partition_at *parts, size_t count,
              struct consumer **out, struct err *err) MUST_CHECK;
/* Keeps static membership: no leave. Give every record back first: the library waits for them for
 * ever. */
void consumer_close(struct consumer *consumer);
/* True: somebody waits for what it reads, nothing is gathered (gather_ms) until it is false. */
void consumer_hurry(struct consumer *consumer, bool hurry);
/* Becomes readable when records or events wait; then call consumer_poll until it returns 0. */
int consumer_fd(struct consumer *consumer);
/* 1 = a record (record_done it), 0 = none within timeout_ms, -1 = error. A lost connection is no
 * error: the library mends it. ERR_CONFIG: an offset outside of the log, a fenced instance id, no
 * right to the topic. */
int consumer_poll(struct consumer *consumer, int timeout_ms, struct record *out,
                  struct err *err) MUST_CHECK;
int consumer_seek(struct consumer *consumer, const struct partition_at *to, size_t count,
                  struct err *err) MUST_CHECK;
/* topic NULL: the whole assignment. A paused partition drops what was prefetched and fetches it
 * again later. */
int consumer_pause(struct consumer *consumer, const char *topic, int32_t partition,
                   struct err *err) MUST_CHECK;
int consumer_resume(struct consumer *consumer, const char *topic, int32_t partition,
                    struct err *err) MUST_CHECK;
/* Commit of next offsets to the group; waits for the answer, at most 3 s. ERR_BUSY: the group is
 * rebalancing and the offsets were not taken. */
int consumer_commit(struct consumer *consumer, const struct partition_at *next, size_t count,
                    struct err *err) MUST_CHECK;
/* The same without waiting; one at a time. The answer comes from consumer_commit_answer: 1 = taken,
 * 0 = none yet, -1 = not taken, or no answer within 3 s. A commit that waits may follow at any
 * time: the answer of the open one is then dropped. */
int consumer_commit_start(struct consumer *consumer, const struct partition_at *next, size_t count,
                          struct err *err) MUST_CHECK;
int consumer_commit_answer(struct consumer *consumer, struct err *err) MUST_CHECK;
/* A group seen from outside, for whoever asks again and again (1 ms once it is connected). */
struct group;
int group_open(const struct bus_config *config, const char *name, struct group **out,
               struct err *err) MUST_CHECK;
void group_close(struct group *group);
int group_committed(struct group *group, const char *topic, int32_t partitions, int64_t *offsets,
                    int timeout_ms, struct err *err) MUST_CHECK;
/* The group's committed offsets, asked once, for balance and status; -1 where none. */
int bus_committed(const struct bus_config *config, const char *group, const char *topic,
                  int32_t partitions, int64_t *offsets, int timeout_ms, struct err *err) MUST_CHECK;

/* ---- topics ---- */
struct topic_want {
    const char *name; /* without prefix */
    int32_t partitions;
    int64_t retention_ms;
    bool compact, flush_each_message;
};
/* Whether a broker answers at all: what asks for more has to be patient with a slow disk. */
int bus_there(const struct bus_config *config, int timeout_ms, struct err *err) MUST_CHECK;
/* Creates what is missing (LogAppendTime, 4 MiB records, the broker's default replication) and
 * mends the settings of what is there. A topic with fewer or more partitions than wanted is
 * ERR_CONFIG: the number is permanent. */
int bus_topics_create(const struct bus_config *config, const struct topic_want *wants, size_t count,
                      int timeout_ms, struct err *err) MUST_CHECK;
/* Deletes the records below ends[p] of each partition. */
int bus_topic_purge(const struct bus_config *config, const char *topic, const int64_t *ends,
                    int32_t partitions, int timeout_ms, struct err *err) MUST_CHECK;
/* ERR_CONFIG names topic, setting, wanted and found value, and the command that mends it. */
int bus_topics_check(const struct bus_config *config, const struct topic_want *wants, size_t count,
                     int timeout_ms, struct err *err) MUST_CHECK;
