#!/usr/bin/python3
"""rustbox admin and balance on a real broker and PostgreSQL: one id of each class, a planted loss that must be found, and
the same loss once it is carried. Needs root (ops/lib/stack), kcat and psql. $RUSTBOX_BUILD is the build folder."""
import json, os, shutil, subprocess, sys, tempfile, time

TOP = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
BUILD = os.environ["RUSTBOX_BUILD"]
NOW = int(time.time() * 1000)
DAY = 86400000


def skip(why):
    print("skipped:", why)
    sys.exit(77)


def id_of(n, ms=NOW):
    text = f"{ms:012x}7{n:03x}8{n:015x}"
    return "-".join((text[:8], text[8:12], text[12:16], text[16:20], text[20:]))


def run(*command, ok=(0,), **more):
    done = subprocess.run(command, capture_output=True, text=True, **more)
    if done.returncode not in ok:
        sys.exit(f"{' '.join(command)}: {done.returncode}\n{done.stdout}{done.stderr}")
    return done


class Stack:
    def __init__(self, folder):
        self.folder = folder
        run(f"{TOP}/ops/lib/stack", "up", folder, "--test", "--infra")
        with open(f"{folder}/dev.env") as file:
            self.env = dict(line.rstrip("\n").split("=", 1) for line in file)

    def rustbox(self, *args, ok=(0,)):
        done = run(f"{BUILD}/bin/rustbox", *args, "--config", f"{self.folder}/etc/rustbox.conf", "--json", ok=ok)
        return done.returncode, json.loads(done.stdout) if done.stdout else None

    def sql(self, text):
        run("psql", "-X", "-q", "-v", "ON_ERROR_STOP=1", "-h", f"{self.folder}/run", "-U", "rustbox", "-d", "rustbox",
            "-c", "SET search_path = rustbox; " + text)

    def produce(self, topic, ident, key="30-00000000000000aa"):
        day = time.strftime("%Y-%m-%d", time.gmtime(int(ident.replace("-", "")[:12], 16) / 1000))
        headers = {"id": ident, "day": day, "key": key}
        run("kcat", "-P", "-b", self.env["RUSTBOX_BROKERS"], "-t", "rustbox." + topic, "-p", "0",
            *(word for name, value in headers.items() for word in ("-H", f"{name}={value}")), input="x")

    def row(self, ident, decision, stored=False):
        ms = int(ident.replace("-", "")[:12], 16)
        where = f"30, (to_timestamp({ms / 1000}) AT TIME ZONE 'UTC')::date, '{ident}', '{id_of(999)}'"
        self.sql("INSERT INTO submissions (class, day, id, project_id, decision, partition, log_offset, key_number, lane,"
                 f" created_at, closed) VALUES ({where}, '{decision}', 0, 0, 170, 0, to_timestamp({ms / 1000}),"
                 f" {'true' if stored or decision == 'alias' else 'false'})")
        if stored:
            self.sql("INSERT INTO evidence (class, day, id, project_id, state, verdict, sealed)"
                     f" VALUES ({where}, 'stored', 'AC', '\\x00')")


def expect(got, **wanted):
    wrong = {name: (got.get(name), value) for name, value in wanted.items() if got.get(name) != value}
    if wrong:
        sys.exit(f"got, wanted: {wrong} in {got}")


