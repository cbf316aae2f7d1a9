#!/usr/bin/python3
"""The gateway before the whole pipeline: what clients are told when everything runs, when the gateway dies,
when the database is away and comes back, and when thousands wait at once.

    gateway_pipeline.py [--stack DIR] [--waiters N] [--only PART,...]

Starts a private stack (programs from $RUSTBOX_BUILD). Exit status: 0 all held, 1 something did not, 77 skipped."""
import argparse
import base64
import contextlib
import json
import os
import signal
import subprocess
import sys
import threading
import time
import urllib.error
import urllib.request

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path.insert(0, os.path.join(HERE, "..", "fault"))
sys.path.insert(0, HERE)
from gateway_waiters import Waiters  # noqa: E402
from stack import balance_findings, own_stack  # noqa: E402

ABSENT = "01a20a65-7fc4-75a2-b8fd-24c87398a4ff"
WAIT_S = 5  # of wait=true while the parts other than the last run
findings = []
begin = time.monotonic()


def note(text):
    print(f"{time.monotonic() - begin:6.1f} s  {text}", flush=True)


def check(what, held, detail=""):
    if held:
        note(f"ok: {what}")
    else:
        findings.append(what)
        note(f"FAILED: {what}: {str(detail)[:600]}")


class Api:
    def __init__(self, stack):
        self.stack, self.url, self.key = stack, stack.env["RUSTBOX_API"], stack.env["RUSTBOX_KEY"]

    def ask(self, path, body=None, key=None, timeout=40, **headers):
        """(status, JSON, headers); status 0 when there was no answer."""
        sent = {"X-API-Key": key or self.key, "Content-Type": "application/json"}
        sent.update({name.replace("_", "-"): value for name, value in headers.items()})
        data = json.dumps(body).encode() if body is not None else None
        request = urllib.request.Request(self.url + path, data, sent)
        try:
            with urllib.request.urlopen(request, timeout=timeout) as answer:
                return answer.status, json.load(answer), answer.headers
        except urllib.error.HTTPError as error:
            text = error.read()
            return error.code, json.loads(text) if text.startswith(b"{") else text, error.headers
        except OSError as error:
            return 0, {"no answer": str(error)}, {}

    def submit(self, code, wait=False, **more):
        path = "/api/submit?wait=" + ("true" if wait else "false")
        return self.ask(path, {"language": "python", "code": code}, **more)

    def result(self, ident, **more):
        return self.ask("/api/result/" + ident, **more)

    def until(self, ident, states, seconds=15):
        """The result once its state is one of `states`, else the last one."""
        end = time.monotonic() + seconds
        while True:
            status, body, _ = self.result(ident)
            if (status == 200 and body["job_status"] in states) or time.monotonic() > end:
                return status, body
            time.sleep(0.02)

    def ready(self, seconds=20):
        end = time.monotonic() + seconds
        while time.monotonic() < end:
            if self.ask("/api/health/ready")[0] == 200:
                return True
            time.sleep(0.05)
        return False


def service(stack, verb, name):
    subprocess.run(["sv", "-w", "20", verb, os.path.join(stack.dir, "service", name)], check=True,
                   stdout=subprocess.DEVNULL)


@contextlib.contextmanager
def without(stack, name):
    service(stack, "down", name)
    try:
        yield
    finally:
        service(stack, "up", name)


@contextlib.contextmanager
def without_postgres(stack):
    """A fast shutdown: SIGTERM alone would wait for every client to leave."""
    pid = stack.pid("postgres")
    directory = os.path.join(stack.dir, "service", "postgres")
    subprocess.run(["sv", "once", directory], check=True, stdout=subprocess.DEVNULL)
    os.kill(pid, signal.SIGINT)
    while os.path.exists(f"/proc/{pid}"):
        time.sleep(0.02)
    try:
        yield
    finally:
        service(stack, "up", "postgres")


def set_wait(stack, api, seconds, waiters=10000):
    """Changes gateway.wait_timeout and max_waiters, and starts the gateway again."""
    path = stack.env["RUSTBOX_CONFIG"]
    with open(path) as file:
        lines = [line for line in file if not line.startswith(("wait_timeout", "max_waiters"))]
    lines.insert(lines.index("[gateway]\n") + 1, f"wait_timeout = {seconds}s\nmax_waiters = {waiters}\n")
    with open(path, "w") as file:
        file.writelines(lines)
    service(stack, "restart", "gateway")
    check(f"ready again, wait_timeout {seconds} s", api.ready())


