#!/usr/bin/python3
"""`rustbox` in clumsy hands, before an API that this test plays itself: output that cannot be written, files that are not
there, an API that wants to be asked later or never answers.

    cli.py

Program from $RUSTBOX_BUILD. Exit status: 0 all held, 1 something did not.
"""
import http.server
import json
import os
import shlex
import subprocess
import sys
import tempfile
import threading
import time
import urllib.parse

ID = "01890000-0000-7000-8000-000000000000"
RESULT = {"id": ID, "language": "python", "job_status": "completed", "verdict": "RE", "exit_code": 3, "signal": None,
          "stdout": "x" * 200000, "stderr": "", "evidence": {"verdict_cause": "re_nonzero_exit"}}
PENDING = {"id": ID, "job_status": "pending"}
LATER = {"error": "rate_limited", "message": "too many", "request_id": "r"}


class Api(http.server.BaseHTTPRequestHandler):
    """The key says how it behaves: later:N = 429 with Retry-After N, pending = no verdict ever, pages = a list has another page."""
    protocol_version = "HTTP/1.1"
    seen, bodies = [], []

    def answer(self):
        self.bodies.append(self.rfile.read(int(self.headers.get("Content-Length", 0))))
        self.seen.append(f"{self.command} {self.path}")
        kind = self.headers["X-API-Key"]
        status, body, fields = 200, RESULT, {}
        if kind.startswith("later:"):
            status, body, fields = 429, LATER, {"Retry-After": kind[6:]}
        elif kind == "pending" and "wait=true" in self.path:
            time.sleep(20)
            status, body = 408, {**PENDING, "error": "timeout", "message": "no verdict yet"}
        elif kind == "pages":
            body = {"submissions": [], "webhooks": [], "deliveries": [], "next_cursor": "next 'page"}
        elif kind == "pending":
            status, body = 202 if self.command == "POST" else 200, PENDING
        text = json.dumps(body).encode()
        self.send_response(status)
        for name, value in {"Content-Type": "application/json", "Content-Length": len(text), **fields}.items():
            self.send_header(name, str(value))
        self.end_headers()
        self.wfile.write(text)

    do_GET = do_POST = answer

    def log_message(self, *args):
        pass


class Cli:
    def __init__(self, program, port, folder):
        self.program, self.folder, self.findings, self.checks = program, folder, 0, 0
        self.env = {"RUSTBOX_API": f"http://127.0.0.1:{port}", "RUSTBOX_KEY": "plain", "PATH": "/usr/bin:/bin"}

    def check(self, words, code, says="", key="plain", prefix="", shell="", seconds=15):
        """Runs `PREFIX rustbox WORDS SHELL`; wants an exit code and words of its error."""
        self.checks += 1
        Api.seen.clear()
        Api.bodies.clear()
        line = f'PATH="{os.path.dirname(self.program)}:$PATH"\n{prefix} "{self.program}" {words} {shell}'
        try:
            done = subprocess.run(["/bin/bash", "-c", line], env={**self.env, "RUSTBOX_KEY": key}, cwd=self.folder, timeout=seconds,
                                  stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE)
            got, error = done.returncode, done.stderr.decode(errors="replace")
        except subprocess.TimeoutExpired:
            got, error = "none", f"still running after {seconds} s"
        if got != code or says not in error:
            self.findings += 1
            print(f"FINDING rustbox {words} {shell} ({key}): exit code {got}, {code} expected; it says {error!r}, {says!r} expected")

    def check_that(self, what, held):
        self.checks += 1
        if not held:
            self.findings += 1
            print(f"FINDING {what}")


def outputs(cli):
    cli.check(f"result {ID}", 1)
    for verb in (f"result {ID}", f"result {ID} --json", "submit a.py"):
        cli.check(verb, 7, "writing the output", shell=">/dev/full")
        cli.check(verb, 7, "writing the output", shell=">&-")
        cli.check(verb, 7, shell=">&- 2>&- <&-")
        cli.check(verb, 141, shell="| head -c 5 >/dev/null; exit ${PIPESTATUS[0]}")  # SIGPIPE, as of any tool
    cli.check("submit a.py --stdin -", 2, "Bad file descriptor", shell="<&-")