def check(stack):
    stack.rustbox("admin", "migrate")
    stack.rustbox("admin", "topics")
    began = time.monotonic()
    away = run(f"{BUILD}/bin/rustbox", "admin", "topics", "--config", f"{stack.folder}/etc/rustbox.conf", ok=(7,),
               env={**os.environ, "RUSTBOX_KAFKA_BROKERS": "127.0.0.1:1"}).stderr
    expect({"says": "no broker answers at 127.0.0.1:1" in away and "[kafka] brokers" in away, "soon": time.monotonic() - began < 14},
           says=True, soon=True)
    expect(stack.rustbox("balance")[1], accepted=0, difference=0)
    stack.sql("SELECT ensure_partitions(current_date - 2, current_date + 1)")
    stack.sql("SELECT drop_partitions(7::smallint, current_date - 4)")

    old = NOW - 3 * 3600000
    finished, alias, job, verdict, held, lost, dead, unread = (id_of(n) for n in range(8))
    lost, expired = id_of(20, old), id_of(21, NOW - 4 * DAY)
    for ident in (finished, alias, job, verdict, held, lost, dead, finished):
        stack.produce("submissions", ident)
    stack.produce("submissions", expired, key="7-00000000000000aa")
    stack.sql("UPDATE consumer_offsets SET next_offset = 9 WHERE topic = 'submissions' AND partition = 0")
    stack.produce("submissions", unread)
    stack.row(finished, "admit", stored=True)
    stack.row(alias, "alias")
    stack.row(held, "held")
    for ident in (job, verdict, lost):
        stack.row(ident, "admit")
    stack.produce("jobs.interactive", job)
    stack.produce("verdicts", verdict)
    stack.produce("dead", dead)
    stack.row(id_of(30), "alias")  # behind the vector: must hide nothing

    code, got = stack.rustbox("balance", "--verbose", ok=(1,))
    expect(got, accepted=8, finished=1, alias=1, erased=0, expired=1, dead=1, in_flight=3, held=1, unread=1,
           difference=1, lost=[lost])
    code, got = stack.rustbox("balance", "--cheap", "--verbose", ok=(1,))
    expect(got, difference=1, lost=[lost])
    stack.produce("jobs.batch", lost)
    expect(stack.rustbox("balance")[1], accepted=8, in_flight=4, difference=0)
    expect(stack.rustbox("balance", "--cheap")[1], difference=0)
    tomorrow = time.strftime("%Y-%m-%d", time.gmtime(NOW / 1000 + 86400))
    expect(stack.rustbox("balance", "--since", tomorrow)[1], accepted=0)
    if stack.rustbox("balance", "--max-ids", "3", ok=(7,))[0] != 7:
        sys.exit("--max-ids does not bound")

    project = stack.rustbox("admin", "project", "create", "--name", "p", "--plan", "trial")[1]["id"]
    key = stack.rustbox("admin", "key", "create", "--project", project)[1]
    stack.rustbox("admin", "key", "revoke", key["id"])
    keys = stack.rustbox("admin", "key", "list", "--project", project)[1]["keys"]
    if len(keys) != 1 or not keys[0]["revoked_at"] or key["key"][-4:] != keys[0]["hint"]:
        sys.exit(f"the key is not listed as revoked: {keys}")
    stack.sql("UPDATE api_keys SET label = E'a\\x1b[31m\\nb\\u009b7'")  # a tenant chooses it, an operator looks at it
    shown = run(f"{BUILD}/bin/rustbox", "admin", "key", "list", "--config", f"{stack.folder}/etc/rustbox.conf").stdout
    if shown.count("\n") != 1 or "a?[31m?b?7" not in shown:
        sys.exit(f"a label drives the terminal: {shown!r}")
    stack.sql("UPDATE migrations SET sha256 = repeat('0', 64)")
    if stack.rustbox("admin", "migrate", ok=(7,))[0] != 7:
        sys.exit("a changed migration went unnoticed")
    events = run("kcat", "-C", "-e", "-q", "-b", stack.env["RUSTBOX_BROKERS"], "-t", "rustbox.control", "-f", "%s\n").stdout
    kinds = [json.loads(line)["event"] for line in events.split("\n") if line]
    if kinds != ["project.created", "key.created", "key.revoked"] or key["key"] in events:
        sys.exit(f"control holds {kinds}")


def main():
    if os.geteuid() != 0:
        skip("needs root: ops/lib/stack makes a system user")
    for program in ("kcat", "psql"):
        if not shutil.which(program):
            skip(f"no {program}")
    folder = tempfile.mkdtemp(prefix="rb-balance-")
    os.chmod(folder, 0o755)
    try:
        check(Stack(folder))
    finally:
        run(f"{TOP}/ops/lib/stack", "down", folder, "--purge")
    print("good")


main()
