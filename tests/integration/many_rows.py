#!/usr/bin/python3
"""No statement of a process takes longer because more is stored, and a list's pages are its rows, each once.

    many_rows.py [--stack DIR] [--rows N] [--print] [--first SQL]

Starts a private stack whose PostgreSQL counts the pages that each statement touches (pg_stat_statements). Everything that a
client can ask is asked while the tables are empty, so that plans are made then; with three days of N submissions (sql/many.sql);
with four times as many; and once more after ANALYZE. A statement that touches more pages for its rows than it did with fewer
stored, each of the times that it is asked again, grows. Statements are found, not listed: a new one is looked at as soon as something here makes a process run it. --first
runs SQL at the start: without an index the test has to fail. Exit status: 0 all held, 1 something did not, 77 skipped."""
import argparse
import concurrent.futures
import http.server
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
from stack import own_stack  # noqa: E402

PLANNED = 6  # rounds: a prepared statement is planned anew five times, then perhaps never again
GROWTH, SLACK, PAGES = 2, 30, 15  # pages a call: times those with a quarter stored, more, and more for each row it gives
AGAIN = 3
# Not rustbox_balance: it counts everything by design, for a person who asks.
ROLES = "('rustbox_gateway', 'rustbox_admit', 'rustbox_persist', 'rustbox_relay')"
begin = time.monotonic()
findings = []


def note(text):
    print(f"{time.monotonic() - begin:6.1f} s  {text}", flush=True)


def check(what, held, detail=""):
    if not held:
        findings.append(what)
        note(f"FAILED: {what}: {str(detail)[:900]}")


