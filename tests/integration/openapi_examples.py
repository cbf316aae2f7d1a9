#!/usr/bin/python3
"""Runs every example of schemas/openapi.yaml against a gateway:

    openapi_examples.py --api http://127.0.0.1:4096 --key rb_live_...

Exit 0 when status and answer of each are as written there, and every answer keeps its schema."""
import argparse, json, os, re, secrets, sys, urllib.error, urllib.request

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "support"))
from openapi import Contract  # noqa: E402
KINDS = {
    "<any>": lambda v: True,
    "<text>": lambda v: isinstance(v, str) and v != "",
    "<integer>": lambda v: isinstance(v, int) and not isinstance(v, bool),
    "<number>": lambda v: isinstance(v, (int, float)) and not isinstance(v, bool),
    "<array>": lambda v: isinstance(v, list),
    "<object>": lambda v: isinstance(v, dict),
    "<uuid>": lambda v: isinstance(v, str) and re.fullmatch(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}", v),
    "<time>": lambda v: isinstance(v, str) and re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d+)?Z", v),
}


contract = Contract()


def filled(value, saved):
    """The value with $names replaced."""
    if isinstance(value, str):
        return re.sub(r"\$(\w+)", lambda m: saved.get(m[1], m[0]), value)
    if isinstance(value, dict):
        return {name: filled(item, saved) for name, item in value.items()}
    return value


def differences(want, got, where="answer"):
    if isinstance(want, str) and want in KINDS:
        return [] if KINDS[want](got) else [f"{where} is {got!r}, not {want}"]
    if isinstance(want, dict):
        if not isinstance(got, dict):
            return [f"{where} is {got!r}, not an object"]
        found = [f"{where}.{name} is missing" for name in want if name not in got]
        for name in want:
            if name in got:
                found += differences(want[name], got[name], f"{where}.{name}")
        return found
    if isinstance(want, list) and isinstance(got, list) and len(want) == len(got):
        return [line for i, pair in enumerate(zip(want, got)) for line in differences(*pair, f"{where}[{i}]")]
    return [] if want == got and type(want) == type(got) else [f"{where} is {got!r}, not {want!r}"]


def send(api, key, path, method, example, saved):
    target = filled(example.get("path", path), saved)
    if "query" in example:
        target += "?" + example["query"]
    headers = dict(filled(example.get("headers", {}), saved))
    used = example.get("key", key)
    if used:
        headers["X-API-Key"] = used
    data = None
    if "raw" in example:
        data = example["raw"].encode()
    elif "body" in example:
        data = json.dumps(example["body"]).encode()
    if data is not None:
        headers["Content-Type"] = "application/json"
    request = urllib.request.Request(api + target, data, headers, method=example.get("method", method).upper())
    try:
        with urllib.request.urlopen(request, timeout=60) as answer:
            return answer.status, answer.read()
    except urllib.error.HTTPError as answer:
        return answer.code, answer.read()


def run(api, key, path, method, example, saved):
    status, text = send(api, key, path, method, example, saved)
    try:
        answer = json.loads(text)
    except ValueError:
        return [f"status {status}, and no JSON: {text[:100]!r}"]
    found = [] if status == example["status"] else [f"status is {status}, not {example['status']}: {text[:300]!r}"]
    if not found and "answer" in example:
        found = differences(filled(example["answer"], saved), answer)
    asked = filled(example.get("path", path), saved)
    if "Accept" not in example.get("headers", {}):  # problem+json is another form
        found += contract.answer(asked, example.get("method", method).upper(), status, answer)
    if not found and "save" in example:
        saved[example["save"]] = answer["id"]
    return found


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--api", required=True)
    parser.add_argument("--key", required=True)
    options = parser.parse_args()
    saved, bad, count = {"run": secrets.token_hex(8)}, 0, 0
    for path, methods in contract.document["paths"].items():
        for method, operation in methods.items():
            for example in operation.get("x-examples", []) if isinstance(operation, dict) else []:
                found = run(options.api.rstrip("/"), options.key, path, method, example, saved)
                count += 1
                bad += bool(found)
                for line in found:
                    print(f"{method.upper()} {path}: {example['name']}: {line}")
    print(f"{count - bad} of {count} examples are as written")
    return 1 if bad or count == 0 else 0


if __name__ == "__main__":
    sys.exit(main())
