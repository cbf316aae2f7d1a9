"""`ops/bench sandbox`: prepares the programs, runs rustbox-sandbox-bench, makes figures and a plot of its samples.

Decides nothing about the launcher. The compiled languages are compiled here with the flags of a job; TypeScript runs
as the JavaScript it becomes, so it has no case of its own.
"""
import json
import os
import shutil
import subprocess
import tempfile

import bench_warm

HERE = os.path.dirname(os.path.abspath(__file__))
TOP = os.path.dirname(os.path.dirname(HERE))
PROGRAMS = os.path.join(TOP, "tests", "bench", "programs")
GO = "/usr/lib/go-1.19"
# name -> language, source, name at /box, compile command ({src}, {out}) or None
CASES = {
    "static C": ("c", "hello_static.c", "main", "/usr/bin/gcc -O2 -static -o {out} {src}"),
    "C": ("c", "hello.c", "main", "/usr/bin/gcc -std=gnu17 -O2 -o {out} {src} -lm"),
    "C++": ("cpp", "hello.cpp", "main", "/usr/bin/g++ -std=gnu++17 -O2 -o {out} {src}"),
    "Rust": ("rust", "hello.rs", "main", "/usr/bin/rustc --edition 2021 -O -C linker=/usr/bin/gcc -o {out} {src}"),
    "Go": ("go", "hello.go", "main", GO + "/bin/go build -o {out} {src}"),
    "Python": ("python", "hello.py", "main.py", None),
    "JavaScript": ("javascript", "hello.js", "main.js", None),
    "Java": ("java", "Main.java", "classes", "/usr/lib/jvm/java-17-openjdk-amd64/bin/javac -d {out} {src}"),
}
ROOT_BINDS = "--ro-bind /usr /usr --symlink usr/lib /lib --symlink usr/lib64 /lib64 --symlink usr/bin /bin"
PEERS = {
    "bubblewrap": "/usr/bin/bwrap --unshare-all --die-with-parent " + ROOT_BINDS +
                  " --proc /proc --dev /dev --tmpfs /tmp --ro-bind {dir} /box /box/main",
    "firejail": "/usr/bin/firejail --quiet --noprofile --net=none --caps.drop=all --seccomp {dir}/main",
    "nsjail": "/usr/bin/nsjail -Mo -Q --chroot / -- {dir}/main",
}


def quantiles(values):
    values = sorted(values)
    pick = lambda q: round(values[int(q * (len(values) - 1) + 0.5)], 1)
    return {"p50": pick(0.5), "p95": pick(0.95), "p99": pick(0.99)}


def install(say):
    """bubblewrap and firejail, the way ops/test installs packages; without the network the bench goes on without them."""
    script = f'. {HERE}/common.sh; . {HERE}/packages.sh; packages_install bubblewrap firejail'
    if subprocess.run(["/bin/bash", "-c", script], stdout=subprocess.DEVNULL).returncode:
        say("bubblewrap or firejail could not be installed; going on without what is missing")


def prepare(scratch, say):
    cases = []
    for name, (language, source, output, command) in CASES.items():
        directory = os.path.join(scratch, name.replace(" ", "-"))
        os.mkdir(directory)
        src, out = os.path.join(PROGRAMS, source), os.path.join(directory, output)
        if command is None:
            shutil.copy(src, out)
        elif not os.path.exists(command.split()[0]):
            say(f"{name} is left out: {command.split()[0]} is not installed")
            continue
        else:
            say(f"compiling {name}")
            env = {"PATH": "/usr/bin:/bin", "HOME": scratch, "GOCACHE": scratch + "/go", "GO111MODULE": "off",
                   "CGO_ENABLED": "0"}
            subprocess.run(command.format(src=src, out=out).split(), check=True, env=env)
        cases += ["--case", f"{name}:{language}:{directory}"]
    return cases


def peers(directory, say):
    found = []
    for name, command in PEERS.items():
        command = command.format(dir=directory)
        if not os.path.exists(command.split()[0]):
            say(f"{name} is left out: {command.split()[0]} is not installed")
        elif subprocess.run(command.split(), env={}, stdout=subprocess.DEVNULL, timeout=20).returncode:
            say(f"{name} is left out: it cannot run here (its message is above)")
        else:
            found += ["--peer", f"{name}:{command}"]
    return found


def forks(case, bare):
    """The template tier beside the cold one, where the language has it."""
    if not case["fork_us"]:
        return {}
    fork = quantiles(case["fork_us"])
    rows = {"template_us": fork, "unsandboxed_to_template_p50": round(bare["p50"] / fork["p50"], 1),
            "template_per_second": case["forks_per_second"],
            "template_steps_p50_us": {step: quantiles(values)["p50"] for step, values in case["fork_steps"].items()}}
    if case["fork_ahead_us"]:
        ahead = quantiles(case["fork_ahead_us"])
        rows.update({"template_ahead_us": ahead, "unsandboxed_to_template_ahead_p50": round(bare["p50"] / ahead["p50"], 1)})
    return rows


