#!/usr/bin/python3
"""Webhooks on real servers: the API and the command line, what relay publishes, what a receiver gets.

    webhooks.py [--stack DIR]

Starts a private stack (programs from $RUSTBOX_BUILD). Exit status: 0 all held, 1 something did not, 77 skipped."""
import argparse
import base64
import hashlib
import hmac
import http.server
import json
import os
import subprocess
import sys
import threading
import time
import urllib.error
import urllib.request

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path.insert(0, os.path.join(HERE, "..", "fault"))
sys.path.insert(0, os.path.join(HERE, "..", "support"))
from openapi import Contract  # noqa: E402
from stack import balance_findings, own_stack  # noqa: E402

ABSENT = "01a20a65-7fc4-75a2-b8fd-24c87398a4ff"
findings = []
contract = Contract()
begin = time.monotonic()


def check(what, held, detail=""):
    if not held:
        findings.append(what)
    print(f"{time.monotonic() - begin:6.1f} s  {'ok' if held else 'FAILED'}: {what}"
          + ("" if held else f": {str(detail)[:700]}"), flush=True)


class Api:
    def __init__(self, stack, key=None):
        self.stack, self.url, self.key = stack, stack.env["RUSTBOX_API"], key or stack.env["RUSTBOX_KEY"]

    def ask(self, path, body=None, method=None, **headers):
        """(status, JSON)"""
        sent = {"X-API-Key": self.key}
        sent.update({name.replace("_", "-"): value for name, value in headers.items()})
        data = None
        if body is not None:
            sent["Content-Type"] = "application/json"
            data = json.dumps(body).encode() if not isinstance(body, bytes) else body
        request = urllib.request.Request(self.url + path, data, sent, method=method)
        try:
            with urllib.request.urlopen(request, timeout=40) as answer:
                status, value = answer.status, json.load(answer)
        except urllib.error.HTTPError as error:
            status, value = error.code, json.loads(error.read())
        if "Accept" not in headers:
            for line in contract.answer(path, request.get_method(), status, value):
                check("schemas/openapi.yaml", False, line)
        return status, value

    def want(self, what, status, path, body=None, method=None, says="", **headers):
        got, answer = self.ask(path, body, method, **headers)
        check(what, got == status and says in json.dumps(answer), f"status {got}, wanted {status} with '{says}': {answer}")
        return answer


def cli(stack, *args, key=None, ok=0):
    env = dict(stack.env, RUSTBOX_KEY=key or stack.env["RUSTBOX_KEY"])
    done = subprocess.run([os.path.join(stack.env["RUSTBOX_BIN"], "rustbox"), *args], env=env,
                          capture_output=True, text=True, timeout=60)
    if done.returncode != ok:
        check(f"rustbox {' '.join(args)}", False, f"exit status {done.returncode}: {done.stderr}{done.stdout}")
    return done.stdout if ok == 0 else done.stderr


def until(what, condition, seconds=20):
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        value = condition()
        if value:
            return value
        time.sleep(0.02)
    check(what, False, f"not within {seconds} s")
    return None


def keeps_schema(name, value):
    for line in contract.named(name, value):
        check("schemas/openapi.yaml", False, line)


# ---- a receiver ----

class Receiver(http.server.ThreadingHTTPServer):
    daemon_threads = True

    def __init__(self):
        self.got, self.answers, self.lock = [], {}, threading.Lock()
        super().__init__(("127.0.0.1", 0), Handler)
        threading.Thread(target=self.serve_forever, daemon=True).start()

    def at(self, path):
        with self.lock:
            return [one for one in self.got if one["path"] == path]

    def url(self, path):
        return f"http://127.0.0.1:{self.server_address[1]}{path}"


