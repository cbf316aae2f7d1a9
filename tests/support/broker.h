/* A private Kafka broker for one test program: own ports, own state under /tmp, removed at the end.
 *
 * Uses ops/kafka/format and ops/kafka/run of this checkout. The broker dies with the test program.
 */
#pragma once
#include "lib/base/err.h"
#include <sys/types.h>

struct broker {
    char dir[64];
    char address[32]; /* "127.0.0.1:port", for bus_config.brokers */
    int port;
    pid_t pid;
};

/* Ends the program with status 77 and the reason where no broker is installed. */
void broker_start_or_skip(struct broker *broker);
void broker_kill(struct broker *broker);          /* kill -9 */
void broker_restart(struct broker *broker);       /* after broker_kill */
void broker_pause(struct broker *broker, int on); /* SIGSTOP, SIGCONT */
void broker_stop(struct broker *broker);          /* kill and remove */
