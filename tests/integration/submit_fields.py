#!/usr/bin/python3
"""The further fields of a submission through the whole pipeline: files, args, limits and labels in all eight
languages, and what is refused.

    submit_fields.py [--stack DIR] [--only PART,...]

Starts a private stack (programs from $RUSTBOX_BUILD). Exit status: 0 all held, 1 something did not, 77 skipped."""
import argparse
import base64
import hashlib
import json
import os
import subprocess
import sys
import tempfile
import time
import urllib.parse

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path.insert(0, HERE)
from gateway_pipeline import Api, check, findings, note, second_key  # noqa: E402
from stack import own_stack  # noqa: E402

# Each prints its arguments, what a given module of its own says, and a given data file; in that order.
PROGRAMS = {
    "python": ("import sys, lib.part\nprint('|'.join(sys.argv[1:]), lib.part.twice(21), open('data.txt').read())",
               {"lib/part.py": "def twice(n): return 2 * n"}),
    "c": ('#include <stdio.h>\n#include "part.h"\nint main(int n, char **args) { char text[99] = ""; '
          'for (int i = 1; i < n; i++) printf("%s%s", i > 1 ? "|" : "", args[i]); '
          'fgets(text, 99, fopen("data.txt", "r")); printf(" %d %s\\n", twice(21), text); }',
          {"part.h": "int twice(int);", "src/part.c": '#include "part.h"\nint twice(int n) { return 2 * n; }'}),
    "cpp": ('#include <iostream>\n#include <fstream>\n#include "part.hpp"\nint main(int n, char **args) { '
            'for (int i = 1; i < n; i++) std::cout << (i > 1 ? "|" : "") << args[i]; std::string text; '
            'std::getline(std::ifstream("data.txt"), text); std::cout << " " << twice(21) << " " << text << "\\n"; }',
            {"part.hpp": "int twice(int);", "part.cc": '#include "part.hpp"\nint twice(int n) { return 2 * n; }'}),
    "java": ("import java.nio.file.*; import lib.Part; public class Main { public static void main(String[] args) throws Exception "
             '{ System.out.println(String.join("|", args) + " " + Part.twice(21) + " " + Files.readString(Path.of("data.txt"))); } }',
             {"lib/Part.java": "package lib; public class Part { public static int twice(int n) { return 2 * n; } }"}),
    "javascript": ('const part = require("./lib/part"); console.log(process.argv.slice(2).join("|"), part.twice(21), '
                   'require("fs").readFileSync("data.txt", "utf8"));', {"lib/part.js": "exports.twice = n => 2 * n;"}),
    "typescript": ('import { twice } from "./lib/part"; import { readFileSync } from "fs"; '
                   'console.log(process.argv.slice(2).join("|"), twice(21), readFileSync("data.txt", "utf8"));',
                   {"lib/part.ts": "export function twice(n: number): number { return 2 * n; }"}),
    "go": ('package main\nimport ("fmt"; "os"; "strings")\nfunc main() { text, _ := os.ReadFile("data.txt"); '
           'fmt.Println(strings.Join(os.Args[1:], "|"), twice(21), string(text)) }',
           {"part.go": "package main\nfunc twice(n int) int { return 2 * n }"}),
    "rust": ('mod part; fn main() { let args: Vec<String> = std::env::args().skip(1).collect(); '
             'println!("{} {} {}", args.join("|"), part::twice(21), std::fs::read_to_string("data.txt").unwrap()); }',
             {"part.rs": "pub fn twice(n: i32) -> i32 { 2 * n }"}),
}


def files_of(contents):
    return [{"path": path, "content": text} for path, text in contents.items()]


def submit(api, body, **more):
    """The answer, also of what takes longer than the wait on a busy machine."""
    status, answer, headers = api.ask("/api/submit?wait=true", body, **more)
    if status == 408:
        status, answer = api.until(answer["id"], ["completed", "error"], 200)
    return status, answer, headers


