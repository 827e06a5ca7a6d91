"""`bench/run --only guest-http`: an image of ours beside a Debian Linux guest on the same machine that QEMU
emulates: the same board, processor, memory, network card. bench/README.md describes what is measured."""

import contextlib
import ctypes
import os
import shutil
import signal
import socket
import subprocess
import tempfile
import time

from common import PEERS, ROOT, built, note, parse_lines, pinned
from guest import counts, initramfs

NAMES = ["guest-http"]
HERE = os.path.dirname(os.path.abspath(__file__))
FOLDER = os.path.join(PEERS, "guest")
LINUX_ROOT = os.path.join(FOLDER, "root")
ADDRESS, OUTSIDE, PORT = "10.0.2.15", "10.0.2.2", 80
PR_SET_PDEATHSIG = 1
BOOT_SECONDS = 300
# What an image has inside, and its words.
IMAGES = {"bench_http": ("bench/bench_http", ["--root", "www"]), "site": ("apps/site", ["--root", "apps/site/www"]),
          "echo": ("apps/echo", []), "bench_disk": ("bench/bench_disk", [])}
PROGRAMS = {"bench_http": "bench", "site": "apps", "echo": "apps"}  # where they are as processes


def ends_with_us():
    ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, signal.SIGKILL)


class Tap:
    """A network namespace with a TAP device, whose other end is the guest's card. No vhost: QEMU itself
    moves the packets, with checksum and segmentation offload."""
    name = "tap"
    address, port = ADDRESS, PORT

    def __init__(self, stack):
        sleeper = subprocess.Popen(["unshare", "-n", "sleep", "infinity"], preexec_fn=ends_with_us)
        stack.callback(end, sleeper)
        self.enter = ["nsenter", "-t", str(sleeper.pid), "-n"]
        ours = os.readlink("/proc/self/ns/net")
        while os.readlink(f"/proc/{sleeper.pid}/ns/net") == ours:
            if sleeper.poll() is not None:
                raise RuntimeError("no network namespace can be had")
            time.sleep(0.01)
        for words in ("tuntap add tap0 mode tap", f"addr add {OUTSIDE}/24 dev tap0", "link set tap0 up"):
            done = subprocess.run([*self.enter, "ip", *words.split()], capture_output=True, text=True, check=False)
            if done.returncode != 0:
                raise RuntimeError(f"ip {words}: {done.stderr.strip()}")
        self.netdev = "tap,id=net,ifname=tap0,script=no,downscript=no,vhost=off"


class User:
    """QEMU's own network of user space, as `./run --on` has it."""
    name = "user"
    address = "127.0.0.1"
    enter = []

    def __init__(self, _):
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            self.port = probe.getsockname()[1]
        self.netdev = f"user,id=net,hostfwd=tcp:127.0.0.1:{self.port}-:{PORT}"


def end(process):
    process.kill()
    process.wait()


