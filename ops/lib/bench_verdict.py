"""ops/bench webhooks, part `verdict`: how long after its verdict a submission's first webhook arrives.

A whole private stack: each message is of a real submission that ran in the sandbox, one at a time on an idle service.
The verdict's time is the broker's append time of its record (the earliest moment anybody can know it), the arrival is
of nginx's access log, `attempt` the moment deliver begins it, of the attempt's record; all count whole milliseconds. `ended` is the end of the program, by the evidence. Persist and
relay are one hop here: what lies between them is the commit of a transaction."""
import json
import os
import subprocess
import time

from bench_webhooks import TOP, STACK, Bench, quantiles

HELLO = os.path.join(TOP, "tests", "bench", "programs", "hello.py")


class Pipeline(Bench):
    infra = ()

    def __enter__(self):
        super().__enter__()
        with open(self.config(), "a") as file:
            file.write(f"\n[deliver]\nca_file = {self.dir}/cert.pem\n")
        subprocess.run([STACK, "restart", self.state, "deliver"], check=True, stdout=subprocess.DEVNULL)
        with open(os.path.join(self.state, "dev.env")) as file:
            self.env = dict(os.environ, **{name: value.strip("'\"") for name, _, value in (line.strip().partition("=") for line in file)})
        subprocess.run([os.path.join(self.build, "bin", "rustbox"), "webhook", "create", f"https://localhost:{self.port}/ok"],
                       env=self.env, check=True, stdout=subprocess.DEVNULL)
        return self

    def submit(self, count, *more):
        """submission -> when its program ended, in milliseconds"""
        ids = os.path.join(self.dir, "ids")
        command = [os.path.join(self.state, "bin", "rustbox-load"), "--requests", str(count), "--wait", "--deadline", "120", "--ids", ids,
                   "--program", f"python:{HELLO}", *more]
        subprocess.run(command, env=self.env, check=True, stdout=subprocess.DEVNULL)
        with open(ids) as file:
            rows = [line.rstrip("\n").split("\t") for line in file]
        return {row[1]: int(row[4].split(",")[-2]) / 1e6 for row in rows}

    def appended(self, topic, since_ms):
        """submission -> (the broker's append time in milliseconds, headers, value) of its first record"""
        command = ["/usr/bin/kcat", "-C", "-b", self.env["RUSTBOX_BROKERS"], "-t", f"rustbox.{topic}", "-o", f"s@{since_ms}", "-e", "-q",
                   "-f", "%T %h %s\n" if topic == "attempts" else "%T %h \n"]
        found = {}
        for line in subprocess.run(command, stdout=subprocess.PIPE, text=True, check=True).stdout.splitlines():
            stamp, text, value = line.split(" ", 2)
            headers = dict(pair.split("=", 1) for pair in text.split(",") if "=" in pair)
            found.setdefault(headers.get("id"), (int(stamp), headers, value))
        return found


def verdict(bench, warm, count, rate):
    bench.say(f"verdict to arrival: {warm} submissions to warm up")
    bench.mark()
    bench.submit(warm, "--clients", "8")
    bench.await_arrivals(warm, 60)
    time.sleep(1)
    bench.say(f"{count} submissions, one at a time, {rate} each second")
    since_ms = int(time.time() * 1000)
    bench.mark()
    ended = bench.submit(count, "--clients", "1", "--rate", str(rate))
    bench.await_arrivals(count, 20)
    time.sleep(0.5) # the last attempt's record
    verdicts, webhooks, attempts, arrived = (*(bench.appended(name, since_ms) for name in ("verdicts", "webhooks", "attempts")), bench.arrivals())
    ways = [(ended[sub], verdicts[sub][0], webhooks[sub][0], json.loads(attempts[sub][2])["at"], arrived[webhooks[sub][1]["message"]] * 1000)
            for sub in ended if sub in webhooks and sub in attempts and webhooks[sub][1]["message"] in arrived]
    part = lambda a, b: quantiles([way[b] - way[a] for way in ways])
    return {"submissions": len(ended), "arrived": len(ways), "verdict_to_attempt_ms": part(1, 3), "verdict_to_arrival_ms": part(1, 4),
            "ended_to_verdict_ms": part(0, 1), "verdict_to_published_ms": part(1, 2), "published_to_attempt_ms": part(2, 3),
            "attempt_to_arrival_ms": part(3, 4)}


def run(options, say):
    with Pipeline(options, say) as bench:
        return verdict(bench, 2500, 100, 5) # the broker's Java is compiled by then