class Admin:
    """`rustbox admin ... --json` as a running process."""
    def __init__(self, stack, *words):
        self.process = subprocess.Popen([os.path.join(stack.env["RUSTBOX_BIN"], "rustbox"), "admin", *words, "--json",
                                         "--config", stack.env["RUSTBOX_CONFIG"]], stdout=subprocess.PIPE, text=True)

    def done(self):
        text = self.process.communicate(timeout=30)[0]
        if self.process.returncode:
            raise RuntimeError(f"{self.process.args} ended with {self.process.returncode}")
        return json.loads(text)


def second_key(stack, plan="standard"):
    project = Admin(stack, "project", "create", "--name", "b", "--plan", plan).done()["id"]
    return Admin(stack, "key", "create", "--label", "b", "--project", project).done()["key"]


def part_keys(stack, api):
    """A new key is accepted as soon as the command that made it has ended, however far the gateway's reading is behind."""
    project = api.ask("/api/projects")[1]["projects"][0]["id"]
    gateway = stack.pid("gateway")
    os.kill(gateway, signal.SIGSTOP)
    try:
        create = Admin(stack, "key", "create", "--project", project)
        time.sleep(1.5)
        check("key create waits for the gateway", create.process.poll() is None)
    finally:
        os.kill(gateway, signal.SIGCONT)
    status, body, _ = api.ask("/api/usage", key=create.done()["key"])
    check("its key is accepted at once", status == 200, (status, body))
    with without(stack, "gateway"):
        begun = time.monotonic()
        Admin(stack, "key", "create", "--project", project).done()
        check("a gateway that is not there is not waited for", time.monotonic() - begun < 4)
    check("ready again", api.ready())


def difference(one, other):
    return {name: (one.get(name), other.get(name)) for name in {*one, *other} if one.get(name) != other.get(name)}


def part_ordinary(stack, api):
    status, body, _ = api.submit("print(6 * 7)", wait=True)
    check("wait answers 200 with the verdict", (status, body.get("verdict"), body.get("stdout")) == (200, "AC", "42\n"), body)
    status, body, _ = api.submit("import time; time.sleep(1.5)")
    ident = body.get("id", ABSENT)
    check("async answers 202", status == 202 and body.get("job_status") == "pending" and "verdict" not in body, body)
    status, body = api.until(ident, ["running"], 1.2)
    check("running is seen, without the key `verdict`", body.get("job_status") == "running" and "verdict" not in body
          and body.get("started_at"), body)
    status, body = api.until(ident, ["completed"])
    check("then terminal", (status, body.get("verdict")) == (200, "AC"), body)
    health = api.ask("/api/health")[1]
    check("health tells one worker and the mode that the evidence tells",
          (health.get("workers"), health.get("enforcement_mode")) == (1, body["evidence"]["isolation_mode"]), health)

    with without(stack, "execute"):
        status, body, _ = api.submit("print(1)")
        ident = body.get("id", ABSENT)
        status, body, _ = api.result(ident)
        check("pending, without the key `verdict`", status == 200 and body["job_status"] == "pending"
              and "verdict" not in body, body)
    api.until(ident, ["completed"])

    status, first, _ = api.submit("print('k')", wait=True, Idempotency_Key="pipe-1")
    check("keyed, with wait", status == 200 and first.get("verdict") == "AC", first)
    status, again, _ = api.submit("print('k')", wait=True, Idempotency_Key='"pipe-1"')
    check("keyed repeat with wait: the same result", status == 200 and again == first, again)
    status, again, _ = api.submit("print('k')", Idempotency_Key="pipe-1")
    check("keyed repeat: the same id", (status, again.get("id")) == (202, first.get("id")), again)
    status, body, _ = api.submit("print('other')", Idempotency_Key="pipe-1")
    check("conflict", (status, body.get("error")) == (422, "idempotency_conflict"), body)

    key = second_key(stack)
    end = time.monotonic() + 3
    while api.ask("/api/languages", key=key)[0] != 200 and time.monotonic() < end:
        time.sleep(0.05)
    check("another project's id", api.result(first["id"], key=key)[0] == 404)
    check("an unknown id", api.result(ABSENT)[0] == 404)

    raw = b"a\0b\xff\n"
    status, body, _ = api.submit(f"import sys; sys.stdout.buffer.write({raw!r}); sys.stderr.write('fine')", wait=True)
    check("NUL and bytes that are not UTF-8 have a twin field", status == 200
          and base64.b64decode(body.get("stdout_base64") or "") == raw and "�" in body["stdout"]
          and "stderr_base64" not in body and body["stderr"] == "fine", body)


    health = api.ask("/api/health")[1]
    check("health tells processes of execute apart", health.get("workers") == 2, health)  # it was started again
    check("metrics: requests by path and status", metric(stack, 'http_requests_total{answer="/api/submit 422"}') >= 1
          and metric(stack, 'http_requests_total{answer="/api/result/ 404"}') >= 2)
    check("metrics: produce latency, memory of the tails", metric(stack, "produce_seconds_count") >= 5
          and metric(stack, 'tail_bytes{topic="verdicts"}') > 0)