class Guest:
    """A machine that runs. `boot` is what starts on it: QEMU's words for kernel, memory disk, command line."""

    def __init__(self, stack, label, boot, network, mode, counting=False):
        self.label, self.network, self.counts = label, network(stack), None
        folder = tempfile.mkdtemp()
        stack.callback(shutil.rmtree, folder, ignore_errors=True)
        self.console = os.path.join(folder, "console")
        words = [*self.network.enter, "qemu-system-x86_64", "-name", "guest,debug-threads=on", "-accel", "tcg", "-M", "q35", "-cpu", "max", "-smp", "1",
                 "-m", "512", "-nodefaults", "-display", "none", "-no-reboot", "-serial", f"file:{self.console}",
                 "-netdev", self.network.netdev, "-device", "virtio-net-pci,disable-legacy=on,netdev=net", *boot]
        if counting:
            path = os.path.join(folder, "counts")
            words += ["-plugin", f"{built('bench_counter.so')},counts={path}"]
        self.process = subprocess.Popen(words, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL,
                                        stderr=subprocess.PIPE, text=True, preexec_fn=ends_with_us)
        stack.callback(end, self.process)
        self.mode, self.counting, self.folder = mode, counting, folder

    def wait_until_it_answers(self):
        deadline = time.monotonic() + BOOT_SECONDS
        while True:
            with contextlib.suppress(subprocess.TimeoutExpired):
                done = self.run_load(1, 5, requests=1, warmup=0, seconds=1)
                if done.returncode == 0:
                    break
            if self.process.poll() is not None:
                raise RuntimeError(f"{self.label}: QEMU has ended: {self.process.stderr.read().strip()[-400:]}; the "
                                   f"machine's last words:\n{self.last_words()}")
            if time.monotonic() > deadline:
                raise RuntimeError(f"{self.label} does not answer; its last words:\n{self.last_words()}")
            time.sleep(0.2)
        self.place_threads()
        if self.counting:
            self.counts = counts.Counts(os.path.join(self.folder, "counts"))

    def place_threads(self):
        """The guest's processor has the first one here for itself; devices and network are on the second, where
        the load comes from."""
        folder = f"/proc/{self.process.pid}/task"
        for thread in os.listdir(folder):
            with contextlib.suppress(OSError), open(f"{folder}/{thread}/comm") as name:
                os.sched_setaffinity(int(thread), {0 if name.read().startswith("CPU") else os.cpu_count() - 1})

    def last_words(self):
        with contextlib.suppress(OSError), open(self.console, errors="replace") as file:
            return "".join(file.readlines()[-12:])
        return ""

    def run_load(self, connections, timeout, **parameters):
        words = [*self.network.enter, built("bench_load"), self.mode, "--address", self.network.address,
                 "--port", str(self.network.port), "--connections", str(connections),
                 "--server-pid", str(self.process.pid)]
        if self.mode == "http":
            parameters.setdefault("path", "/file")
        for key, value in parameters.items():
            words += [f"--{key.replace('_', '-')}", str(value)]
        return subprocess.run(pinned((1,), words), capture_output=True, text=True, timeout=timeout, check=False)

    def load(self, connections, **parameters):
        done = self.run_load(connections, 300, **parameters)
        if done.returncode != 0:
            raise RuntimeError(f"bench_load: {done.stderr.strip()[-400:]}; the machine: {self.last_words()[-400:]}")
        line = parse_lines(done.stdout)[0]
        if line["errors"]:
            raise RuntimeError(f"{line['errors']} errors")
        return line

    def rate(self, connections, **parameters):
        """Requests a second, and the host's processor time for each, of QEMU as a whole."""
        line = self.load(connections, **parameters)
        return line["requests_per_second"], line["server_ns_per_request"]

    def instructions(self, connections, requests, **parameters):
        """Of the guest, for each request, all of its software together; steps of string instructions beyond
        the first apart."""
        before = self.counts.read()
        line = self.load(connections, requests=requests, warmup=0, seconds=200, **parameters)
        spent = counts.difference(before, self.counts.read())
        return tuple(figure / line["requests"] for figure in counts.totals(spent)), spent, line["requests"]


def nginx_conf():
    with open(os.path.join(ROOT, "bench/peers/nginx/nginx.conf.in")) as file:
        conf = file.read()
    for key, value in (("127.0.0.1:@PORT@", f"{ADDRESS}:{PORT}"), ("@FOLDER@", "/run"), ("@WWW@", "/srv/www")):
        conf = conf.replace(key, value)
    return conf


def linux(serve, more=""):
    kernel = next(name for name in sorted(os.listdir(os.path.join(LINUX_ROOT, "boot"))) if name.startswith("vmlinuz"))
    return ["-kernel", os.path.join(LINUX_ROOT, "boot", kernel), "-initrd", os.path.join(FOLDER, "initrd"),
            "-append", f"console=ttyS0 quiet panic=-1 no_timer_check serve={serve} {more}"]


def ours(app):
    words = [f"net={ADDRESS}/24,{OUTSIDE}", "--port", str(PORT), "--log", "warning", *IMAGES[app][1]]
    return ["-kernel", image_of(app), "-append", " ".join(words)]


def image_of(app):
    return os.path.join(ROOT, "build/images", f"guest-{app}-x86_64")


def build_image(app, www):
    folder = IMAGES[app][0]
    files = ["--files", www] if app not in ("echo", "bench_disk") else []
    done = subprocess.run([os.path.join(ROOT, "tools/lichen"), "image", folder, "--target", "x86_64", *files,
                           "--out", image_of(app)], capture_output=True, text=True, check=False)
    if done.returncode != 0:
        raise RuntimeError(f"lichen image {folder}: {done.stderr.strip()[-1000:]}")


def build(www):
    """The images, and the memory disk."""
    for app in PROGRAMS:
        build_image(app, www)
    initramfs.make(os.path.join(FOLDER, "initrd"), LINUX_ROOT, HERE,
                   {name: built(name, folder) for name, folder in PROGRAMS.items()}, www, nginx_conf())


