"""ops/bench webhooks: what deliver achieves against nginx over TLS, counted from nginx's access log.

A private broker, one deliver process, nginx with one worker on the same machine. rustbox-webhook-load writes signed
records straight to the topics. Owns everything it starts; leaves nothing.
"""
import os
import re
import shutil
import socket
import subprocess
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
        subprocess.run([STACK, "up", self.state, "--infra", "--bin", os.path.join(self.build, "bin")], check=True, stdout=subprocess.DEVNULL)
        subprocess.run(["/usr/bin/openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-keyout",
                        "key.pem", "-out", "cert.pem", "-days", "2", "-subj", "/CN=localhost", "-addext", "subjectAltName=DNS:localhost"],
                       cwd=self.dir, check=True, stderr=subprocess.DEVNULL)
        self.mute, self.port = mute_listener(), free_port()
        with open(os.path.join(self.dir, "nginx.conf"), "w") as file:
            file.write(NGINX.format(dir=self.dir, port=self.port, mute=self.mute.getsockname()[1]))
        self.nginx = subprocess.Popen(["/usr/sbin/nginx", "-c", os.path.join(self.dir, "nginx.conf")], stderr=subprocess.DEVNULL)
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

    def cpu_s(self):
        with open(f"/proc/{self.deliver.pid}/stat") as file:
            fields = file.read().rpartition(")")[2].split()
        return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")

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


def throughput(bench, messages):
    bench.say(f"{messages} messages wait in the topic, then deliver starts")
    bench.mark()
    before = bench.attempts()
    bench.load(messages=messages)
    bench.start()
    bench.await_arrivals(messages, 80)
    end = time.monotonic() + 10
    while bench.attempts() - before < messages and time.monotonic() < end:
        time.sleep(0.1)
    ids = {row[0] for row in bench.written()}
    times = sorted(at for ident, at in bench.arrivals().items() if ident in ids)
    recorded, cpu = bench.attempts() - before, bench.cpu_s()
    bench.stop()
    middle = times[len(times) // 10:-max(1, len(times) // 10)] # without start and end
    return {"messages": messages, "arrived": len(times), "attempts_recorded": recorded,
            "deliveries_per_second": round(len(middle) / (middle[-1] - middle[0])) if len(middle) > 1 else None,
            "deliver_cpu_us_per_delivery": round(cpu / max(1, len(times)) * 1e6)}


def latency(bench, name, paths, rate, seconds, **settings):
    """Milliseconds from the record's writing to its arrival, of the endpoints that answer 2xx."""
    bench.say(f"{name}: {rate} messages/s for {seconds} s")
    bench.start(**settings)
    time.sleep(3)
    bench.mark()
    bench.load("--rate", str(rate), messages=rate * seconds, paths=paths)
    good = [row for row in bench.written() if paths[row[1] % len(paths)] == "ok"]
    bench.await_arrivals(len(good), 20)
    arrived = bench.arrivals()
    bench.stop()
    waits = [(arrived[ident] - at) * 1000 for ident, _, at, _ in good if ident in arrived]
    return {"healthy_messages": len(good), "arrived": len(waits), "ms": quantiles(waits)}


def retries(bench, messages, seconds):
    bench.say(f"{messages} retries due over {seconds} s")
    bench.start()
    time.sleep(3)
    bench.mark()
    bench.load("--retries", str(seconds), messages=messages)
    bench.await_arrivals(messages, seconds + 20)
    arrived = bench.arrivals()
    rows = bench.written()
    bench.stop()
    late = [(arrived[ident] - due) * 1000 for ident, _, _, due in rows if ident in arrived]
    return {"retries": len(rows), "arrived": len(late), "early": sum(1 for ms in late if ms < -1), "late_ms": quantiles(late)}


BAD = ["ok", "hang", "ok", "ok", "hang", "ok", "fail", "ok", "hang", "ok"] # 30 % hang, 10 % answer 500


def run(options, say):
    parts = options.parts.split(",")
    figures = {}
    with Bench(options, say) as bench:
        if "throughput" in parts:
            figures["throughput"] = throughput(bench, options.requests)
        if "idle" in parts:
            figures["idle"] = latency(bench, "idle", ["ok"], 10, 10)
        if "healthy" in parts:
            figures["healthy"] = latency(bench, "all healthy", ["ok"], 500, 15)
        if "bad" in parts:
            figures["bad_30_10"] = latency(bench, "30 % hang, 10 % answer 500", BAD, 500, 15)
        if "off" in parts:
            figures["bad_30_10_caps_and_breaker_off"] = latency(bench, "the same, caps and breaker off", BAD, 500, 15,
                                                                endpoint_in_flight=0, breaker_failures=0)
        if "retries" in parts:
            figures["retries"] = retries(bench, 2000, 10)
    return figures
