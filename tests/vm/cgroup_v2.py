#!/usr/bin/python3
"""The product's launcher with its control groups v2 backend on a real kernel, in a virtual machine. guest.sh does and
prints, this judges. RUSTBOX_BUILD is the build folder; RUSTBOX_VM_LAYER_OFF=memory runs the whole test with that
layer off, to see it fail; RUSTBOX_VM_KEEP=1 prints the guest's answer. Needs no root."""
import json, os, re, shutil, sys, tempfile, time

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
import machine

HERE = os.path.dirname(os.path.abspath(__file__))
TOP = os.path.dirname(os.path.dirname(HERE))
BUILD = os.environ.get("RUSTBOX_BUILD", f"{TOP}/build/release")
SECONDS = int(os.environ.get("RUSTBOX_VM_SECONDS", "300"))
PROGRAMS = ("hello", "wait", "memory", "forks", "spin", "abort")
failures = []


def check(holds, what, text=""):
    print("ok  " if holds else "FAIL", what)
    if not holds:
        failures.append(what)
        print("     " + text.strip().replace("\n", "\n     ")[-3000:])


def tree():
    guest = machine.Tree()
    guest.host("/bin/busybox")
    for applet in machine.APPLETS:
        guest.link(f"/usr/bin/{applet}", "busybox")
    guest.program("/usr/bin/unshare")
    guest.program(f"{BUILD}/bin/rustbox-box", "/bin/rustbox-box")
    guest.program(f"{BUILD}/bin/rustbox-box-run", "/bin/rustbox-box-run")
    guest.program(f"{BUILD}/tests/layers/rustbox-box", "/bin/rustbox-box-layers")
    off = os.environ.get("RUSTBOX_VM_LAYER_OFF")
    if off:
        guest.put("/bin/rustbox-box", b"#!/bin/sh\nexec /bin/rustbox-box-layers \"$@\" --permissive --disable-layer "
                  + off.encode() + b"\n")
    sources = [f"{HERE}/programs/{name}.c" for name in PROGRAMS]
    guest.compiler(sources)
    for path in sources + [f"{HERE}/guest.sh", f"{HERE}/contained.sh"]:
        with open(path, "rb") as file:
            guest.put(f"/test/{os.path.basename(path)}", file.read(), 0o644)
    return guest


def verdict(text):
    """(verdict, cause, evidence, evidence of the run) of a rustbox-box-run in this section."""
    head = re.search(r"^verdict (\S+) cause (\S+)", text, re.M)
    body = re.search(r"^evidence (\{.*\})$", text, re.M)
    if not head or not body:
        return "none", "none", {}, {}
    evidence = json.loads(body[1])
    return head[1], head[2], evidence, evidence.get("run") or {}


def judge_start(parts):
    """Refusals, and what a dead launcher left."""
    for name, word in (("no-memory", "lacks memory"), ("no-cpu", "lacks cpu"),
                       ("contained", "other processes")):
        text = parts.get(name, "")
        check("refused" in text and word in text, f"{name}: no start, and the message says \"{word}\"", text)
    text = parts.get("shared", "")
    check(verdict(text)[0] == "AC" and "launcher ended" in text and "controllers left ''" in text,
          "shared: jobs run in the root when others share the launcher's group, which stays as it was", text)
    text = parts.get("sweep", "")
    check('ready' in text and "sleepers 0" in text and "No such file" in text,
          "sweep: a dead launcher's group and its processes are gone", text)


def judge_runs(parts):
    text = parts.get("hello", "")
    got, cause, evidence, run = verdict(text)
    check(got == "AC" and "hello from v2" in text, "hello: AC", text)
    check(evidence.get("cgroup_backend") == "v2", "hello: the evidence names v2", text)
    check(run.get("memory_peak_bytes", 0) > 0 and run.get("cpu_ns", 0) > 0 and run.get("pids_peak", 0) > 0,
          "hello: memory.peak, cpu.stat and pids.peak are in the evidence", text)
    text = parts.get("limits", "")
    for line in ("memory.max 67108864", "memory.swap.max 0", "memory.oom.group 1", "pids.max 7"):
        check(re.search(f"^{line}$", text, re.M), f"limits: the job's group holds {line}", text)
    got, cause, evidence, run = verdict(text)
    check((got, cause) == ("TLE", "tle_wall_judge"), "limits: a program that waits is TLE by wall time", text)
    text = parts.get("memory", "")
    got, cause, evidence, run = verdict(text)
    check((got, cause) == ("MLE", "mle_kernel_oom") and run.get("oom_kills", 0) > 0,
          "memory: 96 MB in 64 MB is MLE with an OOM kill counted in memory.events", text)
    text = parts.get("forks", "")
    got, cause, evidence, run = verdict(text)
    check((got, cause) == ("RE", "ple_cgroup_pids") and run.get("pids_denied", 0) > 0,
          "forks: refused, with the refusal counted in pids.events", text)
    text = parts.get("spin", "")
    got, cause, evidence, run = verdict(text)
    check((got, cause) == ("TLE", "tle_cpu_judge") and run.get("cpu_ns", 0) > 400_000_000,
          "spin: TLE by the CPU time of cpu.stat", text)
    text = parts.get("core", "")
    check(verdict(text)[1] == "re_fatal_signal" and "helped sh" in text and "main" not in text.partition("helped")[2],
          "core: the kernel's helper for core dumps starts for a process of the host, not for a job", text)


def judge_end(parts):
    before = re.search(r"^mounts (\d+)$", parts.get("hello", ""), re.M)
    for name in ("hello", "after", "killed"):
        text = parts.get(name, "")
        check("groups 0" in text and "processes 0" in text, f"{name}: no group and no process is left", text)
        check(re.search(r"^ahead [0-2]$", text, re.M), f"{name}: no more groups than two are kept for jobs to come", text)
    text = parts.get("after", "")
    check(before and f"mounts {before[1]}\n" in text + "\n", "after: no mount is left", text)
    text = parts.get("stop", "")
    check("launcher ended" in text and "No such file" in text, "stop: the launcher takes its group with it", text)
    text = parts.get("root-group", "")
    check(verdict(text)[0] == "AC", "root-group: AC when started in the tree's root", text)
    text = parts.get("layer-off", "")
    check(verdict(text)[0] == "AC", "layer-off: the same memory program is AC without the limit", text)
    check("end" in parts, "the guest came to its end")


def main():
    image = machine.kernel(TOP)
    folder = tempfile.mkdtemp(prefix="rustbox-vm-")
    try:
        with open(f"{HERE}/init", "rb") as file:
            tree().write(f"{folder}/initramfs", file.read())
        print(f"kernel image {os.path.basename(image)}, initramfs {os.path.getsize(folder + '/initramfs') >> 20} MB")
        began = time.monotonic()
        answer, console, ended = machine.boot(image, f"{folder}/initramfs", folder, SECONDS)
        print(f"the machine ran {time.monotonic() - began:.0f} s")
    finally:
        shutil.rmtree(folder)
    if os.environ.get("RUSTBOX_VM_KEEP"):
        print(answer, console[-3000:])
    parts = {}
    for part in answer.split("## ")[1:]:
        name, _, text = part.partition("\n")
        parts[name.strip()] = text
    print("kernel", " | ".join(parts.get("kernel", "did not boot").split("\n")))
    check(ended, f"the machine powered off by itself within {SECONDS} s", console)
    judge_start(parts)
    judge_runs(parts)
    judge_end(parts)
    sys.exit(f"{len(failures)} checks failed" if failures else 0)


main()