def part_languages(stack, api):
    for language, (code, contents) in PROGRAMS.items():
        body = {"language": language, "code": code, "args": ["a b", "", "\u00fc\n\"$x\""],
                "files": files_of({**contents, "data.txt": "given"}), "labels": {"task": language}}
        status, answer, _ = submit(api, body)
        check(f"{language}: args, a module, a data file", (status, answer.get("verdict"), answer.get("stdout"))
              == (200, "AC", 'a b||\u00fc\n"$x" 42 given\n'), answer)
        check(f"{language}: the labels come back", answer.get("labels") == {"task": language}, answer.get("labels"))
    body = {"language": "c", "code": "int twice(int); int main(void) { return twice(1) - 2; }",
            "files": files_of({"part.c": "int twice(int n) { return 2 * n }"})}
    status, answer, _ = submit(api, body)
    check("an error in a given source is a compile error that names it", (answer.get("verdict"), "part.c" in answer.get("stderr", ""))
          == ("RE", True) and answer["evidence"]["verdict_cause"] == "compile_error", answer)


def part_files(stack, api):
    raw = bytes(range(256)) * 4
    code = ("import hashlib, os\nprint(hashlib.sha256(open('raw.bin', 'rb').read()).hexdigest())\n"
            "for name in ('raw.bin', '/box/raw.bin', '/box/new', '/box/main.py', 'deep/a/b/c'):\n"
            "    try: open(name, 'a'); print(name, 'writable')\n"
            "    except OSError as error: print(name, error.strerror)\n"
            "open('own.txt', 'w').write('x'); print(sorted(os.listdir('.')), os.listdir('/box/deep/a'))")
    body = {"language": "python", "code": code,
            "files": [{"path": "raw.bin", "content_base64": base64.b64encode(raw).decode()},
                      {"path": "deep/a/b/c", "content": ""}]}
    status, answer, _ = submit(api, body)
    wanted = (hashlib.sha256(raw).hexdigest() + "\n" + "".join(
        f"{name} {'Read-only file system' if 'new' in name else 'Permission denied'}\n"
        for name in ("raw.bin", "/box/raw.bin", "/box/new", "/box/main.py", "deep/a/b/c"))
        + "['deep', 'own.txt', 'raw.bin'] ['b']\n")
    check("files are exact, read-only, and beside them the program may write", answer.get("stdout") == wanted, answer)
    many = [{"path": f"d{i}/f", "content_base64": base64.b64encode(bytes(4096)).decode()} for i in range(64)]
    status, answer, _ = submit(api, {"language": "c", "code": "#include <stdio.h>\nint main(void) { for (int i = 0; i < 64; i++) "
                                     "{ char n[20]; sprintf(n, \"d%d/f\", i); FILE *f = fopen(n, \"r\"); if (!f || "
                                     "fseek(f, 0, SEEK_END) || ftell(f) != 4096) return 1; fclose(f); } }", "files": many})
    check("64 files of 256 KiB in all", (status, answer.get("verdict")) == (200, "AC"), answer)


def part_limits(stack, api):
    spin = {"language": "python", "code": "while True: pass", "limits": {"cpu_ms": 300}}
    status, answer, _ = submit(api, spin)
    check("cpu_ms", answer.get("verdict") == "TLE" and answer["evidence"]["limits"]["cpu_ms"] == 300
          and answer["cpu_time_secs"] < 1.3, answer)
    tries = {"wall_ms": (300, "import time\ntime.sleep(30)", "TLE", "tle_wall_judge"),
             "memory_bytes": (32 << 20, "x = bytearray(64 << 20)", "MLE", "mle_kernel_oom"),
             "output_bytes": (10, "print('x' * 100)", "RE", "output_limit_exceeded"),
             "file_bytes": (0, "f = open('x', 'w'); f.write('x'); f.close()", "RE", "re_nonzero_exit"),
             "processes": (1, "import os\nif os.fork() == 0: os._exit(0)", "RE", "ple_cgroup_pids")}
    for name, (value, code, verdict, cause) in tries.items():
        status, answer, _ = submit(api, {"language": "python", "code": code, "limits": {name: value}})
        check(f"{name}: {verdict} {cause}", (answer.get("verdict"), answer["evidence"]["verdict_cause"]) == (verdict, cause)
              and answer["evidence"]["limits"][name] == value, answer)
        status, answer, _ = submit(api, {"language": "python", "code": code.replace("30", "0.5"), "limits": {}})
        check(f"{name}: without it, AC", answer.get("verdict") == "AC", answer)


