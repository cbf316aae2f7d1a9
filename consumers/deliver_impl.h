/* What the files of deliver share; nobody else includes it. */
#pragma once
#include "consumers/deliver_rules.h"
#include "consumers/deliver_seen.h"
#include "consumers/stage_util.h"
#include "lib/http/post.h"

#define IN_HAND_MAX 4096 /* records taken and not finished */
#define SIGNATURE_MAX 1024

struct job; /* one record in hand */

struct endpoint { /* one for each endpoint that there is */
    struct uuid id, project;
    uint32_t version;
    bool deleted;
    uint32_t sealed_len;
    uint8_t *sealed;
    struct live *live;
    struct endpoint *next;
};

struct job_list {
    struct job *first, *last;
    size_t count;
};

/* An endpoint that has something to do, had a moment ago, or is in trouble. */
struct live {
    struct endpoint *endpoint;
    struct project *project;
    struct webhook_endpoint *doc; /* opened; NULL = not yet */
    uint32_t doc_version;
    struct rules_breaker breaker;
    struct rules_cap cap;
    size_t in_flight;
    struct job_list waiting;
    bool startable; /* in its project's list */
    int64_t idle_ms;
    struct live *next_startable;
    struct live *next, **self;
};

struct project {
    struct rules_share share; /* first: a share's address is its project's */
    struct uuid id;
    struct live *startable, **startable_last;
    size_t lives;
    struct project *next;
};

struct job {
    struct ticket *ticket;
    const struct record *rec;
    struct envelope env;
    enum topic topic;
    int32_t partition;
    int64_t offset;
    struct live *live; /* NULL: its endpoint is not known yet */
    struct post *post; /* in flight; not NULL until the job is gone */
    bool over;         /* the post has ended */
    struct buf body;
    int64_t taken_ms, at_ms; /* monotonic; wall, of the attempt */
    int64_t begun_ms;        /* monotonic */
    bool fresh;
    struct job *next, *previous;                 /* of its endpoint's waiting list, or of unknown */
    struct job *next_patient, *previous_patient; /* all that wait, the oldest first */
    bool patient;
};

/* The two topics that are read besides the inputs. */
struct tail {
    struct consumer *consumer;
    int32_t partitions;
    int64_t *next, *until; /* offsets */
    bool reached;
    int64_t quiet_ms; /* monotonic: of the last record, or of the question for `until` */
};

#define ENDPOINT_BUCKETS 65536
#define PROJECT_BUCKETS 1024

struct deliver {
    const struct stage_env *env;
    struct keystore *ks;
    struct signing signing;
    struct secret webhooks;
    struct address_policy policy;
    struct poster *poster;
    struct producer *asker; /* for offsets alone */
    int epoll_fd;
    size_t most, endpoint_most;
    unsigned breaker_failures;
    struct err failed; /* of a callback */
    bool stopping, dirty;
    /* endpoints */
    struct tail endpoints_tail;
    bool endpoints_read;         /* once, up to where they ended at the start */
    struct endpoint **endpoints; /* ENDPOINT_BUCKETS */
    size_t endpoint_count;
    struct live *lives;
    struct project *projects[PROJECT_BUCKETS];
    struct project **ready; /* those with something startable */
    size_t ready_count, ready_cap;
    uint64_t served;
    /* attempts of the past */
    struct seen *seen;
    struct tail past;
    int64_t past_from_ms, past_wanted_ms, past_reading_ms; /* Unix time */
    /* jobs */
    size_t in_hand, in_flight;
    struct rules_window window;
    size_t unacked, fresh;   /* ended, not acknowledged; under way for a moment */
    int64_t acked_ms;        /* monotonic: of the last acknowledgement; unacked was 0 before */
    struct job *first_fresh; /* in flying, which is in order of start */
    bool full;
    struct job_list unknown, flying;
    bool unknown_asked;
    struct job *patient_first, *patient_last;
    struct job *free_jobs;
    int64_t swept_ms;
    struct buf text, signature;
};

int64_t deliver_mono_ms(const struct deliver *d);
int64_t deliver_wall_ms(const struct deliver *d);

/* deliver_tails.c */
int tails_open(struct deliver *d, struct err *err) MUST_CHECK;
void tails_close(struct deliver *d);
/* Reads what is there. */
int tails_turn(struct deliver *d, struct err *err) MUST_CHECK;
int64_t tails_due_ms(const struct deliver *d);
/* Where the endpoints end now: `reached` becomes true when they are read up to there. */
int tails_ask_endpoints(struct deliver *d, struct err *err) MUST_CHECK;
/* Everything that was attempted since then is known; false: it will be read (tails_turn). */
bool tails_know_since(struct deliver *d, int64_t wall_ms);
void tails_forget_past(struct deliver *d);
struct endpoint *endpoint_find(struct deliver *d, const struct uuid *id);

/* deliver_lives.c */
struct live *live_of(struct deliver *d, struct endpoint *endpoint);
/* Opens the document when it is not, or is an older version. */
int live_document(struct deliver *d, struct live *live, struct err *err) MUST_CHECK;
void live_consider(struct deliver *d, struct live *live); /* may it start something? */
struct live *live_next(struct deliver *d);                /* whose turn it is; NULL = nobody's */
void lives_sweep(struct deliver *d, bool all);
void lives_count(struct deliver *d);

/* deliver_hand.c */
void hand_add(struct deliver *d, struct ticket *ticket, const struct record *rec,
              const struct envelope *env, enum topic topic);
int hand_turn(struct deliver *d, struct err *err) MUST_CHECK;
void hand_abandon_all(struct deliver *d);
void hand_posted(void *deliver, void *job, const struct post_answer *answer);
void hand_free(struct deliver *d);
void hand_unacked(struct deliver *d); /* a record's outputs are handed over */
int64_t hand_due_ms(const struct deliver *d);
void job_list_add(struct job_list *list, struct job *job);
void job_list_remove(struct job_list *list, struct job *job);

/* deliver_end.c: what is written of a record's end; the ticket is finished by the caller. */
struct job_end {
    struct rules_decision decision;
    struct post_answer answer; /* zeroed when nothing was sent */
    const char *reason;        /* of decision.disable */
};
int end_write(struct deliver *d, const struct job *job, const struct job_end *end,
              struct err *err) MUST_CHECK;
/* On to a delay topic, the attempt unchanged. */
int end_park(struct deliver *d, const struct job *job, int64_t wait_ms, struct err *err) MUST_CHECK;
/* Of a record whose attempt is in the log: what had to follow it, again. */
int end_repeat(struct deliver *d, struct ticket *ticket, const struct record *rec,
               const struct envelope *env, const struct seen_entry *entry,
               struct err *err) MUST_CHECK;
enum attempt_error end_error(enum post_end end);