def descriptors(cli):
    """What is printed or logged without standard output and error goes nowhere, least of all to a server: its connection
    has another number. The servers' programs are looked at while they wait for the writer of their configuration."""
    fifo, seen = os.path.join(cli.folder, "fifo"), os.path.join(cli.folder, "numbers")
    os.mkfifo(fifo)
    folder = os.path.dirname(cli.program)
    for program, *words in (("rustbox", "watch", ID), ("rustbox-gateway", "--config", fifo),
                            ("rustbox-consumer", "--stage", "persist", "--config", fifo)):
        code = (f"import os, subprocess, time\np = subprocess.Popen({[os.path.join(folder, program), *words]!r}, close_fds=True)\n"
                f"time.sleep(0.6)\ntry: open({seen!r}, 'w').write(repr([os.readlink('/proc/%d/fd/%d' % (p.pid, n)) for n in range(3)]))\n"
                f"finally:\n p.kill(); p.wait()")
        subprocess.run(["/bin/bash", "-c", '/usr/bin/python3 -c "$1" <&- >&- 2>&-', "-", code], env={**cli.env, "RUSTBOX_KEY": "pending"}, timeout=15)
        held = open(seen).read() if os.path.exists(seen) else "nothing"
        cli.check_that(f"{program}, started without descriptors 0 to 2: they became {held}", held.count("/dev/null") == 3)
        if os.path.exists(seen):
            os.unlink(seen)


def inputs(cli):
    for words, code, says in (
            ("submit gone.py", 2, "gone.py: No such file"), ("submit .", 2, "Is a directory"), ("submit a.xyz --language python", 0, ""),
            ("submit a.xyz", 2, "no language"), ("submit a.py --file gone.h", 2, "gone.h"), ("submit a.py --cases gone", 2, "gone"),
            ("submit a.py --cases object.json", 2, "a JSON array of cases"), ("submit a.py --cases twice.json", 2, "line 1: duplicate"),
            ("submit a.py --cases broken.json", 2, "line 2"), ("submit a.py --limit cpu_ms=-1", 2, "whole number"),
            ("submit a.py --limit =1", 2, "NAME=VALUE"), ("submit a.py --label x", 2, "NAME=VALUE"),
            ("submit binary.py", 2, "UTF-8"), ("submit a.py --key $'a\\nb'", 2, "line breaks"), ("submit a.py --key ''", 2, "no API key"),
            ("submit a.py --idempotency-key $'a\\rb'", 7, "idempotency key"), ("submit", 2, "FILE is missing"),
            ("submit a.py b.py", 2, "too many"), ("submit a.py --nothing", 2, "--nothing"), ("submit a.py --stdin", 2, "needs a value"),
            ("--json list", 2, 'like "list --json"'), ("nothing", 2, "no verb"), ("webhook", 2, "webhook list"),
            (f"webhook redeliver {ID} --all-dead --state dropped", 2, "one of them"), (f"webhook redeliver {ID}", 2, "say which"), ("", 2, ""),
            ("result x", 2, "not an id"), ("watch ../../etc", 2, "not an id"), ("list --limit 501", 2, "--limit"),
            ("list --limit x", 2, "--limit"), ("list --cursor " + "c" * 2000, 2, "too long"), ("list --api ftp://x", 7, "not supported"),
            ("list --api http://127.0.0.1:1", 7, "is the service running"), ("balance --config gone.conf", 7, "gone.conf"),
            ("balance --config .", 7, "directory"), ("balance --config none.conf", 7, "database of none.conf"), ("verify --file gone", 7, "gone"), ("verify --file a.py", 7, "not a JSON object"),
            ("verify --file object.json --digest xyz", 2, "64"), (f"verify {ID} --file a.py", 2, "not both")):
        if code == 0:
            cli.check(words, 1)  # the verdict of this API is RE
        else:
            cli.check(words, code, says, seconds=20)
    cli.check("verify --file object.json --digest " + "a" * 64, 7, "evidence")
    cli.check("admin topics", 7, "database of none.conf", prefix="RUSTBOX_CONFIG=none.conf RUSTBOX_DB_URL_ADMIN='host=/nonexistent dbname=x'")
    cli.check("admin topics", 7, "database of the defaults", prefix="RUSTBOX_CONFIG= RUSTBOX_DB_URL_ADMIN='host=/nonexistent dbname=x'")