class Receiver(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def do_POST(self):
        self.rfile.read(int(self.headers.get("Content-Length", 0)))
        self.send_response(500 if self.path == "/fails" else 204)
        self.send_header("Content-Length", "0")
        self.end_headers()

    def log_message(self, *args):
        pass


class Client:
    def __init__(self, stack):
        config = ["--config", stack.env["RUSTBOX_CONFIG"]]
        self.stack, self.url = stack, stack.env["RUSTBOX_API"]
        self.project = self.admin("project", "create", "--name", "many", "--plan", "standard", "--json", *config)["id"]
        self.key = self.admin("key", "create", "--project", self.project, "--label", "many", "--json", *config)["key"]
        end = time.monotonic() + 20
        while self.ask("/api/languages")[0] != 200 and time.monotonic() < end:
            time.sleep(0.05)

    def admin(self, *args):
        done = subprocess.run([os.path.join(self.stack.env["RUSTBOX_BIN"], "rustbox"), "admin", *args], check=True,
                              stdout=subprocess.PIPE, timeout=60)
        return json.loads(done.stdout)

    def ask(self, path, body=None, method=None, **headers):
        sent = {"X-API-Key": self.key, "Content-Type": "application/json"}
        sent.update({name.replace("_", "-"): value for name, value in headers.items()})
        data = json.dumps(body).encode() if body is not None else None
        request = urllib.request.Request(self.url + path, data, sent, method=method)
        try:
            with urllib.request.urlopen(request, timeout=40) as answer:
                return answer.status, json.load(answer)
        except urllib.error.HTTPError as error:
            return error.code, json.loads(error.read())

    def want(self, status, path, body=None, method=None, **headers):
        got, answer = self.ask(path, body, method, **headers)
        check(f"{method or 'GET'} {path}", got == status, f"status {got}, wanted {status}: {answer}")
        return answer


def count_pages(stack):
    """Statements are counted from now on; autovacuum leaves the statistics to this test."""
    stack.sql("ALTER SYSTEM SET shared_preload_libraries = pg_stat_statements")
    stack.sql("ALTER SYSTEM SET autovacuum = off")
    os.kill(stack.pid("postgres"), signal.SIGINT)
    end = time.monotonic() + 30
    while True:
        try:
            stack.sql("CREATE EXTENSION IF NOT EXISTS pg_stat_statements")
            stack.sql("SELECT count(*) FROM pg_stat_statements")
            break
        except RuntimeError as error:
            if time.monotonic() > end:
                sys.exit(f"PostgreSQL did not come back with pg_stat_statements: {error}")
            time.sleep(0.1)
    while stack.call("/api/submissions?limit=1")[0] != 200 and time.monotonic() < end:
        time.sleep(0.1)


def fill(stack, project, rows, salt):
    command = ["/usr/bin/psql", "-X", "-q", "-o", "/dev/null", "-d", stack.env["RUSTBOX_DATABASE"], "-v", f"rows={rows}", "-v", f"project={project}",
               "-v", f"salt={salt}", "-f", os.path.join(HERE, "sql", "many.sql")]
    subprocess.run(command, check=True, timeout=120)


# Days apart, which a list reaches window by window.
LONG_AGO = """
    SELECT rustbox.ensure_partitions(current_date - d, current_date - d) FROM unnest(ARRAY[20, 100]) d;
    INSERT INTO rustbox.submissions (class, day, id, project_id, decision, partition, log_offset, key_number, language, profile, lane,
                                     created_at, closed)
    SELECT 30, current_date - d, (lpad(to_hex((extract(epoch FROM current_date - d) * 1000)::bigint), 12, '0') || '70008000000000000000')::uuid,
           '{project}', 'admit', 0, -d, 0, 'rust', 'judge', 0, current_date - d, true
    FROM unnest(ARRAY[20, 100]) d;
    INSERT INTO rustbox.usage SELECT '{project}', current_date - d, 'requests', 1 FROM unnest(ARRAY[20, 100]) d"""


# ---- everything that a client can ask ----

def submissions(client, n, filled):
    code = {"language": "python", "code": f"print({n})", "labels": {"round": "all"}}
    plain = client.want(200, "/api/submit?wait=true", code, "POST")
    client.want(200, f"/api/result/{plain['id']}")
    key = {"Idempotency_Key": f"key {time.time()}"}
    with concurrent.futures.ThreadPoolExecutor(2) as two:
        list(two.map(lambda _: client.ask("/api/submit?wait=true", code, "POST", **key), range(2)))
    client.want(200, "/api/submit?wait=true", code, "POST", **key)
    client.want(400, "/api/submit", {"language": "python", "code": ""}, "POST")
    client.want(404, f"/api/result/{plain['id'][:-4]}ffff")
    for ident in filled:  # sealed with no key: 404
        client.ask(f"/api/result/{ident}")
    for query in ("", "limit=10", "verdict=TLE", "verdict=IE", "language=c", "language=rust", "label=round:all", "label=no:such",
                  f"cursor={plain['id']}&limit=5", "verdict=AC&language=python&limit=3"):
        client.want(200, f"/api/submissions?{query}")
    client.want(200, "/api/usage")
    client.want(200, "/api/projects")
    made = client.want(200, "/api/keys", {"label": "one"}, "POST")
    client.want(200, "/api/keys")
    client.want(200, f"/api/keys/{made['id']}", method="DELETE")


def webhooks(client, receiver, hook):
    one = client.want(200, "/api/webhooks", {"url": receiver + "/fails"}, "POST")["id"]
    client.want(200, "/api/webhooks")
    client.want(200, f"/api/webhooks/{one}")
    client.want(200, f"/api/webhooks/{one}", {"description": "changed"}, "PATCH")
    client.want(200, f"/api/webhooks/{one}/rotate", {}, "POST")
    test = client.want(200, f"/api/webhooks/{hook}/test", method="POST")
    client.want(200, "/api/submit?wait=true", {"language": "python", "code": "print(2)", "webhook_url": receiver + "/one"}, "POST")
    time.sleep(0.2)  # until it is told
    for query in ("", "state=dead", "state=pending", "state=dropped", "limit=2"):
        client.want(200, f"/api/webhooks/{hook}/deliveries?{query}")
    for query in ("", "limit=2", f"message_id={test['message_id']}"):
        client.want(200, f"/api/webhooks/{hook}/attempts?{query}")
    client.want(200, f"/api/webhooks/{hook}/redeliver", {"message_id": test["message_id"]}, "POST")
    client.want(200, f"/api/webhooks/{one}/redeliver", {"state": "dead"}, "POST")
    client.want(200, f"/api/webhooks/{one}/disable", method="POST")
    client.want(200, f"/api/webhooks/{one}/enable", method="POST")
    client.want(200, f"/api/webhooks/{one}", method="DELETE")


def ask_everything(client, receiver, hook, rounds):
    """What each statement touched: {its id: (pages a call, rows a call, calls, who runs it and its text)}"""
    stack = client.stack
    filled = stack.sql(f"""
        SELECT id FROM (SELECT id, row_number() OVER (PARTITION BY day, decision ORDER BY id) AS n FROM rustbox.submissions
                        WHERE project_id = '{client.project}') s WHERE n = 100""").split()
    stack.sql("SELECT pg_stat_statements_reset()")
    for n in range(rounds):
        submissions(client, n, filled)
        webhooks(client, receiver, hook)
    rows = json.loads(stack.sql(f"""
        SELECT coalesce(json_agg(s), '[]') FROM (
            SELECT rolname AS role, queryid, calls, rows, shared_blks_hit + shared_blks_read AS pages, query
            FROM pg_stat_statements s JOIN pg_roles r ON r.oid = s.userid
            WHERE rolname IN {ROLES} AND query !~ '^(BEGIN|COMMIT|ROLLBACK|LISTEN)') s"""))
    return {(row["role"], row["queryid"]): (row["pages"] / row["calls"], row["rows"] / row["calls"], row["calls"],
                                            f"{row['role']}: {' '.join(row['query'].split())}") for row in rows}


def grew(few, figures, ident):
    pages, rows, _, _ = figures
    base, base_rows, _, _ = few.get(ident, (0, 0, 0, ""))
    return pages > GROWTH * base + SLACK + PAGES * max(0, rows - base_rows)


def judge(when, few, ask, shown):
    """What grows with the rows is above each time. A table that is extended while others wait for that (by many pages at
    once), an index's page that is split or a catalog that is read again is above once: so the least of AGAIN counts."""
    many = ask()
    for _ in range(AGAIN - 1):
        if not any(grew(few, figures, ident) for ident, figures in many.items()):
            break
        for ident, figures in ask().items():
            many[ident] = min(many.get(ident, figures), figures)
    for ident, (pages, rows, calls, what) in sorted(many.items(), key=lambda item: -item[1][0]):
        base, base_rows, _, _ = few.get(ident, (0, 0, 0, ""))
        text = f"{when}: {pages:.0f} pages for {rows:.1f} rows in {calls} calls, {base:.0f} for {base_rows:.1f} before: {what}"
        if shown:
            print(text[:300])
        check("a statement that grows", not grew(few, many[ident], ident), text)
    note(f"{when}: {len(many)} statements; most pages a call: {max(figures[0] for figures in many.values()):.0f}, with fewer rows "
         f"{max(figures[0] for figures in few.values()):.0f}")


def read_list(client, query):
    """All rows of a list by its pages, and how many pages."""
    ids, cursor, pages = [], None, 0
    while pages == 0 or cursor:
        page = client.want(200, f"/api/submissions?limit=500&{query}" + (f"&cursor={cursor}" if cursor else ""))
        ids += [row["id"] for row in page.get("submissions", [])]
        cursor, pages = page.get("next_cursor"), pages + 1
    return ids, pages


def lists_are_whole(client):
    for query, where in (("verdict=TLE", "e.verdict = 'TLE'"), ("language=rust", "s.language = 'rust'"), ("verdict=MLE", "false")):
        stored = client.stack.sql(f"""
            SELECT s.id FROM rustbox.submissions s LEFT JOIN rustbox.submissions o ON s.decision = 'alias' AND o.id = s.owner_id
            LEFT JOIN rustbox.evidence e ON e.id = coalesce(o.id, s.id)
            WHERE s.project_id = '{client.project}' AND {where} ORDER BY s.id DESC""").split()
        told, pages = read_list(client, query)
        check(f"the list {query} is what is stored", told == stored, f"{len(told)} rows, stored {len(stored)}")
        note(f"{query}: {len(told)} rows on {pages} pages")


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--stack", help="a running stack's directory instead of a private one")
    parser.add_argument("--rows", type=int, default=4000, help="submissions a day at first (4000)")
    parser.add_argument("--print", action="store_true", help="print every statement with its figures")
    parser.add_argument("--first", help="SQL to run at the start, as DROP INDEX of one whose absence must be seen")
    options = parser.parse_args()
    if os.geteuid() != 0:
        print("skipped: needs root to make a state directory")
        return 77
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Receiver)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    receiver = f"http://127.0.0.1:{server.server_address[1]}"
    with own_stack(options.stack) as stack:
        count_pages(stack)
        if options.first:
            stack.sql(options.first)
        client = Client(stack)
        hook = client.want(200, "/api/webhooks", {"url": receiver + "/all"}, "POST")["id"]
        ask_everything(client, receiver, hook, PLANNED)
        note("asked of empty tables")
        fill(stack, client.project, options.rows, 0)
        few = ask_everything(client, receiver, hook, 2)
        fill(stack, client.project, 3 * options.rows, 1)
        stack.sql(LONG_AGO.replace("{project}", client.project))
        judge("never analyzed", few, lambda: ask_everything(client, receiver, hook, 2), options.print)
        lists_are_whole(client)
        stack.sql("ANALYZE")
        judge("analyzed", few, lambda: ask_everything(client, receiver, hook, 2), options.print)
    note("FAILED: " + ", ".join(sorted(set(findings))) if findings else "all held")
    return 1 if findings else 0


sys.exit(main())