def part_labels(stack, api):
    ids = {}
    for who, round_ in (("ann", "1"), ("bob", "1"), ("ann", "2")):
        body = {"language": "python", "code": f"print('{who}{round_}')", "labels": {"user": who, "round": round_}}
        ids[who + round_] = submit(api, body)[1]["id"]

    def listed(label, **more):
        answer = api.ask("/api/submissions?label=" + urllib.parse.quote(label), **more)
        return answer[0], [row["id"] for row in answer[1].get("submissions", [])]

    def until(label, wanted):
        for _ in range(100):
            if listed(label) == (200, wanted):
                return True
        return False
    check("filter by a label, newest first", until("user:ann", [ids["ann2"], ids["ann1"]]), listed("user:ann"))
    check("by another", until("round:1", [ids["bob1"], ids["ann1"]]), listed("round:1"))
    check("a value that nobody gave", listed("user:eve") == (200, []), listed("user:eve"))
    other = second_key(stack)
    end = time.monotonic() + 5  # a new key is known everywhere within a second
    while api.ask("/api/usage", key=other)[0] == 401 and time.monotonic() < end:
        time.sleep(0.02)
    check("another project sees none", listed("user:ann", key=other) == (200, []), listed("user:ann", key=other))
    check("a label without a colon is refused", api.ask("/api/submissions?label=x")[0] == 400)
    rows = stack.sql("SELECT string_agg(labels::text, ' ') FROM rustbox.submissions WHERE labels IS NOT NULL")
    check("no label stands in the database", "ann" not in rows and "user" not in rows and len(rows) > 100, rows)
    first = submit(api, {"language": "python", "code": "1", "labels": {"a": "1", "b": "2"}}, Idempotency_Key="labels-1")
    again = submit(api, {"labels": {"b": "2", "a": "1"}, "files": [], "args": [], "limits": {"cpu_ms": 4000},
                         "language": "py", "code": "1"}, Idempotency_Key="labels-1")
    check("one fingerprint for one meaning", again[:2] == first[:2], again)
    other = submit(api, {"language": "python", "code": "1", "labels": {"a": "1", "b": "3"}}, Idempotency_Key="labels-1")
    check("another label is another body", other[0] == 422, other)


# Reads n and prints n squared; 13 is an exception to each language's rule: what it does then is the table's second column.
SQUARES = {
    "python": ("n = int(input())\nif n == 13: raise SystemExit(3)\nprint(n * n)", "RE"),
    "c": ('#include <stdio.h>\n#include <stdlib.h>\nint main(void) { int n; scanf("%d", &n); if (n == 13) abort(); printf("%d\\n", n * n); }', "SIG"),
    "cpp": ('#include <iostream>\nint main() { int n; std::cin >> n; if (n == 13) for (;;); std::cout << n * n << "\\n"; }', "TLE"),
    "java": ("public class Main { public static void main(String[] a) { int n = new java.util.Scanner(System.in).nextInt(); "
             'if (n == 13) throw new RuntimeException(); System.out.println(n * n); } }', "RE"),
    "javascript": ('const n = +require("fs").readFileSync(0); if (n === 13) process.exit(4); console.log(n * n);', "RE"),
    "typescript": ('const n: number = +require("fs").readFileSync(0); if (n === 13) process.exit(4); console.log(n * n);', "RE"),
    "go": ('package main\nimport "fmt"\nfunc main() { var n int; fmt.Scan(&n); if n == 13 { panic(n) }; fmt.Println(n * n) }', "RE"),
    "rust": ("fn main() { let mut s = String::new(); std::io::stdin().read_line(&mut s).unwrap(); let n: i32 = s.trim().parse().unwrap(); "
             'if n == 13 { panic!() } println!("{}", n * n); }', "RE"),
}


def square(n, answer=None, **more):
    return {"stdin": f"{n}\n", "expected_output": f"{n * n if answer is None else answer}\n", **more}