# Of today and the standing class; times end where ids of the test itself begin.
FILL = """
    CREATE FUNCTION pg_temp.id(n int) RETURNS uuid LANGUAGE sql AS $$
        SELECT (lpad(to_hex((extract(epoch FROM current_date) * 1000)::bigint + n), 12, '0') || '7000' || '8' || substr(md5(n::text), 1, 15))::uuid $$;
    INSERT INTO rustbox.submissions (class, day, id, project_id, decision, partition, log_offset, key_number, fingerprint, language,
                                     profile, lane, created_at, closed)
    SELECT 30, current_date, pg_temp.id(n), '{project}', 'admit', 0, -n, n, sha256(n::text::bytea), 'c', 'judge', 0, current_date, true
    FROM generate_series(1, 10000) n;
    INSERT INTO rustbox.evidence (class, day, id, project_id, state, verdict, cause, language, profile, exit_code, cpu_ns, wall_ns,
                                  memory_peak_bytes, stdout_bytes, stderr_bytes, created_at, started_at, completed_at, key_number, sealed,
                                  body_hash, partition, log_offset)
    SELECT 30, current_date, pg_temp.id(n), '{project}', 'stored', 'AC', 'ok', 'c', 'judge', 0, 1, 1, 1, 1, 1, current_date, current_date,
           current_date, n, decode(repeat(md5(n::text), 20), 'hex'), sha256('x'), 0, -n
    FROM generate_series(1, 10000) n;
    SELECT pg_temp.id(n * 100) FROM generate_series(1, 100) n"""
TOUCHED = """SELECT sum(heap_blks_hit + heap_blks_read + coalesce(idx_blks_hit + idx_blks_read, 0)) FROM pg_statio_user_tables
    WHERE relname ~ '^(submissions|evidence)_'"""


def part_many(stack, api):
    """A look-up touches some pages, whatever is stored: of an id that is there (its key is not, so it is not shown), and of one that
    is not."""
    project = api.ask("/api/projects")[1]["projects"][0]["id"]
    there = [word for word in stack.sql(FILL.replace("{project}", project)).split() if len(word) == 36]
    absent = [ident[:-4] + "beef" for ident in there]
    for what, ids in (("stored", there), ("unknown", absent)):
        before = int(stack.sql(TOUCHED))
        statuses = {api.result(ident)[0] for ident in ids}
        time.sleep(1.1)
        api.result(ids[0])  # PostgreSQL publishes a connection's counts once a second
        each = (int(stack.sql(TOUCHED)) - before) / (len(ids) + 1)
        check(f"a look-up of {what} ids among 10,000 touches {each:.0f} pages", 0 < each < 150, statuses)
    stack.sql("DELETE FROM rustbox.evidence WHERE log_offset < 0; DELETE FROM rustbox.submissions WHERE log_offset < 0")


# Of the latest project, without a verdict.
OPEN = """
    INSERT INTO rustbox.submissions (class, day, id, project_id, decision, partition, log_offset, key_number, fingerprint, language,
                                     profile, lane, created_at, closed)
    SELECT 30, current_date, gen_random_uuid(), id, 'admit', 0, -n, n, sha256(n::text::bytea), 'c', 'judge', 0, current_date, false
    FROM generate_series(1, 60) n, (SELECT id FROM rustbox.projects ORDER BY created_at DESC LIMIT 1) latest"""