def pages(cli):
    """The command that a list prints for its next page, run, asks for the same rows from there on."""
    for words in ("list", "list --limit 3", "list --verdict TLE --language c --limit 500",
                  "list --label " + shlex.quote("who:it's \"$HOME\" `me`;#\n*"), f"webhook deliveries {ID} --state dead", "webhook list --limit 7"):
        cli.check(words, 0, key="pages", shell="| sed '/^more: /,$!d; s/^more: //' >next")
        first = Api.seen[-1] if Api.seen else ""
        cli.check(words, 0, key="pages", shell=">/dev/null; . ./next >/dev/null")
        asked = [urllib.parse.parse_qsl(seen.partition("?")[2]) for seen in Api.seen]
        cli.check_that(f"{words}: the page after {first} is asked for as {Api.seen}", len(asked) == 2 and
                       sorted(asked[1]) == sorted(asked[0] + [("cursor", "next 'page")]) and
                       Api.seen[1].partition("?")[0] == first.partition("?")[0])
    cli.check("list --api http://127.0.0.1:1 --limit 2", 7, "is the service running")
    url = cli.env["RUSTBOX_API"]
    cli.check(f"list --api {url} --key pages", 0, prefix="RUSTBOX_API=http://127.0.0.1:1", shell=f"| grep -qF -- '--api {url} --cursor '")
    cli.check("list --key pages", 0, shell="| grep -q '^more: rustbox list --cursor'")


def time_limits(cli):
    began = time.monotonic()
    cli.check("list", 7, "too many", key="later:3600")
    cli.check("submit a.py", 7, "too many", key="later:3600")
    cli.check_that(f"told to come back in an hour, it waited {time.monotonic() - began:.1f} s", time.monotonic() - began < 5)
    cli.check("list", 7, "too many", key="later:1")
    cli.check_that(f"told to come back in a second, it asked {len(Api.seen)} times", len(Api.seen) == 6)
    for words in ("submit a.py --timeout 2", f"watch {ID} --timeout 2"):
        began = time.monotonic()
        cli.check(words, 11, "after 2 s", key="pending")
        waited = time.monotonic() - began
        cli.check_that(f"{words} took {waited:.1f} s", 1.9 <= waited < 4)
    cli.check("submit a.py --no-wait --timeout 2", 11, key="pending")
    cli.check_that("--no-wait asks once and does not wait", Api.seen == ["POST /api/submit?wait=false"])


def main():
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Api)
    server.daemon_threads = True
    threading.Thread(target=server.serve_forever, daemon=True).start()
    with tempfile.TemporaryDirectory(prefix="rustbox-cli-") as folder:
        for name, text in (("a.py", b"print(1)\n"), ("a.xyz", b"print(1)\n"), ("binary.py", b"\xff\xfe"), ("object.json", b"{}"),
                           ("twice.json", b'[{"stdin": "1", "stdin": "2"}]'), ("broken.json", b"[\n{,}]"),
                           ("none.conf", b"[db]\nurl_balance = host=/nonexistent dbname=x\n")):
            with open(os.path.join(folder, name), "wb") as file:
                file.write(text)
        cli = Cli(os.path.join(os.path.abspath(os.environ["RUSTBOX_BUILD"]), "bin/rustbox"), server.server_port, folder)
        for part in (outputs, descriptors, inputs, pages, time_limits):
            part(cli)
    print(f"{cli.checks} checks, {cli.findings} findings")
    return 1 if cli.findings else 0


if __name__ == "__main__":
    sys.exit(main())
