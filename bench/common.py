"""What the benchmarks' programs share: where things lie, running a command, reading its JSON lines."""

import json
import os
import platform
import shutil
import subprocess
import sys

ROOT = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
RELEASE = os.path.join(ROOT, "build", "release")
PEERS = os.path.join(ROOT, "build", "peers")
missing = set()
build_folder = RELEASE


def note(text):
    print(f"# {text}", file=sys.stderr, flush=True)


def use_build(folder):
    """Measures the programs of another build folder."""
    global build_folder
    build_folder = os.path.abspath(folder)


def built(name, folder="bench"):
    """A program of ours."""
    return os.path.join(build_folder, folder, name)


def peer(name):
    """The path of a peer's program, or None."""
    path = shutil.which("nginx", path=os.environ.get("PATH", "") + ":/usr/sbin") \
        if name == "nginx" else os.path.join(PEERS, name)
    if path and os.path.exists(path):
        return path
    if name not in missing:
        missing.add(name)
        note(f"the peer {name} is not installed (bench/setup {name}); its rows are left out")
    return None


def pinned(cpus, command):
    """On a machine with two or more processors, keeps a command on some of them."""
    wanted = [cpu for cpu in cpus if cpu < os.cpu_count()]
    return ["taskset", "-c", ",".join(map(str, wanted))] + command if wanted else command


def parse_lines(output):
    return [json.loads(line) for line in output.splitlines() if line.startswith("{")]


def json_lines(command, cpus=(0,), timeout=300):
    done = subprocess.run(pinned(cpus, command), capture_output=True, text=True, timeout=timeout)
    if done.returncode != 0:
        raise RuntimeError(f"{' '.join(command)}: exit {done.returncode}: {done.stderr.strip()[-400:]}")
    return parse_lines(done.stdout)


def text(value):
    if value is None:
        return "-"
    if value == 0:
        return "0"
    return f"{value:,.0f}" if abs(value) >= 1000 else f"{value:.3g}"


def machine():
    model = "?"
    with open("/proc/cpuinfo") as file:
        for line in file:
            if line.startswith("model name"):
                model = line.split(":", 1)[1].strip()
                break
    return f"{model}, {os.cpu_count()} processors, Linux {platform.release()}"
