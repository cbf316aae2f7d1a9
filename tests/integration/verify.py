#!/usr/bin/python3
"""`rustbox verify` on the whole pipeline: programs of every end, and programs that print and exit with what only the judge
may say. Each verdict must be decided again from its evidence, here; an altered result must be told.

    verify.py [--stack DIR]

Exit status: 0 all held, 1 something did not, 77 skipped."""
import argparse
import copy
import json
import os
import subprocess
import sys

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "fault"))
from stack import own_stack  # noqa: E402

SPIN = "import os\nos.fork()\nwhile True: pass"
BOMB = "x = []\nwhile True: x.append(bytearray(1 << 20))"
FLOOD = "while True: print('x' * 1000)"
ENDLESS = "import time\ntime.sleep(60)"
# What the judge's own evidence, markers and exit codes look like, printed by a program.
FORGED = """
import json, os, sys
fake = {"verdict": "AC", "evidence": {"verdict_cause": "normal_exit", "measured": {"format": 1, "setup_ok": True,
        "run": {"reported": True, "exited": True, "exit_code": 0, "oom_kills": 0}}, "digest": "0" * 64}}
for out in (sys.stdout, sys.stderr):
    out.write(json.dumps(fake) + "\\n" + json.dumps({"id": "x", "evidence": fake}) + "\\n")
    out.write("Terminating due to java.lang.OutOfMemoryError\\nMemory limit exceeded\\nTime limit exceeded\\nKilled\\n")
    out.write('","verdict":"AC","evidence":null}\\n')
    out.flush()
for fd in range(3, 1024):
    try:
        os.write(fd, json.dumps(fake).encode())
    except OSError:
        pass
os._exit(%d)
"""
PROGRAMS = [  # name, language, code, verdict, cause, exit code
    ("accepted", "python", "print('hello')", "AC", "normal_exit", 0),
    ("exit 1", "python", "raise SystemExit(1)", "RE", "re_nonzero_exit", 1),
    ("a null pointer", "c", "int main(void) { return *(volatile int *)0; }", "SIG", "re_fatal_signal", None),
    ("does not compile", "c", "int main(void) { return x; }", "RE", "compile_error", 1),
    ("compiles and runs", "c", "int main(void) { return 0; }", "AC", "normal_exit", 0),
    ("CPU", "python", SPIN, "TLE", "tle_cpu_judge", None),
    ("wall", "python", ENDLESS, "TLE", "tle_wall_judge", None),
    ("memory", "python", BOMB, "MLE", "mle_kernel_oom", None),
    ("output", "python", FLOOD, "RE", "output_limit_exceeded", None),
    ("kills itself as the kernel would", "python", "import os\nos.kill(os.getpid(), 9)", "SIG", "re_fatal_signal", None),
    ("SIGXCPU by itself", "python", "import os\nos.kill(os.getpid(), 24)", "SIG", "re_fatal_signal", None),
] + [(f"forged evidence, exit {code}", "python", FORGED % code, "RE", "re_nonzero_exit", code)
     for code in (3, 31, 124, 137, 152, 159)] + [
    ("forged evidence, exit 0", "python", FORGED % 0, "AC", "normal_exit", 0)]
findings = 0


def check(what, held, detail=""):
    global findings
    findings += not held
    print(f"{'ok' if held else 'FAILED'}: {what}{'' if held else ': ' + str(detail)[:600]}", flush=True)


class Cli:
    def __init__(self, stack):
        self.path, self.env = os.path.join(stack.env["RUSTBOX_BIN"], "rustbox"), stack.env

    def __call__(self, *words, text=None):
        return subprocess.run([self.path, *words], env=self.env, input=text or "", capture_output=True, text=True, timeout=60)


def alterations(body):
    """Results that somebody changed, each by one member."""
    def changed(what, change):
        other = copy.deepcopy(body)
        change(other)
        return what, other
    yield changed("the verdict", lambda b: b.update(verdict="AC"))
    yield changed("verdict, cause and exit code", lambda b: (
        b.update(verdict="AC", exit_code=0), b["evidence"].update(verdict_cause="normal_exit", verdict_actor="runtime")))
    yield changed("stdout", lambda b: b.update(stdout="hello"))
    yield changed("the measured exit code", lambda b: b["evidence"]["measured"]["run"].update(exit_code=0))
    yield changed("the measured memory", lambda b: b["evidence"]["measured"]["run"].update(memory_peak_bytes=1))
    yield changed("a shown figure", lambda b: b["evidence"]["cgroup"].update(oom_kill_events=1))
    yield changed("the digest", lambda b: b["evidence"].update(digest="0" * 64))
    yield changed("the id", lambda b: b.update(id="01a209bd-d7db-7000-8000-00000000002a"))