def why_not(linux=True, tap=True):
    """What keeps these rows from being measured; None: nothing."""
    if not shutil.which("qemu-system-x86_64"):
        return "qemu-system-x86_64 is not installed (tools/setup image)"
    if linux and not os.path.isdir(LINUX_ROOT):
        return "the Linux guest is not there (bench/setup guest)"
    if tap and (os.geteuid() != 0 or not os.path.exists("/dev/net/tun")):
        return "a TAP device in a network namespace needs root and /dev/net/tun"
    return None


# What is asked of whom: (row, mode, words for bench_load, our image, {peer: what Linux serves}).
WORK = [
    ("plaintext", "http", {"path": "/plaintext"}, "bench_http", {"nginx": "nginx", "same app": "bench_http"}),
    ("4 KB file", "http", {"path": "/file"}, "site", {"nginx": "nginx", "same app": "site"}),
    ("echo 512 B", "echo", {}, "echo", {"same app": "echo"}),
]


def boot_all(stack, network, work, counting=False):
    """{(work's row, contestant): machine}, each booted once, all at the same time."""
    machines, guests = {}, {}
    for what, mode, words, image, peers in work:
        wanted = {"ours": ("ours", image), **{f"linux, {peer}": ("linux", serve) for peer, serve in peers.items()}}
        for label, kind in wanted.items():
            if kind not in machines:
                boot = ours(kind[1]) if kind[0] == "ours" else linux(kind[1])
                machines[kind] = Guest(stack, f"{kind[0]} {kind[1]}", boot, network, mode, counting)
            guests[what, label] = machines[kind]
    for machine in machines.values():
        machine.wait_until_it_answers()
    return guests


def rates(table, network, work, connections, seconds):
    with contextlib.ExitStack() as stack:
        guests = boot_all(stack, network, work)
        suffix = "" if network is Tap else ", user net"
        for what, _, words, _, peers in work:
            for count in connections:
                contestants = {
                    label: lambda guest=guests[what, label], count=count, words=words: guest.rate(
                        count, seconds=seconds, **words)
                    for label in ["ours", *(f"linux, {peer}" for peer in peers)]}
                demands = {label: 2 for label in contestants if label != "ours"} if network is Tap else {}
                table.add(f"QEMU: {what}, {count} conn.{suffix}", "1/s", contestants, demands, higher_is_better=True)


def instructions(table, work, connections, requests, profile):
    """One round: these hardly differ from one to the next."""
    with contextlib.ExitStack() as stack:
        stack.callback(setattr, table, "rounds", table.rounds)
        table.rounds = 1
        guests = boot_all(stack, Tap, work, counting=True)
        for what, _, words, image, peers in work:
            for count in connections:
                steps = {}

                def measure(label, count=count, words=words, what=what, steps=steps, image=image):
                    (figure, repeated), spent, asked = guests[what, label].instructions(
                        count, max(requests, 40 * count), **words)
                    steps[label] = repeated
                    if profile and label == "ours":
                        show_profile(f"{what}, {count} conn.", spent, asked, image)
                    return figure

                table.add(f"QEMU: {what}, {count} conn., instructions", "",
                          {label: lambda label=label: measure(label)
                           for label in ["ours", *(f"linux, {peer}" for peer in peers)]}, {})
                note(f"{what}, {count} conn.: further steps of string instructions a request: "
                     + ", ".join(f"{label} {figure:,.0f}" for label, figure in steps.items()))


def show_profile(what, spent, requests, image):
    symbols = counts.Symbols()
    symbols.add_elf(image_of(image) + ".debug")
    print(f"\n{what}: instructions a request of ours, by function")
    for figure, steps, name in counts.by_function(spent, symbols)[:50]:
        print(f"{figure / requests:10.1f} {steps / requests:8.1f} {name[:110]}")
    print(flush=True)


def run(table, names, options, www):
    if "guest-http" not in names:
        return
    if reason := why_not():
        note(f"guest-http is left out: {reason}")
        return
    build(www)
    connections = (16,) if options.quick else (1, 16, 100)
    rates(table, Tap, WORK, connections, 1 if options.quick else 2)
    if not options.quick:
        rates(table, User, WORK[:1], (16,), 2)
    instructions(table, WORK, connections, 1000 if options.quick else 3000, options.profile)