class Handler(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def log_message(self, *args):
        pass

    def do_POST(self):
        body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
        with self.server.lock:
            self.server.got.append({"path": self.path, "body": body, "at": time.time(),
                                    "headers": {k.lower(): v for k, v in self.headers.items()}})
            answers = self.server.answers.get(self.path, [])
            status = answers.pop(0) if answers else 204
        self.send_response(status)
        self.send_header("Content-Length", "0")
        self.end_headers()


def verified(one, secret):
    """The signature as Standard Webhooks 1.0 says it, computed here anew."""
    key = base64.b64decode(secret[6:]) if secret.startswith("whsec_") else secret.encode()
    head = one["headers"]
    signed = f"{head['webhook-id']}.{head['webhook-timestamp']}.".encode() + one["body"]
    wanted = "v1," + base64.b64encode(hmac.new(key, signed, hashlib.sha256).digest()).decode()
    return wanted in head["webhook-signature"].split(" ")


# ---- parts ----

def refusals(api):
    for what, body, says in (
            ("no body", b"", "empty"),
            ("no url", {}, "url: is required"),
            ("ftp", {"url": "ftp://example.com/"}, "must begin with https://"),
            ("credentials", {"url": "https://u:p@example.com/"}, "user name"),
            ("fragment", {"url": "https://example.com/#x"}, "fragment"),
            ("space", {"url": "https://example.com/a b"}, "spaces"),
            ("NUL", {"url": "https://example.com/\0"}, "NUL"),
            ("non-ASCII", {"url": "https://ex\u00e4mple.com/"}, "xn--"),
            ("2 kB", {"url": "https://example.com/" + "x" * 2048}, "1 to 2048 bytes"),
            ("metadata service", {"url": "https://169.254.169.254/"}, "may not reach"),
            ("private in hexadecimal", {"url": "https://0x0a000001/"}, "may not reach"),
            ("mapped", {"url": "https://[::ffff:10.0.0.1]/"}, "may not reach"),
            ("unknown event", {"url": "https://example.com/", "events": ["submission.begun"]}, "events: must be of"),
            ("a test as event", {"url": "https://example.com/", "events": ["webhook.test"]}, "events: must be of"),
            ("twice", {"url": "https://example.com/", "events": ["batch.completed", "batch.completed"]}, "twice"),
            ("no events", {"url": "https://example.com/", "events": []}, "1 to 64 items"),
            ("events as text", {"url": "https://example.com/", "events": "batch.completed"}, "must be an array"),
            ("algorithm", {"url": "https://example.com/", "algorithm": "md5"}, "v1 or v1a"),
            ("short secret", {"url": "https://example.com/", "secret": "whsec_c2hvcnQ="}, "24 to 64 bytes"),
            ("long secret", {"url": "https://example.com/", "secret": "whsec_" + "A" * 96}, "24 to 64 bytes"),
            ("raw secret", {"url": "https://example.com/", "secret": "just some text that is long"}, "whsec_"),
            ("unknown field", {"url": "https://example.com/", "retries": 3}, "not a field")):
        api.want(f"refused: {what}", 400, "/api/webhooks", body, "POST", says)
    for what, more, says in (
            ("no URL", {"webhook_secret": "12345678"}, "must come with webhook_url"),
            ("short", {"webhook_url": "https://example.com/", "webhook_secret": "1234567"}, "8 to 256"),
            ("long", {"webhook_url": "https://example.com/", "webhook_secret": "x" * 257}, "1 to 256 bytes"),
            ("inside", {"webhook_url": "https://10.0.0.1/", "webhook_secret": "12345678"}, "webhook_url: leads to")):
        api.want(f"refused in a submission: {what}", 400, "/api/submit",
                 dict({"language": "python", "code": "1"}, **more), "POST", says)


def endpoints(api, other):
    made = api.want("create", 200, "/api/webhooks", {"url": "https://example.com/a", "description": "grades"}, "POST")
    ident, secret = made["id"], made["secret"]
    check("a secret of 32 bytes", len(base64.b64decode(secret[6:])) == 32 and secret.startswith("whsec_"), made)
    check("default events", made["events"] == ["submission.completed", "submission.failed"], made)
    shown = api.want("show", 200, f"/api/webhooks/{ident}")
    check("the secret is not shown again", secret not in json.dumps(shown) and "secret" not in shown, shown)
    check("what was given", shown["url"] == "https://example.com/a" and shown["description"] == "grades"
          and shown["state"] == "active", shown)
    listed = api.want("list", 200, "/api/webhooks")
    check("listed", [row["id"] for row in listed["webhooks"]] == [ident], listed)
    check("neither url nor secret in the database", api.stack.sql(
        f"SELECT count(*) FROM rustbox.webhook_endpoints WHERE id = '{ident}' AND "
        "(position('example' in encode(sealed, 'escape')) > 0 OR position('whsec' in encode(sealed, 'escape')) > 0)") == "0")
    for method, path, body in (("GET", "", None), ("PATCH", "", {"description": "x"}), ("DELETE", "", None),
                               ("POST", "/rotate", {}), ("POST", "/test", None), ("POST", "/enable", None),
                               ("POST", "/disable", None), ("GET", "/deliveries", None), ("GET", "/attempts", None),
                               ("POST", "/redeliver", {"state": "dead"})):
        other.want(f"another project's: {method} {path}", 404, f"/api/webhooks/{ident}{path}", body, method)
        api.want(f"unknown: {method} {path}", 404, f"/api/webhooks/{ABSENT}{path}", body, method)
    check("another project's list", other.ask("/api/webhooks")[1]["webhooks"] == [])
    api.want("no UUID", 400, "/api/webhooks/17", says="not a UUID")
    api.want("no such verb", 404, f"/api/webhooks/{ident}/explode", b"{}", "POST")
    api.want("wrong method", 405, f"/api/webhooks/{ident}/rotate")
    api.want("PUT", 405, f"/api/webhooks/{ident}", {}, "PUT")
    problem = api.want("problem+json", 404, f"/api/webhooks/{ABSENT}", Accept="application/problem+json")
    check("RFC 9457", problem.get("status") == 404 and problem.get("type") == "urn:rustbox:error:not_found", problem)
    changed = api.want("update", 200, f"/api/webhooks/{ident}", {"url": "https://example.com/b", "events": ["endpoint.disabled"]},
                       "PATCH")
    check("updated, the rest kept", changed["url"].endswith("/b") and changed["description"] == "grades"
          and changed["events"] == ["endpoint.disabled"] and "secret" not in changed, changed)
    api.want("update with a bad url", 400, f"/api/webhooks/{ident}", {"url": "https://10.1.1.1/"}, "PATCH", "url: leads to")
    api.want("a secret by PATCH", 400, f"/api/webhooks/{ident}", {"secret": secret}, "PATCH", "rotate")
    rotated = api.want("rotate", 200, f"/api/webhooks/{ident}/rotate", method="POST")
    check("another secret, the old one for a day", rotated["secret"] != secret and len(rotated["secrets"]) == 2
          and rotated["secrets"][0]["expires_at"] is None and rotated["secrets"][1]["expires_at"], rotated)
    asym = api.want("rotate to v1a", 200, f"/api/webhooks/{ident}/rotate", {"algorithm": "v1a"}, "POST")
    check("a public key, no secret", asym["algorithm"] == "v1a" and "secret" not in asym
          and asym["secrets"][0]["public_key"].startswith("whpk_"), asym)
    for _ in range(2):
        api.want("rotate again", 200, f"/api/webhooks/{ident}/rotate", {}, "POST")
    api.want("rotate too often", 409, f"/api/webhooks/{ident}/rotate", {}, "POST", "in force")
    api.want("disable", 200, f"/api/webhooks/{ident}/disable", method="POST", says="disabled")
    api.want("a test of a disabled one", 404, f"/api/webhooks/{ident}/test", method="POST", says="disabled")
    api.want("redeliver of a disabled one", 404, f"/api/webhooks/{ident}/redeliver", {"state": "dead"}, "POST", "enable it")
    check("it says why", api.ask(f"/api/webhooks/{ident}")[1]["disabled_reason"] == "disabled by its project")
    api.want("enable", 200, f"/api/webhooks/{ident}/enable", method="POST", says="active")
    for what, body, says in (("nothing", {}, "say either"), ("both", {"message_id": ABSENT, "state": "dead"}, "say either"),
                             ("pending", {"state": "pending"}, "under way"), ("nonsense", {"state": "x"}, "must be pending"),
                             ("a bad id", {"message_id": "x" * 36}, "UUID"), ("a bad time", {"since": "yesterday"}, "like 2026"),
                             ("a time with a sign", {"since": "2026-11-23T-1:00:00Z"}, "like 2026")):
        api.want(f"redeliver {what}", 400, f"/api/webhooks/{ident}/redeliver", body, "POST", says)
    api.want("delete", 200, f"/api/webhooks/{ident}", method="DELETE", says="deleted")
    api.want("deleted", 404, f"/api/webhooks/{ident}")
    check("the row keeps no secret", api.stack.sql(
        f"SELECT sealed IS NULL FROM rustbox.webhook_endpoints WHERE id = '{ident}'") == "t")


def command_line(stack, key):
    made = json.loads(cli(stack, "webhook", "create", "https://example.com/cli", "--events", "batch.completed",
                          "--description", "by hand", "--json", key=key))
    ident = made["id"]
    check("cli: list", ident in cli(stack, "webhook", "list", key=key))
    check("cli: show", "by hand" in cli(stack, "webhook", "show", ident, key=key))
    check("cli: update", json.loads(cli(stack, "webhook", "update", ident, "--url", "https://example.com/2", "--json",
                                        key=key))["url"].endswith("/2"))
    check("cli: rotate", "whsec_" in cli(stack, "webhook", "rotate", ident, key=key))
    check("cli: deliveries", json.loads(cli(stack, "webhook", "deliveries", ident, "--json", key=key))["deliveries"] == [])
    check("cli: attempts", json.loads(cli(stack, "webhook", "attempts", ident, "--json", key=key))["attempts"] == [])
    check("cli: redeliver", "redelivered" in cli(stack, "webhook", "redeliver", ident, "--all-dead", key=key))
    check("cli: disable, enable", "disabled" in cli(stack, "webhook", "disable", ident, key=key)
          and "active" in cli(stack, "webhook", "enable", ident, key=key))
    check("cli: refusal", "may not reach" in cli(stack, "webhook", "create", "https://10.0.0.1/", key=key, ok=7))
    check("cli: bad id", "is not an id" in cli(stack, "webhook", "show", "17", key=key, ok=2))
    check("cli: nothing to change", "nothing to change" in cli(stack, "webhook", "update", ident, key=key, ok=2))
    check("cli: which", "say which" in cli(stack, "webhook", "redeliver", ident, key=key, ok=2))
    check("cli: delete", "deleted" in cli(stack, "webhook", "delete", ident, key=key))


def dead_letters(stack, config):
    """A stranger's record lies in dead; it can be seen, sent again (and is judged again), and deleted."""
    subprocess.run(["kcat", "-P", "-b", stack.env["RUSTBOX_BROKERS"], "-t", "rustbox.attempts", "-p", "3", "-H", "type=attempt/1"],
                   input=b"rubbish", check=True, timeout=30)
    rows = until("it is in dead", lambda: [json.loads(line) for line in cli(stack, "dead", "list", "--topic", "dead", "--json", *config).splitlines()])
    if not rows:
        return
    check("why and from where", rows[0]["from"] == "attempts" and "headers" in rows[0]["why"], rows)
    name = f"dead/{rows[0]['partition']}/{rows[0]['offset']}"
    check("cli: dead list", name in cli(stack, "dead", "list", *config))
    shown = cli(stack, "dead", "show", name, *config)
    check("cli: dead show", "dead-why" in shown and "rubbish" not in shown, shown)
    check("cli: dead redrive", "sent again" in cli(stack, "dead", "redrive", name, *config))
    until("it comes back", lambda: len(cli(stack, "dead", "list", "--json", *config).splitlines()) == 2)
    check("cli: dead purge asks", "would be deleted" in cli(stack, "dead", "purge", "--topic", "dead", *config))
    check("cli: dead purge", "were deleted" in cli(stack, "dead", "purge", "--topic", "dead", "--yes", *config))
    check("nothing is left", cli(stack, "dead", "list", *config) == "")
    check("cli: no such record", "there is no record" in cli(stack, "dead", "show", "dead/0/99", *config, ok=7))
    check("cli: no such topic", "say dead or webhooks.dead" in cli(stack, "dead", "show", "verdicts/0/1", *config, ok=2))


def relayed(api):
    """The outbox is published; a one-submission endpoint is registered by admit and told the bare body."""
    made = api.ask("/api/webhooks", {"url": "https://example.invalid/x"}, "POST")[1]
    status, body = api.ask("/api/submit?wait=true", {"language": "python", "code": "print(1)",
                                                     "webhook_url": "https://example.invalid/one", "webhook_secret": "a secret of v1"},
                           "POST")
    check("a submission with a webhook", status == 200 and body["verdict"] == "AC", body)
    rows = until("both messages are published", lambda: api.stack.sql(
        f"SELECT count(*) FROM rustbox.outbox WHERE submission_id = '{body['id']}' AND published_at IS NOT NULL") == "2")
    check("the outbox was published", rows is True)
    listed = api.ask(f"/api/webhooks/{made['id']}/deliveries")[1]["deliveries"]
    check("in the log of deliveries", len(listed) == 1 and listed[0]["submission_id"] == body["id"]
          and listed[0]["published"] is True, listed)
    status, answer = api.ask("/api/submit", {"language": "python", "code": "print(1)", "webhook_url": "https://example.invalid/two",
                                             "webhook_secret": "a secret of v1"}, "POST", Idempotency_Key="hook")
    check("keyed", status == 202, answer)
    api.want("another webhook_url under the same key", 422, "/api/submit", {
        "language": "python", "code": "print(1)", "webhook_url": "https://example.invalid/three", "webhook_secret": "a secret of v1"},
        "POST", Idempotency_Key="hook")
    api.want("delete", 200, f"/api/webhooks/{made['id']}", method="DELETE")


def delivered(stack, api):
    stack.drain(20)  # what the parts before closed late is told to nobody here
    receiver = Receiver()
    made = api.ask("/api/webhooks", {"url": receiver.url("/all"), "events": ["submission.completed", "submission.failed",
                                                                             "endpoint.disabled"]}, "POST")[1]
    ident, secret = made["id"], made["secret"]
    test = api.want("test delivery", 200, f"/api/webhooks/{ident}/test", method="POST")
    got = until("the test arrives", lambda: receiver.at("/all"))
    if not got:
        return
    check("its id", got[0]["headers"]["webhook-id"] == test["message_id"], got[0]["headers"])
    check("its signature", verified(got[0], secret), got[0]["headers"])
    check("its type", json.loads(got[0]["body"])["type"] == "webhook.test", got[0]["body"])
    status, body = api.ask("/api/submit?wait=true", {
        "language": "python", "code": "print('x' * 40000)", "webhook_url": receiver.url("/one"), "webhook_secret": "a secret of v1"},
        "POST")
    one = until("a one-submission webhook arrives", lambda: receiver.at("/one"))
    both = until("the project's arrives", lambda: len(receiver.at("/all")) == 2 and receiver.at("/all"))
    if not one or not both:
        return
    bare, full = json.loads(one[0]["body"]), json.loads(both[1]["body"])
    keeps_schema("ResultCut", bare)
    keeps_schema("MessageSubmission", full)
    keeps_schema("MessageTest", json.loads(got[0]["body"]))
    check("the bare body", bare["id"] == body["id"] and bare["verdict"] == "AC", bare)
    check("signed with the raw secret", verified(one[0], "a secret of v1"))
    check("the standard body", full["type"] == "submission.completed" and full["data"]["id"] == body["id"]
          and full["timestamp"] == body["completed_at"], full)
    check("at most 20 kB, and says that it was cut", len(both[1]["body"]) <= 20480 and full["data"]["stdout_truncated"] is True
          and full["data"]["result_url"] == f"/api/result/{body['id']}" and set(full["data"]["stdout"]) == {"x"}, len(both[1]["body"]))
    log = until("both attempts are stored", lambda: (lambda rows: rows if len(rows) == 2 else None)(
        api.ask(f"/api/webhooks/{ident}/attempts")[1]["attempts"]))
    check("attempts: time, address, status, latency", log and log[0]["address"] == "127.0.0.1" and log[0]["status"] == 204
          and log[0]["latency_ms"] > 0 and log[0]["outcome"] == "delivered", log)
    check("the one-submission endpoint is gone", until("its row is closed", lambda: stack.sql(
        "SELECT count(*) FROM rustbox.webhook_endpoints WHERE kind = 'submission' AND "
        f"submission_id = '{body['id']}' AND deleted_at IS NOT NULL") == "1"))
    unsigned(api, receiver)
    conflict(api, receiver)
    retried(api, receiver, ident, secret)
    rotation(api, receiver, ident, secret)
    gone(api, receiver, ident)


def unsigned(api, receiver):
    """A v1 client that brings no secret: told with id and timestamp, without a signature."""
    api.ask("/api/submit?wait=true", {"language": "python", "code": "print(4)", "webhook_url": receiver.url("/bare")}, "POST")
    got = until("a webhook without a secret arrives", lambda: receiver.at("/bare"))
    check("id and timestamp, no signature", got and "webhook-signature" not in got[0]["headers"]
          and got[0]["headers"]["webhook-id"] and got[0]["headers"]["webhook-timestamp"], got)


def conflict(api, receiver):
    """Nobody is told of a key that was used twice: its sender was answered 422 and knows no id."""
    def body(code):
        return {"language": "python", "code": code, "webhook_url": receiver.url("/conflict"), "webhook_secret": "a secret of v1"}
    first = api.want("the first of a key", 200, "/api/submit?wait=true", body("print(5)"), "POST", Idempotency_Key="twice")
    until("is told", lambda: receiver.at("/conflict"))
    before = len(receiver.at("/all"))
    api.want("another body", 422, "/api/submit?wait=true", body("print(6)"), "POST", Idempotency_Key="twice")
    last = api.want("one after it", 200, "/api/submit?wait=true", {"language": "python", "code": "print(7)"}, "POST")
    until("is told too", lambda: [one for one in receiver.at("/all") if last["id"].encode() in one["body"]])
    check("the conflict is not", len(receiver.at("/all")) == before + 1 and len(receiver.at("/conflict")) == 1
          and first["id"].encode() in receiver.at("/conflict")[0]["body"], len(receiver.at("/all")) - before)


def retried(api, receiver, ident, secret):
    receiver.answers["/all"] = [500]
    before = len(receiver.at("/all"))
    _, body = api.ask("/api/submit?wait=true", {"language": "python", "code": "print(2)"}, "POST")
    got = until("a retry after 5 s", lambda: len(receiver.at("/all")) == before + 2 and receiver.at("/all")[before:], 12)
    if not got:
        return
    check("between 4.5 and 6 s", 4.4 <= got[1]["at"] - got[0]["at"] <= 6.0, got[1]["at"] - got[0]["at"])
    check("same id, same bytes, fresh timestamp", got[0]["headers"]["webhook-id"] == got[1]["headers"]["webhook-id"]
          and got[0]["body"] == got[1]["body"] and got[0]["headers"]["webhook-timestamp"] != got[1]["headers"]["webhook-timestamp"]
          and verified(got[1], secret))
    message = got[0]["headers"]["webhook-id"]
    until("delivered after a retry", lambda: [row for row in api.ask(f"/api/webhooks/{ident}/deliveries?state=delivered")[1]["deliveries"]
                                              if row["message_id"] == message and row["attempts"] == 2])
    again = api.want("redeliver one", 200, f"/api/webhooks/{ident}/redeliver", {"message_id": message}, "POST")
    check("one", again["redelivered"] == 1, again)
    got = until("it arrives again", lambda: len(receiver.at("/all")) == before + 3 and receiver.at("/all")[before:])
    check("under the same id", got and got[2]["headers"]["webhook-id"] == message and got[2]["body"] == got[0]["body"])
    until("a second generation is delivered", lambda: [
        row for row in api.ask(f"/api/webhooks/{ident}/deliveries?state=delivered")[1]["deliveries"]
        if row["message_id"] == message and row["generation"] == 1])
    many = api.want("redeliver a range", 200, f"/api/webhooks/{ident}/redeliver", {"since": "2020-01-01T00:00:00Z"}, "POST")
    check("all of them", many["redelivered"] >= 3, many)
    until("they arrive", lambda: len(receiver.at("/all")) == before + 3 + many["redelivered"])


def rotation(api, receiver, ident, secret):
    fresh = api.ask(f"/api/webhooks/{ident}/rotate", {}, "POST")[1]["secret"]
    before = len(receiver.at("/all"))

    def arrived():
        api.ask(f"/api/webhooks/{ident}/test", method="POST")
        time.sleep(0.3)
        return [one for one in receiver.at("/all")[before:] if verified(one, fresh)]
    got = until("a message signed with the new secret", arrived)
    check("the old secret signs too, the new one first", got and verified(got[0], secret)
          and got[0]["headers"]["webhook-signature"].count("v1,") == 2, got)


def gone(api, receiver, ident):
    other = api.ask("/api/webhooks", {"url": receiver.url("/gone"), "events": ["submission.completed"]}, "POST")[1]
    receiver.answers["/gone"] = [410]
    api.ask("/api/submit?wait=true", {"language": "python", "code": "print(3)"}, "POST")
    until("410 disables", lambda: api.ask(f"/api/webhooks/{other['id']}")[1]["state"] == "disabled")
    told = until("the other endpoint is told", lambda: [one for one in receiver.at("/all")
                                                        if json.loads(one["body"])["type"] == "endpoint.disabled"])
    keeps_schema("MessageDisabled", json.loads(told[0]["body"]) if told else {})
    check("which one and why", told and json.loads(told[0]["body"])["data"]["endpoint_id"] == other["id"], told)
    dead_webhooks(api.stack, api, receiver, other["id"])


def dead_webhooks(stack, api, receiver, ident):
    """A message that was given up: listed, shown, sent again by the operator and by its project, deleted."""
    config = ["--config", stack.env["RUSTBOX_CONFIG"]]

    def listed():
        return [json.loads(line) for line in cli(stack, "dead", "list", "--topic", "webhooks.dead", "--json", *config).splitlines()]
    first = receiver.at("/gone")[0]
    message = first["headers"]["webhook-id"]
    rows = until("it is in webhooks.dead", lambda: [row for row in listed() if row["endpoint"] == ident])
    if not rows:
        return
    check("what it was", len(rows) == 1 and "submission.completed" in rows[0]["why"] and rows[0]["bytes"] > 0, rows)
    name = f"webhooks.dead/{rows[0]['partition']}/{rows[0]['offset']}"
    shown = cli(stack, "dead", "show", name, *config)
    check("cli: dead show of a webhook", message in shown and "not shown" in shown and "stdout" not in shown, shown)
    check("cli: no redrive to a disabled endpoint", "enable it first" in cli(stack, "dead", "redrive", name, *config, ok=7))
    api.want("enabled again", 200, f"/api/webhooks/{ident}/enable", method="POST")
    time.sleep(0.5)  # the endpoint's record travels by itself
    check("cli: dead redrive of a webhook", "sent again" in cli(stack, "dead", "redrive", name, *config))
    got = until("it arrives", lambda: receiver.at("/gone")[1:])
    check("under its id, with its bytes", got and got[0]["headers"]["webhook-id"] == message and got[0]["body"] == first["body"], got)
    until("delivered", lambda: [row for row in api.ask(f"/api/webhooks/{ident}/deliveries?state=delivered")[1]["deliveries"]
                                if row["message_id"] == message and row["generation"] == 1])
    check("cli: no second redrive", "not dead any more" in cli(stack, "dead", "redrive", name, *config, ok=7))
    check("cli: purge of webhooks.dead asks", "would be deleted" in cli(stack, "dead", "purge", "--topic", "webhooks.dead", *config)
          and len(listed()) == 1)
    check("cli: purge of webhooks.dead", "1 records were deleted" in cli(
        stack, "dead", "purge", "--topic", "webhooks.dead", "--yes", *config) and listed() == [])
    check("cli: purge of which", "say which" in cli(stack, "dead", "purge", *config, ok=2))
    receiver.answers["/gone"] = [410]
    api.ask("/api/submit?wait=true", {"language": "python", "code": "print(8)"}, "POST")
    until("dead again", lambda: len(listed()) == 1)
    until("disabled again", lambda: api.ask(f"/api/webhooks/{ident}")[1]["state"] == "disabled")
    api.want("enabled once more", 200, f"/api/webhooks/{ident}/enable", method="POST")
    time.sleep(0.5)
    many = api.want("redeliver all dead", 200, f"/api/webhooks/{ident}/redeliver", {"state": "dead"}, "POST")
    check("the one there is", many["redelivered"] == 1, many)
    until("it arrives too", lambda: len(receiver.at("/gone")) == 4)


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--stack", help="a running stack's directory instead of a private one")
    options = parser.parse_args()
    if os.geteuid() != 0:
        print("skipped: needs root to make a state directory")
        return 77
    with own_stack(options.stack) as stack:
        config = ["--config", stack.env["RUSTBOX_CONFIG"]]
        project = json.loads(cli(stack, "admin", "project", "create", "--name", "b", "--plan", "unlimited", "--json", *config))["id"]
        key = json.loads(cli(stack, "admin", "key", "create", "--project", project, "--label", "b", "--json", *config))["key"]
        api, other = Api(stack), Api(stack, key)
        until("the second key is known", lambda: other.ask("/api/languages")[0] == 200)
        refusals(api)
        endpoints(api, other)
        command_line(stack, key)
        dead_letters(stack, config)
        relayed(api)
        if os.path.isdir(os.path.join(stack.dir, "service", "deliver")):
            delivered(stack, api)
        findings.extend(balance_findings(stack.drain(20), 20))
    print("passed" if not findings else f"FAILED: {len(findings)}: " + "; ".join(findings))
    return 1 if findings else 0


if __name__ == "__main__":
    sys.exit(main())
