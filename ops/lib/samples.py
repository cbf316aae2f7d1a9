"""Submits one program in each language and prints a table of verdicts with times. Called by ops/up.

Usage: samples.py DEV_ENV DIRECTORY. A language without a toolchain is a notice, not an error.
Exit status 1 when a sample did not end in AC with the expected output.
"""
import json
import os
import sys
import time
import urllib.error
import urllib.request

LANGUAGES = {"py": "python", "c": "c", "cpp": "cpp", "java": "java", "js": "javascript", "ts": "typescript",
             "go": "go", "rs": "rust"}
STDIN, EXPECTED = "19 23\n", "42\n"


def read_env(path):
    with open(path) as file:
        return dict(line.strip().split("=", 1) for line in file if "=" in line)


def submit(env, language, code):
    body = json.dumps({"language": language, "code": code, "stdin": STDIN}).encode()
    request = urllib.request.Request(env["RUSTBOX_API"] + "/api/submit?wait=true", body, {
        "X-API-Key": env["RUSTBOX_KEY"], "Content-Type": "application/json"})
    try:
        with urllib.request.urlopen(request, timeout=60) as answer:
            return answer.status, json.load(answer)
    except urllib.error.HTTPError as error:
        return error.code, json.load(error)


def main():
    env, directory = read_env(sys.argv[1]), sys.argv[2]
    print(f"  {'language':<12} {'verdict':<8} {'cause':<24} {'cpu ms':>7} {'wall ms':>8} {'answer ms':>10}")
    wrong = 0
    for name in sorted(os.listdir(directory)):
        language = LANGUAGES.get(name.rpartition(".")[2])
        if not language:
            continue
        with open(os.path.join(directory, name)) as file:
            code = file.read()
        begin = time.perf_counter()
        status, result = submit(env, language, code)
        answer_ms = (time.perf_counter() - begin) * 1000
        cause = result.get("evidence", {}).get("verdict_cause", result.get("error", ""))
        ok = status == 200 and result.get("verdict") == "AC" and result.get("stdout") == EXPECTED
        missing = cause == "ie_language_unavailable"
        wrong += not ok and not missing
        print(f"  {language:<12} {result.get('verdict', status):<8} {cause:<24} {result.get('cpu_time_secs', 0) * 1000:>7.0f} "
              f"{result.get('wall_time_secs', 0) * 1000:>8.0f} {answer_ms:>10.0f}" + ("" if ok else "  <-- " + (
                  "disabled, toolchain missing: see ops/doctor" if missing else
                  f"status {status}: {result.get('error_message') or result.get('message') or 'unexpected output'}")), flush=True)
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main())
