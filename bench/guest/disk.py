"""`bench/run --only disk,guest-disk`: what a disk does in a second. `disk`: a file of the host under our process, beside
the same work straight on io_uring. `guest-disk`: an image of ours beside a Debian Linux guest on the same machine that
QEMU emulates, with the same disk. bench/README.md describes what is measured."""

import contextlib
import json
import os
import re
import shutil
import subprocess
import tempfile
import time

from common import PEERS, built, note, parse_lines, pinned
from guest import counts, guest, initramfs

NAMES = ["disk", "guest-disk"]
SIZE = 64 << 20
# In the order in which bench_disk and bench_disk_floor do them, with the words for `qemu-img bench`.
WORK = [("4 KB random read, depth 1", ["-d", "1", "-s", "4096", "-S", str(4096 * 997)]),
        ("4 KB random read, depth 32", ["-d", "32", "-s", "4096", "-S", str(4096 * 997)]),
        ("128 KB read in order, depth 4", ["-d", "4", "-s", "131072"]),
        ("128 KB write in order, depth 4", ["-w", "-d", "4", "-s", "131072", "--flush-interval", "32"])]


def make_disk(path):
    """Has a block for each sector: one that was never written costs its reader nothing."""
    with open(path, "wb") as file:
        for number in range(SIZE >> 20):
            file.write(number.to_bytes(1, "little") * (1 << 20))
        file.flush()
        os.fsync(file.fileno())


class Machine:
    """One that does the next of WORK whenever Ctrl-C is typed on its console."""

    def __init__(self, stack, label, boot, memory, counting):
        self.label, self.next = label, 0
        folder = tempfile.mkdtemp(dir=memory)
        stack.callback(shutil.rmtree, folder, ignore_errors=True)
        self.disk = os.path.join(folder, "disk")
        make_disk(self.disk)
        words = ["qemu-system-x86_64", "-name", "guest,debug-threads=on", "-accel", "tcg", "-M", "q35", "-cpu", "max",
                 "-smp", "1", "-m", "512", "-nodefaults", "-display", "none", "-no-reboot",
                 "-chardev", "stdio,id=console,signal=off", "-serial", "chardev:console",
                 "-drive", f"if=none,id=disk,format=raw,file={self.disk}",
                 "-device", "virtio-blk-pci,disable-legacy=on,drive=disk", *boot]
        if counting:
            words += ["-plugin", f"{built('bench_counter.so')},counts={os.path.join(folder, 'counts')}"]
        self.process = subprocess.Popen(words, stdin=subprocess.PIPE, stdout=subprocess.PIPE,
                                        stderr=subprocess.STDOUT, preexec_fn=guest.ends_with_us)
        stack.callback(guest.end, self.process)
        self.said, self.rest = [], b""
        self.wait_for("ready")
        guest.Guest.place_threads(self)
        self.counts = counts.Counts(os.path.join(folder, "counts")) if counting else None

    def wait_for(self, key):
        """The next JSON line with that key. The kernel's own words may stand before it."""
        deadline = time.monotonic() + guest.BOOT_SECONDS
        os.set_blocking(self.process.stdout.fileno(), False)
        while time.monotonic() < deadline:
            chunk = self.process.stdout.read()
            if chunk is None:
                time.sleep(0.01)
                continue
            if not chunk:
                break
            *lines, self.rest = (self.rest + chunk).split(b"\n")
            for line in lines:
                text = line.decode(errors="replace").strip()
                self.said.append(text)
                if found := re.search(r"\{.*\}", text):
                    with contextlib.suppress(ValueError):
                        if key in (value := json.loads(found[0])):
                            return value
        raise RuntimeError(f"{self.label} says no \"{key}\"; its last words:\n" + "\n".join(self.said[-12:]))

    def do(self, index):
        """WORK[index], after those that come before it."""
        while True:
            at, self.next = self.next, (self.next + 1) % len(WORK)
            before = self.counts.read() if self.counts else None
            self.process.stdin.write(b"\x03")
            self.process.stdin.flush()
            line = self.wait_for("variant")
            if line["variant"] != WORK[at][0]:
                raise RuntimeError(f"{self.label} has done {line['variant']}, not {WORK[at][0]}")
            if at == index:
                if before is not None:
                    spent = counts.difference(before, self.counts.read())
                    line["instructions"] = counts.totals(spent)[0] / line["requests"]
                    line["spent"] = spent
                return line


