# shellcheck shell=bash
# Sourced by fetch, format and run: where the jars and the Java machine are, and how a Java process is started.
# Decides nothing about brokers; server.properties is written by format alone.

KAFKA_JAVA=${RUSTBOX_JAVA:-/usr/lib/jvm/java-17-openjdk-amd64/bin/java}
kafka_home=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)

kafka_fail() {
    printf 'kafka: %s\n  what to do: %s\n' "$1" "$2" >&2
    exit 1
}

# The directory of the jars: an unpacked Apache Kafka, a directory that was named, or this checkout's var/.
kafka_libs() {
    if [ -n "${RUSTBOX_KAFKA_HOME:-}" ]; then
        echo "$RUSTBOX_KAFKA_HOME/libs"
    else
        echo "${RUSTBOX_KAFKA_LIBS:-$kafka_home/../../var/kafka/libs}"
    fi
}

kafka_have_libs() {
    compgen -G "$(kafka_libs)/kafka_2.13-*.jar" >/dev/null
}

# The class path lists the jars one by one: a directory in it would silently prevent the class-data archive.
kafka_class_path() {
    local jars
    kafka_have_libs || kafka_fail "no broker in $(kafka_libs)" \
        "run ops/kafka/fetch, or set RUSTBOX_KAFKA_HOME to an unpacked Apache Kafka 4.x"
    [ -x "$KAFKA_JAVA" ] || kafka_fail "no Java machine at $KAFKA_JAVA" \
        "apt-get install openjdk-17-jre-headless, or name another one in RUSTBOX_JAVA"
    jars=("$(kafka_libs)"/*.jar)
    (IFS=:; echo "${jars[*]}")
}

# Options of every Java process here: no perf file in /tmp, no attach socket, log lines on stderr.
KAFKA_OPTIONS=(-XX:+UseSerialGC -XX:-UsePerfData -XX:+DisableAttachMechanism -Djava.awt.headless=true
    -Dorg.slf4j.simpleLogger.defaultLogLevel=warn -Dorg.slf4j.simpleLogger.showDateTime=true
    "-Dorg.slf4j.simpleLogger.dateTimeFormat=yyyy-MM-dd'T'HH:mm:ss.SSS"
    -Dorg.slf4j.simpleLogger.log.kafka.server.KafkaRaftServer=info)
