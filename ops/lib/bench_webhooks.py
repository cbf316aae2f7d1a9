"""ops/bench webhooks: what deliver achieves against nginx over TLS, counted from nginx's access log.

A private broker, one deliver process, nginx with one worker on the same machine. rustbox-webhook-load writes signed
records straight to the topics. Owns everything it starts; leaves nothing.
"""
import json
import os
import re
import shutil
import socket
import statistics
import subprocess
import sys
import tempfile
import threading
import time

TOP = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
STACK = os.path.join(TOP, "ops", "lib", "stack")
NGINX = """daemon off;
pid {dir}/nginx.pid;
error_log {dir}/nginx.error;
worker_processes 1;
events {{ worker_connections 16384; }}
http {{
    log_format arrivals '$msec $http_webhook_id $status';
    access_log {dir}/access.log arrivals buffer=64k flush=100ms;
    keepalive_requests 1000000;
    client_body_temp_path {dir}/body; proxy_temp_path {dir}/proxy; fastcgi_temp_path {dir}/f; uwsgi_temp_path {dir}/u; scgi_temp_path {dir}/s;
    server {{
        listen 127.0.0.1:{port} ssl backlog=4096;
        ssl_certificate {dir}/cert.pem;
        ssl_certificate_key {dir}/key.pem;
        location /ok {{ return 204; }}
        location /fail {{ return 500; }}
        location /hang {{ proxy_pass http://127.0.0.1:{mute}; proxy_read_timeout 300s; }}
    }}
}}
"""


def free_port():
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


def mute_listener():
    """Accepts and never answers."""
    server, held = socket.create_server(("127.0.0.1", 0), backlog=4096), []

    def accept():
        while True:
            try:
                held.append(server.accept()[0])
            except OSError:
                return
    threading.Thread(target=accept, daemon=True).start()
    return server


def quantiles(values):
    values = sorted(values)
    if not values:
        return None
    return {name: round(values[int(q * (len(values) - 1) + 0.5)], 2) for name, q in (("p50", .5), ("p95", .95), ("p99", .99), ("max", 1))}