def boot_all(stack, memory, words, counting=False):
    linux = {peer: guest.linux(program, "words=" + ",".join(["--wait", *words]))
             for peer, program in (("raw io_uring", "bench_disk_floor"), ("same app", "bench_disk"))}
    ours = ["-kernel", guest.image_of("bench_disk"), "-append", " ".join(["--log", "warning", "--wait", *words])]
    return {label: Machine(stack, label, boot, memory, counting)
            for label, boot in [("ours", ours), *((f"linux, {peer}", boot) for peer, boot in linux.items())]}


def limit(path, words, requests):
    """What QEMU's own layer of disks does, without a machine."""
    done = subprocess.run(["taskset", "-c", str(os.cpu_count() - 1), "qemu-img", "bench", "-f", "raw", "-c",
                           str(requests), *words, path], capture_output=True, text=True, check=True)
    return requests / float(re.search(r"completed in ([0-9.]+) seconds", done.stdout)[1])


def build():
    guest.build_image("bench_disk", None)
    initramfs.make(os.path.join(guest.FOLDER, "initrd"), guest.LINUX_ROOT, guest.HERE,
                   {name: built(name) for name in ("bench_disk", "bench_disk_floor")}, None, None)


def on_machines(table, options):
    """All guests are up at the same time and asked in turn. Their disks are in the host's memory, so that it is no
    medium that is measured."""
    memory = "/dev/shm" if os.path.isdir("/dev/shm") else None
    build()
    seconds = ["--seconds", "1" if options.quick else "2"]
    with contextlib.ExitStack() as stack:
        machines = boot_all(stack, memory, seconds)
        for index, (what, words) in enumerate(WORK):
            contestants = {label: lambda machine=machine, index=index: machine.do(index)["requests_per_second"]
                           for label, machine in machines.items()}
            if shutil.which("qemu-img"):
                disk = os.path.join(stack.enter_context(tempfile.TemporaryDirectory(dir=memory)), "disk")
                make_disk(disk)
                contestants["floor"] = lambda disk=disk, words=words: limit(disk, words, 20_000)
            table.add(f"QEMU: {what}", "1/s", contestants, {}, higher_is_better=True)
    with contextlib.ExitStack() as stack:
        stack.callback(setattr, table, "rounds", table.rounds)
        table.rounds = 1  # these hardly differ from one to the next
        machines = boot_all(stack, memory, ["--requests", "1000" if options.quick else "3000"], counting=True)
        for index, (what, _) in enumerate(WORK):
            def measure(label, index=index, what=what):
                line = machines[label].do(index)
                if options.profile:
                    guest.show_profile(f"{what}, {label}", line["spent"], line["requests"], "bench_disk")
                return line["instructions"]
            table.add(f"QEMU: {what}, instructions", "",
                      {label: lambda label=label, measure=measure: measure(label) for label in machines}, {})


def on_the_host(table, folder, quick):
    disk = os.path.join(folder, "disk")
    make_disk(disk)
    seconds = "1" if quick else "2"
    programs = {"ours": ["bench_disk"], "raw io_uring": ["bench_disk_floor"],
                "registered": ["bench_disk_floor", "--registered"]}

    def measure(label, what):
        program, *words = programs[label]
        # What is shown on the console of an image a process shows where errors go.
        done = subprocess.run(pinned((0,), [built(program), "--disk", disk, "--only", what, "--seconds", seconds, *words]),
                              stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, timeout=60, check=False)
        if done.returncode != 0:
            raise RuntimeError(f"{program}: {done.stdout.strip()[-400:]}")
        line = parse_lines(done.stdout)[0]
        return line["requests_per_second"], line["busy_ns_per_request"]

    for what, _ in WORK:
        table.add(f"host: {what}", "1/s", {label: lambda label=label, what=what: measure(label, what)
                                           for label in programs}, {}, higher_is_better=True)


def run(table, names, options):
    if "disk" in names:
        os.makedirs(PEERS, exist_ok=True)
        with tempfile.TemporaryDirectory(dir=PEERS) as folder:
            on_the_host(table, folder, options.quick)
    if "guest-disk" in names:
        if reason := guest.why_not(tap=False):
            note(f"guest-disk is left out: {reason}")
        else:
            on_machines(table, options)