# Leaves something wherever it may write, and ends badly when something is there already.
LEAVES = {
    "python": "import os\nfor place in ('/tmp/left', '/dev/shm/left'):\n    os.mkdir(place)\nn = int(input())\nprint(n * n)",
    "c": ('#include <stdio.h>\n#include <sys/stat.h>\nint main(void) { int n; scanf("%d", &n); '
          'if (mkdir("/tmp/left", 0700) || mkdir("/dev/shm/left", 0700)) return 5; printf("%d\\n", n * n); }'),
}


def part_cases(stack, api):
    for language, code in LEAVES.items():
        status, answer, _ = submit(api, {"language": language, "code": code, "cases": [square(n) for n in range(12)]})
        check(f"{language}: no case finds what another left", (status, answer.get("verdict"), answer["cases_summary"]["passed"]) == (200, "AC", 12),
              answer)
    for language, (code, bad) in SQUARES.items():
        limits = {"cpu_ms": 1500}
        cases = [square(2, name="two"), square(3), square(13), square(4, 17), square(5)]
        status, answer, _ = submit(api, {"language": language, "code": code, "cases": cases, "limits": limits})
        got = [case.get("verdict") for case in answer.get("cases", [])]
        check(f"{language}: each case has its verdict, the first failure is the whole's",
              (status, answer.get("verdict"), got) == (200, bad, ["AC", "AC", bad, "WA", "AC"]), (answer.get("verdict"), got, answer))
        check(f"{language}: names, outputs, sums", [case["name"] for case in answer["cases"]] == ["two", "2", "3", "4", "5"]
              and [case["stdout"] for case in answer["cases"]][3:] == ["16\n", "25\n"]
              and answer["cases_summary"] == {"total": 5, "run": 5, "passed": 3}
              and abs(answer["cpu_time_secs"] - sum(case["cpu_time_secs"] for case in answer["cases"])) < 1e-4
              and answer["evidence"]["phase"] == "run", answer)
        cases[2] = square(6)
        status, answer, _ = submit(api, {"language": language, "code": code, "cases": cases, "limits": limits, "stop_on_fail": True})
        got = [case.get("verdict", case.get("skipped")) for case in answer["cases"]]
        check(f"{language}: stop_on_fail passes over what is behind the first failure",
              (answer.get("verdict"), answer["evidence"]["verdict_cause"], got) == ("WA", "wrong_answer", ["AC", "AC", "AC", "WA", True]), answer)
        status, answer, _ = submit(api, {"language": language, "code": code, "cases": [square(7), square(8)]})
        check(f"{language}: all pass", (answer.get("verdict"), answer["exit_code"], answer["cases_summary"]["passed"]) == ("AC", 0, 2), answer)
    status, answer, _ = submit(api, {"language": "c", "code": "int main(void) { return x; }", "cases": [square(1), square(2)]})
    check("a compile error passes over every case", answer.get("verdict") == "RE" and answer["evidence"]["verdict_cause"] == "compile_error"
          and "undeclared" in answer["stderr"] and [case.get("skipped") for case in answer["cases"]] == [True, True]
          and answer["cases_summary"] == {"total": 2, "run": 0, "passed": 0}, answer)