class Bench:
    infra = ("--infra",) # no more than PostgreSQL and Kafka; rustbox-webhook-load makes the topics

    def __init__(self, options, say):
        self.say, self.build, self.seed = say, options.build, 0
        self.dir = tempfile.mkdtemp(prefix="rustbox-bench-webhooks-", dir="/tmp")
        os.chmod(self.dir, 0o755) # the system user must get through
        self.state = os.path.join(self.dir, "state")
        self.nginx = self.mute = None
        self.deliver = None

    def __enter__(self):
        if not os.path.exists("/usr/sbin/nginx"):
            raise SystemExit("bench: nginx is missing; what to do: apt-get install nginx-light")
        subprocess.run([STACK, "up", self.state, *self.infra, "--bin", os.path.join(self.build, "bin")], check=True, stdout=subprocess.DEVNULL)
        subprocess.run(["/usr/bin/openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-keyout",
                        "key.pem", "-out", "cert.pem", "-days", "2", "-subj", "/CN=localhost", "-addext", "subjectAltName=DNS:localhost"],
                       cwd=self.dir, check=True, stderr=subprocess.DEVNULL)
        self.mute, self.port = mute_listener(), free_port()
        with open(os.path.join(self.dir, "nginx.conf"), "w") as file:
            file.write(NGINX.format(dir=self.dir, port=self.port, mute=self.mute.getsockname()[1]))
        self.nginx = subprocess.Popen(["/usr/sbin/nginx", "-c", os.path.join(self.dir, "nginx.conf")], stderr=subprocess.DEVNULL)
        if self.infra:
            self.load("--topics", messages=0)
        return self

    def __exit__(self, *error):
        self.stop()
        if self.nginx:
            self.nginx.terminate()
            self.nginx.wait()
        subprocess.run([STACK, "down", self.state, "--purge"], check=False, stdout=subprocess.DEVNULL)
        shutil.rmtree(self.dir, ignore_errors=True)

    def config(self):
        return os.path.join(self.state, "etc", "rustbox.conf")

    def start(self, **settings):
        env = {**os.environ, "RUSTBOX_DELIVER_CA_FILE": os.path.join(self.dir, "cert.pem"), "RUSTBOX_METRICS_LISTEN_DELIVER": "0",
               **{f"RUSTBOX_DELIVER_{name.upper()}": str(value) for name, value in settings.items()}}
        self.deliver = subprocess.Popen([os.path.join(self.build, "bin", "rustbox-consumer"), "--stage", "deliver", "--config", self.config()],
                                        env=env, stderr=open(os.path.join(self.dir, "deliver.log"), "ab"))

    def stop(self):
        if self.deliver and self.deliver.poll() is None:
            self.deliver.kill()
            self.deliver.wait()
        self.deliver = None

    def load(self, *more, messages, paths=("ok",), endpoints=100, wait=True):
        self.seed += 1
        self.sent = os.path.join(self.dir, f"sent.{self.seed}")
        urls = sum((["--url", f"https://localhost:{self.port}/{path}"] for path in paths), [])
        command = [os.path.join(self.build, "bin", "rustbox-webhook-load"), "--config", self.config(), "--seed", str(self.seed), "--endpoints",
                   str(endpoints), "--messages", str(messages), "--out", self.sent, *urls, *more]
        process = subprocess.Popen(command, stderr=subprocess.DEVNULL)
        if wait and process.wait():
            raise SystemExit("bench: the load failed")
        return process

    def ready(self):
        """Waits until deliver is at work: it may have a past to read first."""
        self.mark()
        self.load(messages=20)
        self.await_arrivals(20, 30)

    def delete_endpoints(self, endpoints=100):
        """Of the last load: what is left of its messages must not be tried again in a later part."""
        self.seed -= 1
        self.load("--delete", messages=0, endpoints=endpoints)

    def arrivals(self):
        """webhook-id -> time of its first 204"""
        found = {}
        with open(os.path.join(self.dir, "access.log")) as file:
            for line in file:
                row = line.split()
                if len(row) == 3 and row[2] == "204":
                    found.setdefault(row[1], float(row[0]))
        return found

    def written(self):
        with open(self.sent) as file:
            return [(row[0], int(row[1]), float(row[2]), float(row[3])) for row in (line.split("\t") for line in file)]

    def await_arrivals(self, count, seconds):
        end, path = time.monotonic() + seconds, os.path.join(self.dir, "access.log")
        begin = self.at
        while time.monotonic() < end:
            with open(path, "rb") as file:
                file.seek(begin)
                if file.read().count(b" 204\n") >= count:
                    break
            time.sleep(0.2)
        time.sleep(0.3)

    def mark(self):
        path = os.path.join(self.dir, "access.log")
        self.at = os.path.getsize(path) if os.path.exists(path) else 0

    def attempts(self):
        """Records in the topic `attempts`."""
        brokers = re.search(r"^brokers = (\S+)", open(self.config()).read(), re.M)[1]
        done = subprocess.run(["/usr/bin/kcat", "-C", "-b", brokers, "-t", "rustbox.attempts", "-o", "beginning", "-e", "-q", "-f", "%k\n"],
                              capture_output=True, text=True, check=True)
        return sum(1 for row in done.stdout.splitlines() if row != "probe")


def processes_cpu_s(bench):
    """deliver, nginx's worker, the broker"""
    def ticks(pid):
        with open(f"/proc/{pid}/stat") as file:
            fields = file.read().rpartition(")")[2].split()
        return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")

    def children(pid):
        with open(f"/proc/{pid}/task/{pid}/children") as file:
            return [int(child) for child in file.read().split()]
    with open(os.path.join(bench.state, "service", "kafka", "supervise", "pid")) as file:
        broker = int(file.read())
    return {"deliver": ticks(bench.deliver.pid), "nginx": sum(map(ticks, children(bench.nginx.pid))), "broker": ticks(broker)}


def floor(bench, requests, at_once):
    done = subprocess.run([os.path.join(bench.build, "bin", "rustbox-post-load"), f"https://localhost:{bench.port}/ok",
                           os.path.join(bench.dir, "cert.pem"), str(requests), str(at_once), "1000"], capture_output=True, text=True, check=True)
    return json.loads(done.stdout)


