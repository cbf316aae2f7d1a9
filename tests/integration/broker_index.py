#!/usr/bin/python3
"""The broker with ops/kafka/index.c: each record is flushed once, into the log. An index is flushed when its segment is
closed and at a clean stop, and what a power cut may leave of the others is made anew. Its own broker."""
import glob
import os
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time

TOP = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
BUILD = os.environ.get("RUSTBOX_BUILD", os.path.join(TOP, "build", "release"))
KAFKA = os.path.join(TOP, "ops", "kafka")
LIBRARY = os.path.join(BUILD, "bin", "rustbox-broker-index.so")
RECORDER = os.path.join(BUILD, "tests", "flushes.so")
RECORDS, BYTES = 1500, 2000 # three segments of 1 MiB


def check(good, what):
    if not good:
        sys.exit(f"FAILED: {what}")


def free_port():
    with socket.socket() as server:
        server.bind(("127.0.0.1", 0))
        return server.getsockname()[1]


class Broker:
    def __init__(self, home):
        self.home, self.flushes = home, os.path.join(home, "flushes")
        self.port = free_port()
        subprocess.run([os.path.join(KAFKA, "format"), home, str(self.port), str(free_port())], check=True, stdout=subprocess.DEVNULL)
        with open(os.path.join(home, "server.properties"), "a") as file:
            file.write("auto.create.topics.enable=true\nlog.segment.bytes=1048576\nlog.flush.interval.messages=1\n")

    def start(self):
        env = dict(os.environ, RUSTBOX_KAFKA_PROFILE="test", RUSTBOX_KAFKA_INDEX=LIBRARY, LD_PRELOAD=RECORDER, FLUSHES=self.flushes)
        self.log = open(os.path.join(self.home, "log"), "a")
        self.process = subprocess.Popen([os.path.join(KAFKA, "run"), self.home], env=env, stdout=self.log, stderr=self.log)
        for _ in range(600):
            if self.process.poll() is not None:
                break
            try:
                socket.create_connection(("127.0.0.1", self.port), 1).close()
                return
            except OSError:
                time.sleep(0.1)
        check(False, "the broker does not start: " + open(os.path.join(self.home, "log")).read()[-2000:])

    def stop(self, number):
        if self.process.poll() is None:
            self.process.send_signal(number)
            self.process.wait(60)

    def kcat(self, *args, **more):
        return subprocess.run(["/usr/bin/kcat", "-b", f"127.0.0.1:{self.port}", "-t", "made", "-p", "0", *args], check=True,
                              stdout=subprocess.PIPE, text=True, timeout=120, **more).stdout

    def flushed(self):
        """(call, name, size) of each flush so far"""
        with open(self.flushes) as file:
            return [(call, os.path.basename(name), int(size)) for call, name, size in (line.split() for line in file) if call == "msync" or "/made-0/" in name]

    def read(self, *args):
        return self.kcat("-C", "-e", "-q", *args).splitlines()


def index_of(path):
    return [path.removesuffix(".log") + end for end in (".index", ".timeindex")]


def indexes_are_flushed(flushes, logs, when):
    for path in (name for log in logs for name in index_of(log)):
        name, size = os.path.basename(path), os.path.getsize(path)
        sizes = [row[2] for row in flushes if row[0] == "fdatasync" and row[1] == name]
        check(size < 1 << 20 and size in sizes, f"{when}: {name} of {size} bytes was not flushed as it is, but at {sizes}")


def run(home):
    broker = Broker(home)
    broker.start()
    try:
        lines = [f"{i:06d}" + "x" * (BYTES - 6) for i in range(RECORDS)]
        broker.kcat("-P", "-X", "batch.num.messages=1", "-X", "linger.ms=0", "-X", "acks=all", input="\n".join(lines) + "\n")
        logs = sorted(glob.glob(os.path.join(home, "data", "made-0", "*.log")))
        check(len(logs) >= 3, f"{len(logs)} segments")
        flushes = broker.flushed()
        count = sum(row[0] == "fsync" and row[1].endswith(".log") for row in flushes)
        check(count >= RECORDS, f"{count} flushes of the log for {RECORDS} records")
        check(not any(row[0] == "msync" for row in flushes), "an index was flushed with a record")
        indexes_are_flushed(flushes, logs[:-1], "closed segments")

        broker.stop(signal.SIGKILL)
        for path in index_of(logs[-1]): # the worst that a power cut leaves: nothing of what was written came to the disk
            size = os.path.getsize(path)
            check(size > 1 << 20 and any(open(path, "rb").read()), f"{path} holds no entries")
            with open(path, "wb") as file:
                file.truncate(size)
        broker.start()
        check(broker.read("-o", "beginning") == lines, "records differ after the indexes of the last segment were lost")
        for offset in (0, 1, RECORDS // 2, RECORDS - 200, RECORDS - 1):
            check(broker.read("-o", str(offset), "-c", "1") == [lines[offset]], f"offset {offset}")
        stamp, offset = broker.read("-o", str(RECORDS - 3), "-c", "1", "-f", "%T %o\\n")[0].split()
        found = int(broker.read("-o", f"s@{stamp}", "-c", "1", "-f", "%o\\n")[0])
        check(RECORDS - 100 < found <= int(offset), f"by its time record {offset} is found at {found}")

        broker.stop(signal.SIGTERM)
        check(os.path.exists(os.path.join(home, "data", ".kafka_cleanshutdown")), "that was no clean stop")
        indexes_are_flushed(broker.flushed(), logs, "a clean stop")
        print(f"{RECORDS} records, {count} flushes of the log, none of an index with a record; {len(logs)} segments")
    finally:
        broker.stop(signal.SIGKILL)


if not glob.glob(os.path.join(os.environ.get("RUSTBOX_KAFKA_LIBS", os.path.join(TOP, "var", "kafka", "libs")), "kafka_2.13-*.jar")) and not os.environ.get("RUSTBOX_KAFKA_HOME"):
    print("skipped: no broker (ops/kafka/fetch)")
    sys.exit(77)
where = tempfile.mkdtemp(prefix="rbindex.")
try:
    run(where)
finally:
    shutil.rmtree(where)
