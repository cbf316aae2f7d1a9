"""Memory of a sandbox kept ready, for `ops/bench sandbox`: what the whole machine holds more with 64 of them than with none.

Counted is what belongs to processes, namespaces and control groups (anonymous pages, page tables, kernel stacks, slab, per-CPU
memory), not the page cache. In turns with the same number of static programs that wait, as the floor. Other processes
come and go meanwhile: the median of the turns counts, and needs a quiet machine.
"""
import os
import subprocess
import tempfile
import time

EACH, TURNS = 16, 7
# What their commands are makes no difference before they execute.
PROGRAMS = {"c": "int main(void) { return 0; }\n", "cpp": "int main() {}\n", "python": "pass\n", "javascript": "0\n"}
KEPT = EACH * len(PROGRAMS)
PARTS = ("AnonPages", "PageTables", "KernelStack", "SUnreclaim", "SReclaimable", "Percpu")


def held():
    """Kibibytes by part: the middle one of some looks at /proc/meminfo."""
    looks = []
    for _ in range(9):
        with open("/proc/meminfo") as file:
            rows = dict(line.split(":") for line in file)
        looks.append({part: int(rows[part].split()[0]) for part in PARTS})
        time.sleep(0.02)
    return sorted(looks, key=lambda look: sum(look.values()))[len(looks) // 2]


def until(condition, what):
    end = time.monotonic() + 20
    while not condition():
        if time.monotonic() > end:
            raise SystemExit(f"bench: memory of sandboxes kept ready: {what} did not happen within 20 s")
        time.sleep(0.05)


def children(pid):
    with open(f"/proc/{pid}/task/{pid}/children") as file:
        return len(file.read().split())


def launcher(bin_dir, scratch, each):
    """What is held while a launcher keeps so many of each language, and how many children it has then."""
    directory = tempfile.mkdtemp(dir=scratch)
    os.chmod(directory, 0o755)
    socket = os.path.join(directory, "socket")
    with open(os.path.join(directory, "log"), "wb") as log:
        box = subprocess.Popen([os.path.join(bin_dir, "rustbox-box"), "--socket", socket, "--state-dir", os.path.join(directory, "state"),
                                "--slots", "2", "--template", "python=0", "--rest", "0", "--warm", str(each)], stderr=log)
    try:
        until(lambda: os.path.exists(socket), "the launcher's start")
        for language in PROGRAMS:
            subprocess.run([os.path.join(bin_dir, "rustbox-box-run"), "--socket", socket, language, os.path.join(scratch, language)],
                           stdout=subprocess.DEVNULL, check=True)
        until(lambda: children(box.pid) > each * len(PROGRAMS), "making them")  # the maker and blanks are children too
        time.sleep(0.5)
        return held(), children(box.pid)
    finally:
        box.terminate()
        box.wait()


def waiting(scratch, count):
    """What is held while so many static programs wait."""
    programs = [subprocess.Popen([os.path.join(scratch, "wait")], env={}, stdin=subprocess.DEVNULL) for _ in range(count)]
    time.sleep(0.3)
    found = held()
    for program in programs:
        program.kill()
        program.wait()
    return found


def apiece(few, many):
    return {part: (many[part] - few[part]) / KEPT for part in PARTS}


def middle(values):
    return round(sorted(values)[len(values) // 2], 1)


def kept_memory(bin_dir, say):
    sandboxes, floors = [], []
    with tempfile.TemporaryDirectory(prefix="rustbox-bench-") as scratch:
        os.chmod(scratch, 0o755)
        for name, text in {**PROGRAMS, "wait.c": "#include <unistd.h>\nint main(void) { return pause(); }\n"}.items():
            with open(os.path.join(scratch, name), "w") as file:
                file.write(text)
        subprocess.run(["/usr/bin/gcc", "-O2", "-static", "-o", os.path.join(scratch, "wait"), os.path.join(scratch, "wait.c")], check=True)
        for turn in range(TURNS):
            say(f"memory of sandboxes kept ready, turn {turn + 1} of {TURNS}")
            (few, alone), (many, together) = launcher(bin_dir, scratch, 0), launcher(bin_dir, scratch, EACH)
            if together - alone != KEPT:
                raise SystemExit(f"bench: {together - alone} sandboxes were kept ready, not {KEPT}")
            sandboxes.append(apiece(few, many))
            floors.append(apiece(waiting(scratch, 0), waiting(scratch, KEPT)))
    totals = [sum(row.values()) for row in sandboxes]
    return {"kib": middle(totals), "least_kib": round(min(totals), 1), "most_kib": round(max(totals), 1),
            "parts_kib": {part: middle([row[part] for row in sandboxes]) for part in PARTS},
            "waiting_static_program_kib": middle([sum(row.values()) for row in floors])}
