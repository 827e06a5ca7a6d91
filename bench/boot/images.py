"""The rows about images that boot: their size, the memory they need, the instructions until an app begins
and until its first response is ready. bench/run calls run(); bench/README.md describes what is measured."""

import contextlib
import os
import re
import select
import socket
import subprocess
import sys
import time

from common import ROOT, note

sys.path.insert(0, os.path.join(ROOT, "tools"))
from cli import image, qemu  # noqa: E402
from cli.boot import answers, ends_with_us, free_port  # noqa: E402
from cli.common import TARGETS, Failed  # noqa: E402

NAMES = ["image", "boot"]
SECONDS = 60  # for what takes a second or two on a quiet machine
STEP = 256  # KiB, of the search for the least memory
KB = 1000
MOST_SIZE = {"hello": 320 * KB, "site": 1000 * KB}
MOST_MEMORY = {"hello": 4096, "site": 16384}  # KiB
MOST_TO_APP = 1_000_000  # instructions


class Machine:
    """An image that runs; what it says is read as it says it."""

    def __init__(self, target, path, words=(), memory="128M", port=None, more=()):
        line = qemu.command(f"qemu-{target}", path, list(words), 1, memory, port) + list(more)
        self.process = subprocess.Popen(line, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                                        stderr=subprocess.DEVNULL, preexec_fn=ends_with_us)
        self.said = b""

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.process.kill()
        self.process.wait()
        self.process.stdout.close()

    def wait_for(self, pattern):
        """The groups of a line; None: it has ended, or does not say so in time."""
        deadline = time.monotonic() + SECONDS
        while not (found := re.search(pattern, self.said)):
            left = deadline - time.monotonic()
            if left <= 0 or not select.select([self.process.stdout], [], [], left)[0]:
                return None
            chunk = os.read(self.process.stdout.fileno(), 65536)
            if not chunk:
                return None
            self.said += chunk
        return found.groups()


def hello_runs(target, path, kib):
    with Machine(target, path, ["word"], f"{kib}K") as machine:
        return machine.wait_for(rb"info: word: word\r?\n") is not None


def site_runs(target, path, kib):
    """It serves a page."""
    port = free_port(0)
    with Machine(target, path, ["--port", str(port)], f"{kib}K", port) as machine:
        if machine.wait_for(rb"info: serving ") is None:
            return False
        deadline = time.monotonic() + SECONDS
        while machine.process.poll() is None and time.monotonic() < deadline:
            if answers(port):
                return True
        return False


def least_memory(runs, most):
    """In KiB, by bisection; None: it does not run with `most` either."""
    low, high = 0, most // STEP
    if not runs(most):
        return None
    while high - low > 1:
        middle = (low + high) // 2
        if runs(middle * STEP):
            high = middle
        else:
            low = middle
    return high * STEP


def sizes(table, print_row):
    for target in TARGETS:
        for name, runs in (("hello", hello_runs), ("site", site_runs)):
            path = image.make(f"apps/{name}", target)
            size = path.stat().st_size
            most = MOST_SIZE[name]
            print_row(table.row(f"image of {name}, {target}", "B", size, f"<= {most:,} B", size <= most))
            most = MOST_MEMORY[name]
            least = least_memory(lambda kib: runs(target, path, kib), 2 * most)
            if least is None:
                note(f"{name}, {target}: does not run in {2 * most} KiB")
                continue
            print_row(table.row(f"memory that {name} runs in, {target}", "KiB", least,
                                f"<= {most:,} KiB", least <= most))


def first_response(port):
    """One request, for a file."""
    deadline = time.monotonic() + SECONDS
    while time.monotonic() < deadline:
        with contextlib.suppress(OSError), \
                socket.create_connection(("127.0.0.1", port), timeout=SECONDS) as connection:
            connection.sendall(b"GET /style.css HTTP/1.1\r\nHost: boot\r\n\r\n")
            if connection.recv(1):
                return


def boots(table, print_row):
    alone = (("app", "to the first task, no network", MOST_TO_APP),)
    on_network = (("app", "to the first task, network up", None),
                  ("serving", "until it serves", None),
                  ("response", "to the first response", None))
    for target in TARGETS:
        path = image.make("bench/boot", target)
        count_instructions(table, print_row, target, path, alone, None)
        count_instructions(table, print_row, target, path, on_network, free_port(0))


def count_instructions(table, print_row, target, path, rows, port):
    inside = 8080
    with Machine(target, path, [], "128M", port and (port, inside),
                 ["-icount", "shift=0"]) as machine:
        for what, name, most in rows:
            if what == "response":
                first_response(port)
            found = machine.wait_for(what.encode() + rb": worked (\d+) ns")
            if found is None:
                note(f"{name}, {target}: no figure; it said {machine.said[-300:]!r}")
                return
            count = int(found[0])
            demand = f"<= {most:,}" if most else None
            print_row(table.row(f"instructions {name}, {target}", "", count, demand,
                                count <= most if most else None))


def run(table, names, print_row):
    try:
        if "image" in names:
            sizes(table, print_row)
        if "boot" in names:
            boots(table, print_row)
    except Failed as why:
        note(f"image, boot: {why}")