def backlog(bench, messages):
    bench.mark()
    before = bench.attempts()
    bench.load(messages=messages)
    bench.start()
    path = os.path.join(bench.dir, "access.log")
    end = time.monotonic() + 30
    while os.path.getsize(path) <= bench.at and time.monotonic() < end:
        time.sleep(0.005)
    cpu = processes_cpu_s(bench)
    bench.await_arrivals(messages, 60)
    end = time.monotonic() + 10
    while bench.attempts() - before < messages and time.monotonic() < end:
        time.sleep(0.1)
    after = processes_cpu_s(bench)
    bench.stop()
    ids = {row[0] for row in bench.written()}
    times = sorted(at for ident, at in bench.arrivals().items() if ident in ids)
    middle = times[len(times) // 10:-max(1, len(times) // 10)] # without start and end
    return {"arrived": len(times), "attempts_recorded": bench.attempts() - before,
            "per_second": round(len(middle) / (middle[-1] - middle[0])) if len(middle) > 1 else None,
            "cpu_us": {name: round((after[name] - cpu[name]) / messages * 1e6) for name in after}}


def throughput(bench, messages, rounds):
    """In turns with libcurl alone against the same nginx."""
    bench.say("warming up")
    backlog(bench, messages)
    result = {"messages": messages, "deliver": [], "libcurl_alone": []}
    for number in range(rounds):
        bench.say(f"round {number + 1} of {rounds}: {messages} messages wait in the topic, then deliver starts")
        result["deliver"].append(backlog(bench, messages))
        result["libcurl_alone"].append(floor(bench, messages, 32))
    median = lambda values: sorted(values)[len(values) // 2]
    result["per_second"] = median([row["per_second"] or 0 for row in result["deliver"]])
    result["share_of_libcurl_alone"] = round(result["per_second"] / median([row["per_second"] for row in result["libcurl_alone"]]), 2)
    return result


def latency(bench, paths, rate, seconds, **settings):
    """Milliseconds from the record's writing to its arrival, of the endpoints that answer 2xx."""
    bench.start(**settings)
    bench.ready()
    bench.mark()
    bench.load("--rate", str(rate), messages=rate * seconds, paths=paths)
    good = [row for row in bench.written() if paths[row[1] % len(paths)] == "ok"]
    bench.await_arrivals(len(good), 20)
    arrived = bench.arrivals()
    bench.delete_endpoints()
    bench.stop()
    return [(arrived[ident] - at) * 1000 if ident in arrived else float("inf") for ident, _, at, _ in good]


def isolation(bench, rate, seconds, rounds):
    """All healthy, some bad, the same without protection, in turns; a message that did not arrive counts as infinitely late.
    The ratio is of the rounds' medians: a disk or a neighbour that stands still for 0.1 s in one round decides that round's p99 alone."""
    ways = {"all_healthy": (["ok"], {}), "bad_30_10": (BAD, {}),
            "bad_30_10_caps_and_breaker_off": (BAD, {"endpoint_in_flight": 0, "breaker_failures": 0})}
    waits = {name: [] for name in ways}
    bench.say("warming up: a broker makes files at the first record of each partition of a delay topic, for seconds in all")
    latency(bench, BAD, rate, 4, in_flight=IN_FLIGHT)
    for number in range(rounds):
        for name, (paths, settings) in ways.items():
            bench.say(f"round {number + 1} of {rounds}: {name}, {rate} messages/s for {seconds} s")
            waits[name].append(latency(bench, paths, rate, seconds, in_flight=IN_FLIGHT, **settings))
    result = {name: {"ms": quantiles(sum(rows, [])), "p99_of_rounds": [quantiles(row)["p99"] for row in rows]} for name, rows in waits.items()}
    for row in result.values():
        row["p99_median"] = statistics.median(row["p99_of_rounds"])
        row["p99_to_all_healthy"] = round(row["p99_median"] / result["all_healthy"]["p99_median"], 2)
    return result


def retries(bench, messages, seconds):
    bench.say(f"{messages} retries due over {seconds} s")
    bench.start()
    bench.ready()
    bench.mark()
    bench.load("--retries", str(seconds), messages=messages)
    bench.await_arrivals(messages, seconds + 20)
    arrived = bench.arrivals()
    rows = bench.written()
    bench.stop()
    late = [(arrived[ident] - due) * 1000 for ident, _, _, due in rows if ident in arrived]
    return {"retries": len(rows), "arrived": len(late), "early": sum(1 for ms in late if ms < -1), "late_ms": quantiles(late)}


IN_FLIGHT = 384 # fewer than would hang in one part without protection: rate * 30 % * its seconds
BAD = ["ok", "hang", "ok", "ok", "hang", "ok", "fail", "ok", "hang", "ok"] # 30 % hang, 10 % answer 500


def run(options, say):
    parts = options.parts.split(",")
    figures = {}
    with Bench(options, say) as bench:
        if "throughput" in parts:
            figures["throughput"] = throughput(bench, options.requests, 3)
        else:
            say("warming up")
            backlog(bench, 10000)
        if "idle" in parts:
            say("idle: 10 messages/s")
            figures["idle_ms"] = quantiles(latency(bench, ["ok"], 10, 10))
        if "isolation" in parts:
            figures["isolation"] = isolation(bench, 200, 10, 5)
        if "retries" in parts:
            figures["retries"] = retries(bench, 2000, 10)
    return figures
