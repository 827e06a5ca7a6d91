#!/usr/bin/env python3
"""Boots images by `tools/lichen boot` and looks at them from outside: the site's pages by curl, many
connections, little memory, an orderly end, crashes, and what is said when something is wrong."""
import argparse
import contextlib
import fcntl
import json
import os
import pathlib
import re
import select
import shutil
import signal
import socket
import struct
import subprocess
import sys
import tempfile
import time

ROOT = pathlib.Path(__file__).resolve().parents[2]
WWW = ROOT / "apps/site/www"
SECONDS = 60  # for what takes one or two on a quiet machine


class Failed(Exception):
    pass


def expect(condition, why):
    if not condition:
        raise Failed(why)


def boot(image, *options, words=()):
    return [sys.executable, str(ROOT / "tools/lichen"), "boot", image, "--on", arguments.on,
            *map(str, options), "--", *words]


def ends(command, **more):
    """What a command says, and its exit status."""
    done = subprocess.run(command, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                          stderr=subprocess.STDOUT, timeout=SECONDS, text=True, check=False, **more)
    return done.stdout, done.returncode


@contextlib.contextmanager
def site(*options, words=()):
    """A site that answers; yields its URL and a list in which its exit status and words will be."""
    process = subprocess.Popen(boot(arguments.site, "--port", 0, *options, words=words),
                               stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                               stderr=subprocess.STDOUT)
    said = b""
    ended = []
    try:
        deadline = time.monotonic() + SECONDS
        while not (found := re.search(rb"(http://127\.0\.0\.1:\d+)/ answers", said)):
            left = deadline - time.monotonic()
            ready = left > 0 and select.select([process.stdout], [], [], left)[0]
            chunk = os.read(process.stdout.fileno(), 65536) if ready else b""
            expect(chunk, f"the site does not answer; it said:\n{said.decode(errors='replace')}")
            said += chunk
        yield found[1].decode(), ended
    finally:
        process.send_signal(signal.SIGINT)
        try:
            rest, _ = process.communicate(timeout=SECONDS)
        except subprocess.TimeoutExpired:
            process.kill()
            rest, _ = process.communicate()
        ended += [process.returncode, (said + rest).decode(errors="replace")]


def curl(*words):
    return subprocess.run(["curl", "-sS", "-m", "30", *words], stdout=subprocess.PIPE,
                          stderr=subprocess.STDOUT, check=False).stdout


def check_hello():
    said, status = ends(boot(arguments.hello, "--memory", 4, words=["one", "two"]))
    expect(status == 0, f"hello in 4 MiB ended with {status}:\n{said}")
    expect("info: hello\ninfo: word: one\ninfo: word: two\n" in said, said)


def check_little_memory():
    """Whatever is missing is said, from the least that the image begins to run in to what it needs."""
    said, status = ends(boot(arguments.site, "--memory", 1, "--port", 0))
    least = re.search(r"--memory 1: .* does not begin to run in less than (\d+) MiB", said)
    expect(status == 2 and least, f"{status}: {said}")
    said, status = ends(boot(arguments.site, "--memory", least[1], "--port", 0))
    expect(status == 1 and re.search(r"error: out of memory: this machine has \d+ KiB for the program", said),
           f"{status}: {said}")


def check_wrong_words():
    for words, reason in ((["--log", "loud"], "--log: debug, info"),
                          (["--memory", "64"], "--memory: a size such as 64M is wanted"),
                          (["--cores", "8"], "--cores: this machine has fewer processors"),
                          (["word"] * 64, "the command line is too long"),
                          (["word" * 512], "has at most 2047 bytes")):
        said, status = ends(boot(arguments.hello, words=words))
        expect(status == 2 and reason in said, f"{status}: {said}")
    said, status = ends(boot(arguments.site, "--port", 0, words=["net=anything"]))
    expect(status == 2 and "net=anything: ADDRESS/BITS[,GATEWAY]" in said, f"{status}: {said}")


def check_wrong_disks():
    with tempfile.NamedTemporaryFile() as file:
        for size, reason in ((0, "it has no bytes"), (1000, "the last one is not whole")):
            file.truncate(size)
            said, status = ends(boot(arguments.hello, "--disk", file.name))
            expect(status == 2 and reason in said, f"{status}: {said}")
        # As a machine that runs has it.
        file.truncate(512)
        fcntl.fcntl(file, fcntl.F_OFD_SETLK, struct.pack("hhqqi4x", fcntl.F_RDLCK, os.SEEK_SET, 101, 1, 0))
        said, status = ends(boot(arguments.hello, "--disk", f"{file.name}:ro"))
        expect(status == 1 and "another machine has it" in said, f"{status}: {said}")
    said, status = ends(boot(arguments.hello, "--disk", file.name))
    expect(status == 2 and "there is no such file" in said, f"{status}: {said}")