def warm(case, bare):
    """The tier of sandboxes made before their job."""
    if not case["warm_us"]:
        return {}
    ahead = quantiles(case["warm_us"])
    return {"warm_us": ahead, "warm_added_p50_us": round(ahead["p50"] - bare["p50"], 1),
            "warm_ratio_p50": round(ahead["p50"] / bare["p50"], 3),
            "warm_steps_p50_us": {step: quantiles(values)["p50"] for step, values in case["warm_steps"].items() if values}}


def runs(case):
    """A further run of one built program on two slots, where it was measured, in turns with a job alone and a bare spawn."""
    if not case["runs"]["wall_us"]:
        return {}
    return {"further_case": case["runs"], "job_alone": case["single_runs"], "bare_spawn": case["spawns"]}


def figures(raw):
    floor = quantiles(raw["floor"]["us"])
    result = {"floor_us": floor, "per_second": {"floor": raw["floor"]["per_second"],
                                                "rustbox": raw["sandboxes_per_second"]}, "peers": {}, "cases": {}}
    for peer in raw["peers"]:
        us = quantiles(peer["us"])
        result["peers"][peer["name"]] = {"us": us, "to_floor_p50": round(us["p50"] / floor["p50"], 2)}
        result["per_second"][peer["name"]] = peer["per_second"]
        result["per_second"]["rustbox_to_" + peer["name"]] = round(raw["sandboxes_per_second"] / (peer["per_second"] or 1), 1)
    for case in raw["cases"]:
        bare, boxed = quantiles(case["unsandboxed_us"]), quantiles(case["sandboxed_us"])
        result["cases"][case["name"]] = {
            "unsandboxed_us": bare, "sandboxed_us": boxed, "added_p50_us": round(boxed["p50"] - bare["p50"], 1),
            "ratio_p50": round(boxed["p50"] / bare["p50"], 3), "p99_to_p50": round(boxed["p99"] / boxed["p50"], 2),
            **warm(case, bare), **forks(case, bare), **runs(case),
            "steps_p50_us": {step: quantiles(values)["p50"] for step, values in case["steps"].items()}}
    return result


def plot(result, path):
    """Bars of the medians with a line to the 95th percentile, on a logarithmic scale."""
    import math
    rows = [("floor: spawn of static C", result["floor_us"], "#888")]
    for name, case in result["cases"].items():
        rows += [(f"{name}, unsandboxed", case["unsandboxed_us"], "#888"), (f"{name}, Rustbox", case["sandboxed_us"], "#2563a8")]
        rows += [(f"{name}, {text}", case[key], "#2563a8") for key, text in
                 (("warm_us", "made ahead"), ("template_us", "template"), ("template_ahead_us", "template, made ahead")) if key in case]
    rows += [(f"static C, {name}", peer["us"], "#c26a1a") for name, peer in result["peers"].items()]
    low, high = 100, max(row[1]["p95"] for row in rows) * 1.3
    place = lambda us: 220 + 560 * math.log(max(us, low) / low) / math.log(high / low)
    out = [f'<svg xmlns="http://www.w3.org/2000/svg" width="860" height="{50 + 22 * len(rows)}" font-family="sans-serif" font-size="12">',
           '<rect width="100%" height="100%" fill="white"/><text x="10" y="18">start to end of hello: median (bar) and 95th percentile (line), us, logarithmic</text>']
    for i, (name, us, colour) in enumerate(rows):
        y = 32 + 22 * i
        out.append(f'<text x="212" y="{y + 12}" text-anchor="end">{name}</text>'
                   f'<rect x="220" y="{y}" width="{place(us["p50"]) - 220:.0f}" height="15" fill="{colour}"/>'
                   f'<line x1="{place(us["p50"]):.0f}" x2="{place(us["p95"]):.0f}" y1="{y + 8}" y2="{y + 8}" stroke="black"/>'
                   f'<text x="{place(us["p95"]) + 5:.0f}" y="{y + 12}">{us["p50"]:.0f}</text>')
    with open(path, "w") as file:
        file.write("\n".join(out + ["</svg>\n"]))


def run(options, say):
    if os.geteuid() != 0:
        raise SystemExit("bench: sandboxes need root: run it with sudo")
    program = os.path.join(options.build, "bin", "rustbox-sandbox-bench")
    if not os.path.exists(program):
        raise SystemExit(f"bench: {program} is missing: cmake --preset release && cmake --build --preset release")
    if not options.no_install:
        install(say)
    with tempfile.TemporaryDirectory(prefix="rustbox-bench-") as scratch:
        os.chmod(scratch, 0o755)
        state = os.path.join(scratch, "state")
        cases = prepare(scratch, say)
        static = os.path.join(scratch, "static-C")
        command = [program, "--state-dir", state, "--floor", os.path.join(static, "main"),
                   "--rounds", str(options.requests), "--warm", "2", "--rate", str(options.requests * 5),
                   "--runs", str(options.requests)]
        done = subprocess.run(command + cases + peers(static, say), stdout=subprocess.PIPE, text=True, timeout=900)
    if done.returncode:
        raise SystemExit("bench: rustbox-sandbox-bench failed; its message is above")
    result = figures(json.loads(done.stdout))
    result["kept_ready"] = bench_warm.kept_memory(os.path.join(options.build, "bin"), say)
    if options.plot:
        plot(result, options.plot)
        say(f"plot: {options.plot}")
    return result
