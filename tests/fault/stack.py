"""A running stack as the fault tests see it: environment, processes, API, balance, database.

Used by kill, garbage and bad_input. Owns the private stack it starts (own_stack) and removes it afterwards.
"""
import contextlib
import json
import os
import signal
import subprocess
import tempfile
import time
import urllib.error
import urllib.request

TOP = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
STACK = os.path.join(TOP, "ops", "lib", "stack")
SERVICES = ["gateway", "admit", "execute", "persist", "relay", "deliver", "box", "kafka", "postgres"]


def say(text):
    print(f"{time.strftime('%H:%M:%S')} {text}", flush=True)


@contextlib.contextmanager
def own_stack(directory=None):
    """Yields a Stack: the running one in `directory`, or a private one that is removed at the end.

    The programs come from $RUSTBOX_BUILD (set by ctest), else from build/release. After an error the
    state is kept, and its place printed, when RUSTBOX_KEEP is set.
    """
    if directory:
        yield Stack(directory)
        return
    directory = tempfile.mkdtemp(prefix="rustbox-fault-", dir="/tmp")
    build = os.environ.get("RUSTBOX_BUILD", os.path.join(TOP, "build", "release"))
    try:
        subprocess.run([STACK, "up", directory, "--test", "--bin", os.path.join(build, "bin")], check=True)
        yield Stack(directory)
    finally:
        keep = os.environ.get("RUSTBOX_KEEP")
        subprocess.run([STACK, "down", directory] + ([] if keep else ["--purge"]), check=False)
        if keep:
            say(f"state kept in {directory}")


class Stack:
    def __init__(self, directory):
        self.dir = directory
        self.env = dict(os.environ)
        with open(os.path.join(directory, "dev.env")) as file:
            for line in file:
                line = line.strip()
                if line and not line.startswith("#"):
                    name, _, value = line.partition("=")
                    self.env[name] = value.strip("'\"")

    def last_words(self, lines=15):
        """Says the end of every process's log: a private stack's logs go with it."""
        for name in SERVICES:
            path = os.path.join(self.dir, "log", name, "current")
            if os.path.exists(path):
                with open(path, errors="replace") as file:
                    say(f"the last lines of {name}:\n" + "".join(file.readlines()[-lines:]))

    def pid(self, name):
        try:
            with open(os.path.join(self.dir, "service", name, "supervise", "pid")) as file:
                return int(file.read().strip() or 0)
        except (OSError, ValueError):
            return 0

    def pids(self):
        return {name: self.pid(name) for name in SERVICES}

    def kill(self, name):
        """kill -9 by pid, then waits until the supervisor has started another one."""
        old = self.pid(name)
        if not old:
            raise RuntimeError(f"{name} is not running; see {self.dir}/log/{name}")
        os.kill(old, signal.SIGKILL)
        begin = time.monotonic()
        while self.pid(name) in (0, old):
            if time.monotonic() - begin > 30:
                raise RuntimeError(f"{name} was not restarted within 30 s; see {self.dir}/log/{name}")
            time.sleep(0.02)
        return old

    def call(self, path, body=None, timeout=40):
        """(status, JSON) of a request; status 0 when there was no answer."""
        headers = {"X-API-Key": self.env["RUSTBOX_KEY"], "Content-Type": "application/json"}
        data = json.dumps(body).encode() if body is not None else None
        request = urllib.request.Request(self.env["RUSTBOX_API"] + path, data, headers)
        try:
            with urllib.request.urlopen(request, timeout=timeout) as answer:
                return answer.status, json.load(answer)
        except urllib.error.HTTPError as error:
            return error.code, None
        except (OSError, ValueError):
            return 0, None

    def balance(self):
        command = [os.path.join(self.env["RUSTBOX_BIN"], "rustbox"), "balance", "--json",
                   "--config", self.env["RUSTBOX_CONFIG"]]
        done = subprocess.run(command, env=self.env, capture_output=True, text=True, timeout=120)
        try:
            return json.loads(done.stdout)
        except ValueError:
            return {"error": (done.stderr or done.stdout).strip()[-300:]}

    def drain(self, seconds):
        """Waits until nothing is in flight or unread; returns the last balance."""
        begin, last, shown = time.monotonic(), {}, 0
        while time.monotonic() - begin < seconds:
            last = self.balance()
            if (last.get("in_flight"), last.get("unread"), last.get("difference")) == (0, 0, 0):
                return last
            if time.monotonic() - shown > 10:
                say(f"draining: {json.dumps(last)}")
                shown = time.monotonic()
            time.sleep(1)
        return last

    def sql(self, query):
        command = ["/usr/bin/psql", "-X", "-A", "-t", "-v", "ON_ERROR_STOP=1", "-d",
                   self.env["RUSTBOX_DATABASE"], "-c", query]
        done = subprocess.run(command, env=self.env, capture_output=True, text=True, timeout=60)
        if done.returncode:
            raise RuntimeError(f"psql: {done.stderr.strip()[-300:]}")
        return done.stdout.strip()


def balance_findings(balance, seconds):
    if balance.get("difference") != 0:
        yield f"balance difference is {balance.get('difference', balance)}"
    if balance.get("in_flight") != 0:
        yield f"{balance.get('in_flight')} ids are still in flight after {seconds} s"