def check_site():
    files = [path for path in WWW.rglob("*") if path.is_file()]
    expect(len(files) >= 5, "the site has hardly a file")
    with site("--memory", 16) as (url, ended):
        for path in files:
            got = curl(f"{url}/{path.relative_to(WWW)}")
            expect(got == path.read_bytes(), f"{path.name} arrived otherwise: {got[:100]}")
        expect(curl(f"{url}/") == (WWW / "index.html").read_bytes(), "the index")
        head = curl("-I", f"{url}/style.css").decode()
        expect(head.startswith("HTTP/1.1 200") and
               f"Content-Length: {(WWW / 'style.css').stat().st_size}" in head, head)
        expect(curl("-o", os.devnull, "-w", "%{http_code}", f"{url}/nothing") == b"404", "a 404")
        expect(curl("--path-as-is", "-o", os.devnull, "-w", "%{http_code}", f"{url}/../www/live.js")
               in (b"400", b"404"), "a path that climbs out")
        part = curl("-r", "10-19", f"{url}/index.html")
        expect(part == (WWW / "index.html").read_bytes()[10:20], f"a range: {part}")
        state = json.loads(curl(f"{url}/api/state"))
        expect(len(state["cores"]) == 1 and state["tasks"] > 3 and state["http"]["requests"] >= 8,
               f"the state: {state}")
        expect(json.loads(curl(f"{url}/api/bands"))["bands"], "bands")
        events(url)
        many_connections(url, 100)
    status, said = ended
    expect("info: serving" in said, said)
    expect(status == 0, f"the site ended with {status}:\n{said}")


def events(url):
    with subprocess.Popen(["curl", "-sSN", "-m", "30", f"{url}/events?every=50"],
                          stdout=subprocess.PIPE) as stream:
        seen = []
        for line in stream.stdout:
            if line.startswith(b"data: "):
                seen.append(json.loads(line[6:]))
            if len(seen) == 3:
                break
        stream.kill()
    expect(len(seen) == 3, f"{len(seen)} events")
    uptimes = [event["uptime_ns"] for event in seen]
    expect(sorted(set(uptimes)) == uptimes, f"events of the same moment: {uptimes}")


def many_connections(url, count):
    """That many connections at a time, each with one request after the other."""
    port = int(url.rsplit(":", 1)[1])
    content = (WWW / "style.css").read_bytes()
    connections = []
    try:
        for _ in range(count):
            connections.append(socket.create_connection(("127.0.0.1", port), timeout=30))
        for _ in range(2):
            for connection in connections:
                connection.sendall(b"GET /style.css HTTP/1.1\r\nHost: site\r\n\r\n")
            for connection in connections:
                received = b""
                while not received.endswith(content):
                    chunk = connection.recv(65536)
                    expect(chunk, f"a connection was closed after {len(received)} bytes")
                    received += chunk
                expect(received.startswith(b"HTTP/1.1 200 OK\r\n"), f"{received[:80]}")
    finally:
        for connection in connections:
            connection.close()
    state = json.loads(curl(f"{url}/api/state"))
    expect(state["http"]["accepted"] >= count, f"{state['http']}")


def check_site_on_two_cores():
    with site("--memory", 32, "--cores", 2) as (url, ended):
        for name in ("index.html", "live.js"):
            expect(curl(f"{url}/{name}") == (WWW / name).read_bytes(), f"{name} arrived otherwise")
        many_connections(url, 50)
        state = json.loads(curl(f"{url}/api/state"))
        expect(len(state["cores"]) == 2 and state["http"]["accepted"] >= 50, f"the state: {state}")
    expect(ended[0] == 0, f"the site ended with {ended[0]}:\n{ended[1]}")


def check_no_folder():
    said, status = ends(boot(arguments.site, "--port", 0, words=["--root", "/apps/nothing"]))
    expect(status == 1 and "cannot open the folder /apps/nothing: not found" in said,
           f"{status}: {said}")