def verify_all(stack, rustbox):
    bodies = {}
    pending = []
    for name, language, code, *wanted in PROGRAMS:
        limits = {"cpu_ms": 1000} if code is SPIN else {}  # far from the wall limit, on a busy machine too
        status, body = stack.call("/api/submit?wait=false", {"language": language, "code": code, "limits": limits})
        pending.append((name, wanted, body["id"] if status == 202 else None))
    for name, (verdict, cause, exit_code), ident in pending:
        rustbox("watch", ident, "--timeout", "60")
        done = rustbox("verify", ident, "--json")
        said = json.loads(done.stdout or "{}")
        stored = said.get("stored", {})
        check(f"{name}: {verdict} {cause}, decided again", done.returncode == 0 and said["equal"] and
              said["recomputed"] == stored and (stored["verdict"], stored["verdict_cause"]) == (verdict, cause) and
              exit_code in (None, stored["exit_code"]) and said["rules"][-1]["rule"] == cause and
              [rule["matches"] for rule in said["rules"]].index(True) == len(said["rules"]) - 1, done)
        bodies[name] = json.loads(rustbox("result", ident, "--json").stdout)
    return bodies


def verify_cases(stack, rustbox):
    """With cases: a wrong answer is the checker's word, what each case said is the digest's."""
    cases = [{"stdin": f"{n}\n", "expected_output": f"{n * n}\n"} for n in (2, 3)] + [{"stdin": "4\n", "expected_output": "17\n"}]
    status, body = stack.call("/api/submit?wait=true", {"language": "python", "code": "print(int(input()) ** 2)", "cases": cases})
    check("cases: their verdicts", [case["verdict"] for case in body.get("cases", [])] == ["AC", "AC", "WA"], (status, body))
    done = rustbox("verify", body["id"], "--digest", body["evidence"]["digest"])
    check("cases: WA, decided again", done.returncode == 0 and "wrong_answer" in done.stdout and "fits the result" in done.stdout, done)

    def told(what, change, words):
        altered = copy.deepcopy(body)
        change(altered)
        done = rustbox("verify", "--digest", body["evidence"]["digest"], text=json.dumps(altered))
        check(f"altered: {what}", done.returncode == 1 and words in done.stdout, done)
    told("the output of a case", lambda b: b["cases"][2].update(stdout="17\n"), "digest is of something else")
    told("the verdict of a case", lambda b: b["cases"][2].update(verdict="AC", verdict_cause="normal_exit"), "contradicts")
    told("a case, called cut", lambda b: b.update(cases_truncated=True, cases=b["cases"][:2] + [{**b["cases"][2], "stdout": "17\n"}]),
         "digest is of something else")
    told("the order of cases", lambda b: b["cases"].reverse(), "digest is of something else")
    told("the cases left out", lambda b: (b.pop("cases"), b.update(cases_truncated=True)), "cannot be compared")
    told("the time of all", lambda b: b.update(cpu_time_secs=b["cpu_time_secs"] + 1), "contradicts")


def verify_files(stack, rustbox, bodies):
    body = bodies["exit 1"]
    text, digest = json.dumps(body, indent=3, sort_keys=True), body["evidence"]["digest"]
    check("a file printed by another tool, from stdin", rustbox("verify", text=text).returncode == 0)
    check("the digest kept elsewhere", rustbox("verify", "--digest", digest, text=text).returncode == 0)
    other = rustbox("verify", "--digest", bodies["accepted"]["evidence"]["digest"], text=text)
    check("another digest", other.returncode == 1 and "digest was given" in other.stdout, other)
    for what, altered in alterations(body):
        done = rustbox("verify", "--file", "-", text=json.dumps(altered))
        check(f"altered: {what}", done.returncode == 1, done)
    cut = rustbox("verify", text=json.dumps({**body, "stdout": "hello", "stdout_truncated": True}))
    check("an altered output, called cut, is not plainly equal", cut.returncode == 0 and "\nequal\n" not in cut.stdout and
          "not checked" in cut.stdout.splitlines()[-1], cut)
    for what, words, said, code in [
            ("no JSON", [], "{", 7), ("no result", [], "{}", 7), ("an API error", [], '{"error":"not_found"}', 7),
            ("no such file", ["--file", "/nonexistent"], "", 7), ("no id", ["x"], "", 2),
            ("an id and a file", [body["id"], "--file", "-"], text, 2), ("no digest", ["--digest", "x"], text, 2),
            ("no verdict yet", [], json.dumps({"id": body["id"], "job_status": "pending"}), 11),
            ("an unknown id", ["01a209bd-d7db-7000-8000-00000000002a"], "", 7)]:
        done = rustbox("verify", *words, text=said)
        check(f"exit code {code}: {what}", done.returncode == code and (code == 11 or done.stderr), done)
    old = copy.deepcopy(body)
    del old["evidence"]["measured"]
    check("exit code 12: a body without measured evidence", rustbox("verify", text=json.dumps(old)).returncode == 12)


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--stack", help="state directory of a running stack (default: a private one)")
    options = parser.parse_args()
    if os.geteuid():
        print("skipped: starting a stack needs root")
        return 77
    with own_stack(options.stack) as stack:
        rustbox = Cli(stack)
        verify_files(stack, rustbox, verify_all(stack, rustbox))
        verify_cases(stack, rustbox)
    return 1 if findings else 0


if __name__ == "__main__":
    sys.exit(main())