def part_checkers(stack, api):
    code = "import sys\nsys.stdout.write(sys.argv[1])"
    rows = [("a \n\n", "a\n", None, "AC"), ("a \n\n", "a\n", "exact", "WA"), ("a\n", "a\n", "exact", "AC"), ("a\nb", "a b", "trimmed", "WA"),
            ("a\n  b", "a b", "tokens", "AC"), ("a b", "a c", "tokens", "WA"), ("1.0000001 x", "1 x", {"float": {"abs": 1e-6}}, "AC"),
            ("1.00001", "1", {"float": {"abs": 1e-6}}, "WA"), ("1000001", "1000000", {"float": {"rel": 1e-5}}, "AC"),
            ("nan -inf", "NaN -Infinity", {"float": {"abs": 0}}, "AC"), ("1 2", "1", {"float": {"abs": 1}}, "WA"),
            ("anything", None, None, "AC"), ("", "", "exact", "AC"), ("\u00fc", "\u00fc", "exact", "AC")]
    cases = [{"args": [got], **({} if expected is None else {"expected_output": expected}), **({"checker": checker} if checker else {})}
             for got, expected, checker, _ in rows]
    status, answer, _ = submit(api, {"language": "python", "code": code, "cases": cases})
    for (got, expected, checker, verdict), case in zip(rows, answer.get("cases", [])):
        check(f"{got!r} for {expected!r} by {checker}: {verdict}", case.get("verdict") == verdict, case)
    # The checker sees all of the output, the answer a part of it.
    big = "0123456789abcde\n" * 6000
    status, answer, _ = submit(api, {"language": "python", "code": "print('0123456789abcde\\n' * 5999 + input())", "cases": [
        {"stdin": "0123456789abcde", "expected_output": big}, {"stdin": "0123456789abcdX", "expected_output": big}]})
    check("judged on all of it, told in part", [case["verdict"] for case in answer["cases"]] == ["AC", "WA"]
          and all(len(case["stdout"]) == 4096 and case["stdout_truncated"] and case["stdout_bytes"] == 96000 for case in answer["cases"]), answer)
    code = "import sys\nsys.stdout.write('x' * 5000); sys.stderr.write('y' * 5000); sys.exit(int(input()))"
    status, answer, _ = submit(api, {"language": "python", "code": code, "cases": [{"stdin": "0"}] * 300})
    kept = [(len(case["stdout"]), len(case["stderr"])) for case in answer["cases"]]
    check("4 KiB a case, 1 MiB for all", kept[0] == (3072, 1024) and sum(a + b for a, b in kept) == 1 << 20 and kept[-1] == (0, 0), kept[:3])


def part_many_cases(stack, api):
    code = SQUARES["c"][0]
    body = {"language": "c", "code": code, "cases": [square(n % 12) for n in range(1000)]}
    begin = time.monotonic()
    status, answer, _ = submit(api, body, Idempotency_Key="cases-1000")
    took = time.monotonic() - begin
    check(f"1000 cases of a C program: {took:.1f} s", answer.get("verdict") == "AC" and answer["cases_summary"]["passed"] == 1000,
          answer.get("cases_summary", answer))
    again = api.ask("/api/submit?wait=false", body, Idempotency_Key="cases-1000")
    check("their repeat is the same submission", again[1].get("id") == answer["id"], again)
    body["cases"][999]["expected_output"] = "1"
    check("another expected output is another body", api.ask("/api/submit", body, Idempotency_Key="cases-1000")[0] == 422)
    # Fair: somebody else's program does not wait for a thousand cases.
    other = second_key(stack)
    end = time.monotonic() + 5
    while api.ask("/api/usage", key=other)[0] == 401 and time.monotonic() < end:
        time.sleep(0.02)
    status, first, _ = api.ask("/api/submit?wait=false", {"language": "python", "code": "import time; time.sleep(0.02)", "cases": [{}] * 1000})
    begin = time.monotonic()
    status, answer, _ = api.submit("print(1)", wait=True, key=other)
    took = time.monotonic() - begin
    state = api.result(first["id"])[1]["job_status"]
    check(f"another project's program between them: {took * 1000:.0f} ms", answer.get("verdict") == "AC" and took < 2
          and state in ("pending", "running"), (answer.get("verdict"), state))
    status, answer = api.until(first["id"], ["completed", "error"], 200)
    check("and they end", answer.get("verdict") == "AC", answer.get("verdict"))


def part_refused(stack, api):
    def says(body, message):
        status, answer, _ = api.ask("/api/submit", {"language": "c", "code": "int main(void) {}", **body})
        check(message, (status, answer.get("message")) == (400, message), answer)
    says({"cases": []}, "cases: must have at least one element")
    says({"cases": [{}], "stdin": "x"}, "stdin: is not allowed together with cases: each case has its own")
    says({"cases": [{}], "args": ["x"]}, "args: is not allowed together with cases: each case has its own")
    says({"cases": [{}] * 1001}, "cases: must have at most 1000 elements, got 1001")
    says({"stop_on_fail": True}, "stop_on_fail: needs cases")
    says({"cases": [{"expect": ""}]}, "cases[0].expect: is not a field of this request")
    says({"cases": [{}, {"checker": "exact"}]}, "cases[1].checker: needs expected_output")