def check_crash():
    """The line of the fault, of the calls and of the awaits."""
    said, status = ends(boot(arguments.faults, words=["read-nowhere", "task"]))
    expect(status == 99, f"{status}: {said}")
    patterns = [r"lichen: core 0: .*address 0x1234", r"in .*offend\(.* at tests/boot/faults\.cpp:\d+",
                r"called from image\+0x", r"in .*offend_later\(.* at tests/boot/faults\.cpp:\d+",
                r"by a task of default", r"at faults\.cpp:\d+ in .*task\(",
                r"spawned at faults\.cpp:\d+ in .*root\("]
    at = 0
    for pattern in patterns:
        found = re.compile(pattern).search(said, at)
        expect(found, f"nothing like {pattern} in:\n{said}")
        at = found.end()


def check_wild_call():
    """Of a call of nothing the line that called."""
    said, status = ends(boot(arguments.faults, words=["call-nothing", "task"]))
    expect(status == 99, f"{status}: {said}")
    expect(re.search(r"called from image\+0x\w+\n +in .*call_nothing\(.* at tests/boot/faults\.cpp:\d+", said), said)


def check_taken_port():
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        said, status = ends(boot(arguments.site, "--port", port))
    expect(status == 1 and f"port {port} of 127.0.0.1 cannot be had" in said, f"{status}: {said}")


def check_no_answer():
    said, status = ends(boot(arguments.site, "--port", 0, "--seconds", 0))
    expect(status == 1 and "nothing has answered" in said and "said last" in said,
           f"{status}: {said}")


def check_no_qemu():
    with tempfile.TemporaryDirectory() as folder:
        symbolizer = shutil.which("llvm-symbolizer-19")
        os.symlink(symbolizer, pathlib.Path(folder) / "llvm-symbolizer-19")
        said, status = ends(boot(arguments.hello), env={**os.environ, "PATH": folder})
    expect(status == 3 and "is not installed" in said, f"{status}: {said}")


def check_no_image():
    said, status = ends(boot("nothing-there"))
    expect(status == 2 and "nothing-there is no app" in said, f"{status}: {said}")
    said, status = ends([sys.executable, str(ROOT / "tools/lichen"), "image", "apps/hello", "--target",
                         "x86_64", "--out", os.devnull])
    expect(status == 2 and "no file" in said and not pathlib.Path(os.devnull).is_file(),
           f"{status}: {said}")
    header = pathlib.Path(arguments.hello).read_bytes()[:64]
    with tempfile.NamedTemporaryFile() as file:
        for content in (header[:6], header[:32] + b"\xff" * 8 + header[40:]):
            file.write(content)
            file.flush()
            said, status = ends(boot(file.name))
            expect(status == 1 and "ends before its headers do" in said, f"{status}: {said}")
            file.seek(0)


def check_nobody_reads():
    """A pipe that is closed, as `| head -1` does, ends the machine and is no bug of the tool's."""
    with subprocess.Popen(boot(arguments.site, "--port", 0), stdin=subprocess.DEVNULL,
                          stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as process:
        process.stdout.close()
        said = process.stderr.read()
    expect(process.returncode == 1 and "nobody reads" in said and "Traceback" not in said,
           f"{process.returncode}: {said}")


def check_early_stop():
    """Ctrl-C while the firmware runs, which loses what is typed."""
    process = subprocess.Popen(boot(arguments.site, "--port", 0), stdin=subprocess.DEVNULL,
                               stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
    deadline = time.monotonic() + SECONDS
    while not any("qemu" in name for name in children(process)) and time.monotonic() < deadline:
        time.sleep(0.01)
    process.send_signal(signal.SIGINT)
    said, _ = process.communicate(timeout=SECONDS)
    expect(process.returncode == 0, f"{process.returncode}: {said}")


def children(process):
    """The names of the programs that a process has started."""
    with contextlib.suppress(OSError):
        pids = pathlib.Path(f"/proc/{process.pid}/task/{process.pid}/children").read_text().split()
        return [pathlib.Path(f"/proc/{pid}/comm").read_text() for pid in pids]
    return []


def main():
    failed = 0
    for name, check in list(globals().items()):
        if not name.startswith("check_"):
            continue
        began = time.monotonic()
        try:
            check()
            verdict = "ok"
        except (Failed, subprocess.TimeoutExpired, OSError, ValueError) as why:
            failed += 1
            verdict = f"FAILED: {why}"
        print(f"{name[6:]:20} {time.monotonic() - began:5.1f} s  {verdict}", flush=True)
    return 1 if failed else 0


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    for option in ("--on", "--hello", "--site", "--faults"):
        parser.add_argument(option, required=True)
    arguments = parser.parse_args()
    sys.exit(main())
