/* lib/kafka/bus.h over arrays, for tests of stages and of the runtime without a broker.
 *
 * One cluster per test program, one group consumer at a time, topics by the topic table. Time is
 * counted in polls, not in seconds. Failures are asked for one by one. Link test_bus_memory instead
 * of rb_kafka. */
#pragma once
#include "lib/kafka/bus.h"
#include "schemas/topics.h"

void bus_memory_reset(void); /* forgets records, offsets and failures */

/* Writes a record as a stranger would; everything is copied. Returns its offset. */
int64_t bus_memory_append(enum topic topic, int32_t partition, struct span key,
                          const struct bus_header *headers, size_t header_count, struct span value);
/* What is in a topic, in order of writing over all partitions, probes left out; NULL = no more. */
const struct record *bus_memory_get(enum topic topic, size_t index);
size_t bus_memory_count(enum topic topic);
int64_t bus_memory_committed(enum topic topic, int32_t partition); /* -1 = never */

/* The next `count` calls fail with this code. */
void bus_memory_fail_deliveries(size_t count, enum err_code code);
void bus_memory_fail_polls(size_t count, enum err_code code);
void bus_memory_fail_commits(size_t count, enum err_code code);
void bus_memory_fail_topics(size_t count, enum err_code code);
void bus_memory_hold_acks(bool hold);    /* while held no delivery report comes */
void bus_memory_hold_commits(bool hold); /* while held consumer_commit_answer says: none yet */

/* The next poll takes all partitions away, and the one after gives them again. */
void bus_memory_rebalance(bool lost);
size_t bus_memory_paused(enum topic topic); /* partitions of the consumer that are paused */
size_t bus_memory_open_records(void);       /* records handed out and not given back */