def part_command(stack, api):
    def rustbox(*words):
        command = [os.path.join(stack.env["RUSTBOX_BIN"], "rustbox"), *words]
        return subprocess.run(command, env=stack.env, capture_output=True, text=True, timeout=60, cwd=folder)
    with tempfile.TemporaryDirectory() as folder:
        os.mkdir(os.path.join(folder, "lib"))
        for path, text in {"main.py": "import sys, lib.x\nprint(sys.argv[1:], lib.x.y, len(open('raw', 'rb').read()))",
                           "lib/x.py": "y = 5"}.items():
            with open(os.path.join(folder, path), "w") as file:
                file.write(text)
        with open(os.path.join(folder, "raw"), "wb") as file:
            file.write(b"\x00\xff")
        done = rustbox("submit", "main.py", "--file", "./lib/x.py", "--file", os.path.join(folder, "raw"), "--arg", "-v",
                       "--arg", "", "--limit", "cpu_ms=900", "--limit", "wall_ms=2000", "--label", "k=v=w", "--json")
        answer = json.loads(done.stdout or "{}")
        check("rustbox submit: files, args, limits, labels", (done.returncode, answer.get("stdout"), answer.get("labels"))
              == (0, "['-v', ''] 5 2\n", {"k": "v=w"}) and answer["evidence"]["limits"]["cpu_ms"] == 900, done)
        done = rustbox("list", "--label", "k:v=w", "--json")
        check("rustbox list --label", [row["id"] for row in json.loads(done.stdout)["submissions"]] == [answer.get("id")], done)
        os.mkdir(os.path.join(folder, "tests"))
        for name, text in {"10.in": "10", "10.out": "100.0001\n", "9.in": "9", "9.ans": "81\n", "sq.py": "print(int(input()) ** 2)",
                           "list.json": '[{"stdin": "2", "expected_output": "4"}, {"stdin": "3", "expected_output": "4"}, {"stdin": "4"}]'}.items():
            with open(os.path.join(folder, name if "." not in name or name[0] in "sl" else "tests/" + name), "w") as file:
                file.write(text)
        done = rustbox("submit", "sq.py", "--cases", "tests", "--checker", "float:0.001", "--json")
        answer = json.loads(done.stdout or "{}")
        check("rustbox submit --cases: a folder, in the order of its names", done.returncode == 0
              and [case["name"] for case in answer["cases"]] == ["9", "10"], done)
        done = rustbox("submit", "sq.py", "--cases", "list.json", "--stop-on-fail")
        check("a file of cases, for a person", done.returncode == 8 and "cases: 1 of 3 passed" in done.stdout
              and "  WA   2  wrong_answer" in done.stdout and "  -    3\n" in done.stdout, done)
        for words, text in ((("--cases", "none"), "none"), (("--cases", "sq.py"), "a JSON array"), (("--checker", "exact"), "need --cases"),
                            (("--cases", "lib"), "has no NAME.in"), (("--cases", "tests", "--checker", "float:x"), "float:ABS,REL")):
            done = rustbox("submit", "sq.py", *words)
            check(f"{' '.join(words)} is refused", done.returncode == 2 and text in done.stderr, done)
        done = rustbox("submit", "main.py", "--limit", "cpu_ms=90000")
        check("a refusal in the API's words", done.returncode == 7 and "limits.cpu_ms: must be at most 4000" in done.stderr, done)
        done = rustbox("submit", "main.py", "--limit", "cpu_ms")
        check("a pair without =", done.returncode == 2 and "--limit must be NAME=VALUE" in done.stderr, done)


PARTS = {"languages": part_languages, "files": part_files, "limits": part_limits, "labels": part_labels,
         "command": part_command, "cases": part_cases, "checkers": part_checkers, "many": part_many_cases, "refused": part_refused}


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--stack", help="state directory of a running stack (default: a private one)")
    parser.add_argument("--only", default=",".join(PARTS))
    options = parser.parse_args()
    if os.geteuid():
        print("skipped: starting a stack needs root")
        return 77
    with own_stack(options.stack) as stack:
        note("the stack runs")
        api = Api(stack)
        for name in options.only.split(","):
            PARTS[name](stack, api)
    note(f"{len(findings)} findings")
    return 1 if findings else 0


if __name__ == "__main__":
    sys.exit(main())