def part_limit(stack, api):
    """Submissions that follow each other quickly are counted although their tail is read in gathered fetches."""
    key = second_key(stack, "trial")  # at most 100 without a verdict
    with without(stack, "admit"):
        stack.sql(OPEN)
        api.submit("print(1)", key=key)
        time.sleep(0.8)  # the stored ones are read 4 times a second
        statuses = [api.submit("print(1)", key=key)[0] for _ in range(45)]
        check("as many submissions as the plan allows to be open, not one more", statuses == [202] * 39 + [429] * 6,
              statuses)
        stack.sql("DELETE FROM rustbox.submissions WHERE log_offset < 0")


def waiting(api, clients, each, keyed=False):
    """What so many clients at once are answered, each submitting so many, one after the other."""
    answers = []

    def client(who):
        for n in range(each):
            key = {"Idempotency_Key": f"t-{who}-{n}"} if keyed else {}
            status, body, _ = api.submit(f"print({who}, {n})", wait=True, **key)
            answers.append((status, body.get("verdict"), body.get("stdout") == f"{who} {n}\n"))

    threads = [threading.Thread(target=client, args=(who,)) for who in range(clients)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return answers


def part_together(stack, api):
    """While the sandboxes have work enough, submissions of the same 16 ms travel together; a lone client's never wait."""
    def held():
        return metric(stack, "submissions_held_total")

    before = max(held(), 0)
    check("one client is answered", waiting(api, 1, 10) == [(200, "AC", True)] * 10)
    check("its submissions were not held", max(held(), 0) == before, held())
    check("24 clients are answered", waiting(api, 24, 5) == [(200, "AC", True)] * 120)
    between = held()
    check("most of theirs were held", between - before > 60, between)
    check("24 clients with keys are answered", waiting(api, 24, 2, keyed=True) == [(200, "AC", True)] * 48)
    check("keyed ones are not held", held() == between, held())


def part_examples(stack, api):
    done = subprocess.run(["/usr/bin/python3", os.path.join(HERE, "openapi_examples.py"), "--api", api.url,
                           "--key", api.key], capture_output=True, text=True)
    check(f"openapi: {done.stdout.splitlines()[-1] if done.stdout else 'nothing'}", done.returncode == 0,
          done.stdout + done.stderr)


def part_killed(stack, api):
    _, old, _ = api.submit("print('old')", wait=True)
    with without(stack, "execute"):
        ident = api.submit("print('pending')")[1]["id"]
        api.result(ident)
        stack.kill("gateway")
        came = time.monotonic()
        check("ready after kill -9", api.ready())
        note(f"ready {time.monotonic() - came:.2f} s after the kill was seen")
        status, body, _ = api.result(old["id"])
        check("an old result at once", status == 200 and body == old, body)
        status, body, _ = api.result(ident)
        check("a pending one at once", (status, body.get("job_status")) == (200, "pending"), body)
        check("an unknown id: still 404", api.result(ABSENT)[0] == 404)
    status, body = api.until(ident, ["completed"])
    check("which then ends", body.get("verdict") == "AC", body)


def part_database(stack, api):
    _, first, _ = api.submit("print('owner')", wait=True, Idempotency_Key="pipe-db")
    slow = api.submit("import time; time.sleep(3); print('late')")[1]["id"]
    api.until(slow, ["running"], 2)
    answers = {}
    with without_postgres(stack):
        waiter = threading.Thread(target=lambda: answers.update(wait=api.submit("print('w')", wait=True)))
        waiter.start()
        status, body, _ = api.submit("print('during')")
        during = body.get("id", ABSENT)
        check("database away: accepted", status == 202, body)
        status, body, _ = api.result(during)
        check("database away: pending", (status, body.get("job_status")) == (200, "pending"), body)
        repeat = api.submit("print('owner')", Idempotency_Key="pipe-db")
        clash = api.submit("print('not owner')", Idempotency_Key="pipe-db")
        check("database away: keyed answers 202", (repeat[0], clash[0]) == (202, 202), (repeat[:2], clash[:2]))
        status, body, _ = api.result(ABSENT)
        check("database away: an unknown id is no guessed 404", status == 503, body)
        status, body, _ = api.ask("/api/submissions")
        check("database away: a list", status == 503, body)
        status, body = api.until(slow, ["completed"], 6)
        check("database away: the verdict of a job admitted before is told from the log",
              (status, body.get("stdout")) == (200, "late\n"), body)
        waiter.join()
        status, body, _ = answers["wait"]
        check("database away: wait ends in 408 with the id", status == 408 and body.get("id")
              and body.get("error"), body)
    for what, ident, code in (("the one during", during, "during\n"), ("the wait's", body["id"], "w\n"),
                              ("the slow one", slow, "late\n")):
        status, body = api.until(ident, ["completed"], 20)
        check(f"database back: {what} is closed", (status, body.get("stdout")) == (200, code), body)
    status, body = api.until(repeat[1]["id"], ["completed"], 20)
    # created_at is told from the id, and the digest covers the id that is shown
    digests = [result["evidence"].pop("digest") for result in (first, body)]
    differs = difference(first, body)
    check("an alias id resolves to the owner's result", status == 200 and body["stdout"] == "owner\n"
          and set(differs) == {"id", "created_at"} and digests[0] != digests[1], differs)
    status, body = api.until(clash[1]["id"], ["error"], 20)
    check("a conflict found later ends as IE", body.get("verdict") == "IE"
          and body["evidence"]["verdict_cause"] == "ie_rejected_conflict", body)
    check("an unknown id: 404 again", api.result(ABSENT)[0] == 404)
    for finding in balance_findings(stack.drain(20), 20):
        check(finding, False)


def metric(stack, name):
    """One value of the gateway's /metrics; -1 when it is not there."""
    with urllib.request.urlopen(stack.env["RUSTBOX_ADMIN"] + "/metrics", timeout=5) as answer:
        for line in answer.read().decode().splitlines():
            if line.startswith("rustbox_" + name + " "):
                return float(line.split()[-1])
    return -1


def resident(pid):
    with open(f"/proc/{pid}/status") as file:
        return next(int(line.split()[1]) * 1024 for line in file if line.startswith("VmRSS"))


def part_waiters(stack, api, count):
    pid, port = stack.pid("gateway"), int(api.url.rsplit(":", 1)[1])
    api.submit("pass", wait=True)
    before = resident(pid)
    with without(stack, "execute"):
        started = time.monotonic()
        waiters = Waiters(port, api.key, count)
        waiters.read(1)
        took = time.monotonic() - started
        check(f"{count} clients wait", waiters.unanswered() == count, waiters.counts())
        each = (resident(pid) - before) / count
        note(f"{count} waiters parked within {took:.1f} s, {each:.0f} bytes of the gateway's RSS each")
        check("a waiter costs less than 20 kB", each < 20000, each)
        asked = time.monotonic()
        status, body, _ = api.submit("print(3)")
        status2, _, _ = api.result(body.get("id", ABSENT))
        took = time.monotonic() - asked
        check(f"others are answered meanwhile, in {took * 1000:.0f} ms", (status, status2) == (202, 200) and took < 1)
        produced = metric(stack, 'records_out_total{topic="submissions"}')
        status, body, headers = api.submit("print(4)", wait=True)
        check("one more than max_waiters: refused", status == 503 and "nothing was accepted" in body["message"]
              and headers.get("Retry-After"), (status, body))
        check("and nothing was produced", metric(stack, 'records_out_total{topic="submissions"}') == produced)
        left = waiters.leave(count // 2)
        end = time.monotonic() + 5
        while metric(stack, "waiting_requests") > count - left and time.monotonic() < end:
            time.sleep(0.02)
        check(f"{left} clients left: released", metric(stack, "waiting_requests") == count - left)
    waiters.read(45)
    counts = waiters.counts()
    note(f"the others were answered: {counts}, {time.monotonic() - started:.1f} s after the first came")
    check("the rest is answered, 200 or 408", waiters.unanswered() == 0 and set(counts) <= {200, 408}
          and counts.get(200, 0) > 0, (counts, waiters.broken))
    waiters.close()


def part_stopped(stack, api, count):
    """A stopping gateway tells every waiting client its id, and that id is known afterwards."""
    with without(stack, "execute"):
        waiters = Waiters(int(api.url.rsplit(":", 1)[1]), api.key, count)
        end = time.monotonic() + 60
        while metric(stack, "waiting_requests") < count and time.monotonic() < end:
            waiters.read(0.2)
        check(f"{count} clients wait, none is answered yet", waiters.unanswered() == count, waiters.counts())
        pid, began = stack.pid("gateway"), time.monotonic()
        subprocess.run(["sv", "down", os.path.join(stack.dir, "service", "gateway")], check=True, stdout=subprocess.DEVNULL)
        waiters.read(30)
        while os.path.exists(f"/proc/{pid}") and time.monotonic() < began + 30:
            time.sleep(0.02)
        note(f"stopped {time.monotonic() - began:.1f} s after SIGTERM; answers {waiters.counts()}")
        check("each was answered 408", waiters.counts() == {408: count} and not waiters.broken, waiters.broken)
        ids = {json.loads(text.split(b"\r\n\r\n", 1)[1])["id"] for text in waiters.text.values()}
        check("each with an id of its own", len(ids) == count, len(ids))
        waiters.close()
        service(stack, "up", "gateway")
        check("ready again", api.ready())
        states = [api.result(ident)[:2] for ident in sorted(ids)[::max(1, count // 200)]]
        check("the ids are known", all(status == 200 and body["job_status"] == "pending" for status, body in states),
              [state for state in states if state[0] != 200][:3])


def part_ended(stack, api, count):
    """Nobody leaves and nothing is judged: each waits to its ordinary end, and its program is judged afterwards."""
    with without(stack, "execute"):
        waiters = Waiters(int(api.url.rsplit(":", 1)[1]), api.key, count)
        began = time.monotonic()
        waiters.read(75)
        note(f"{time.monotonic() - began:.1f} s after the last was sent: answers {waiters.counts()}")
        check(f"each of {count} waits ended in 408", waiters.counts() == {408: count} and not waiters.broken, waiters.broken)
        ids = {json.loads(text.split(b"\r\n\r\n", 1)[1])["id"] for text in waiters.text.values()}
        check("each with an id of its own", len(ids) == count, len(ids))
        waiters.close()
    for finding in balance_findings(stack.drain(60 + count // 10), 60 + count // 10):
        check(finding, False)
    states = [api.result(ident)[:2] for ident in sorted(ids)]
    check("afterwards each id has its verdict", all(status == 200 and body.get("verdict") == "AC" for status, body in states),
          [state for state in states if state[1].get("verdict") != "AC"][:3])


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--stack", help="state directory of a running stack (default: a private one)")
    parser.add_argument("--waiters", type=int, default=1500)
    parser.add_argument("--only", default="ordinary,keys,limit,together,many,examples,killed,database,waiters,stopped")
    options = parser.parse_args()
    if os.geteuid():
        print("skipped: starting a stack needs root")
        return 77
    parts = options.only.split(",")
    with own_stack(options.stack) as stack:
        note("the stack runs")
        api = Api(stack)
        if "ordinary" in parts:
            part_ordinary(stack, api)
        if "keys" in parts:
            part_keys(stack, api)
        if "limit" in parts:
            part_limit(stack, api)
        if "together" in parts:
            part_together(stack, api)
        if "many" in parts:
            part_many(stack, api)
        if "examples" in parts:
            part_examples(stack, api)
        if "killed" in parts:
            part_killed(stack, api)
        if "database" in parts:
            set_wait(stack, api, WAIT_S)
            part_database(stack, api)
        if "waiters" in parts:
            set_wait(stack, api, min(30, 12 + options.waiters // 500), options.waiters)
            part_waiters(stack, api, options.waiters)
        if "ended" in parts:  # by hand: it takes as long as the wait and the judging of all
            set_wait(stack, api, 30, options.waiters)
            part_ended(stack, api, options.waiters)
        if "stopped" in parts:
            if "waiters" not in parts:
                set_wait(stack, api, 30, options.waiters)
            part_stopped(stack, api, options.waiters)
    note(f"{len(findings)} findings")
    return 1 if findings else 0


if __name__ == "__main__":
    sys.exit(main())
