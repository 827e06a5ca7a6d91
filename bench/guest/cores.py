"""`bench/run --only guest-cores`: an image on machines of QEMU's with one, two and four processors and a network
card with as many pairs of queues: how connections spread, what a request costs, what cores do to each other.
bench/README.md describes what is measured."""

import contextlib
import os
import re
import statistics
import subprocess
import tempfile
import time

from common import built, note, parse_lines
from guest import counts, guest

NAMES = ["guest-cores"]
CORES = (1, 2, 4)
CONNECTIONS = 64
# What a core says when the network ends.
LINE = re.compile(r"core (\d+): (\d+) connections; (\d+) frames received, (\d+) sent, (\d+) passed to other cores")


class Tap:
    """As guest.Tap, with several queues."""

    def __init__(self, stack, queues):
        one = guest.Tap(stack)
        self.enter = one.enter
        self.netdev, self.card = one.netdev, ""
        if queues > 1:
            for words in ("link del tap0", "tuntap add tap0 mode tap multi_queue",
                          f"addr add {guest.OUTSIDE}/24 dev tap0", "link set tap0 up"):
                subprocess.run([*self.enter, "ip", *words.split()], check=True)
            self.netdev += f",queues={queues}"
            self.card = f",mq=on,vectors={2 * queues + 2}"


class Machine:
    def __init__(self, stack, cores, counting=False, more=""):
        self.tap, self.cores = Tap(stack, cores), cores
        words = [*self.tap.enter, "qemu-system-x86_64", "-name", "guest,debug-threads=on", "-accel",
                 f"tcg,thread={'single' if counting else 'multi'}", "-M", "q35", "-cpu", "max", "-smp", str(cores),
                 "-m", "512", "-nodefaults", "-display", "none", "-no-reboot", "-serial", "stdio",
                 "-netdev", self.tap.netdev, "-device", f"virtio-net-pci,disable-legacy=on,netdev=net{self.tap.card}",
                 "-kernel", guest.image_of("bench_http"),
                 "-append", f"net={guest.ADDRESS}/24,{guest.OUTSIDE} --port {guest.PORT} --root www "
                 f"--cores {cores} {more}"]
        if counting:
            self.counts_path = os.path.join(tempfile.mkdtemp(), "counts")
            self.lines_path = self.counts_path + ".lines"
            words += ["-plugin", f"{built('bench_counter.so')},counts={self.counts_path},lines={self.lines_path}"]
        self.process = subprocess.Popen(words, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
                                        preexec_fn=guest.ends_with_us)
        stack.callback(guest.end, self.process)
        deadline = time.monotonic() + guest.BOOT_SECONDS
        while self.load(seconds=1, connections=1, requests=1, warmup=0, check=False) is None:
            if self.process.poll() is not None or time.monotonic() > deadline:
                raise RuntimeError(f"the image with {cores} cores does not answer")
            time.sleep(0.2)

    def load(self, check=True, connections=CONNECTIONS, **parameters):
        words = [*self.tap.enter, built("bench_load"), "http", "--path", "/plaintext", "--address", guest.ADDRESS,
                 "--port", str(guest.PORT), "--connections", str(connections)]
        for key, value in parameters.items():
            words += [f"--{key}", str(value)]
        try:
            done = subprocess.run(words, capture_output=True, text=True, timeout=60, check=False)
        except subprocess.TimeoutExpired:
            return None
        if done.returncode != 0:
            if check:
                raise RuntimeError(f"bench_load: {done.stderr.strip()[-400:]}")
            return None
        return parse_lines(done.stdout)[0]

    def processor_times(self):
        """Of each virtual processor's thread, in seconds."""
        times = {}
        folder = f"/proc/{self.process.pid}/task"
        for thread in os.listdir(folder):
            with contextlib.suppress(OSError), open(f"{folder}/{thread}/stat") as file:
                name, rest = file.read().split("(", 1)[1].rsplit(")", 1)
                if found := re.match(r"CPU (\d+)/", name):
                    fields = rest.split()
                    times[int(found[1])] = (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")
        return times

    def rate(self, pipeline, seconds):
        """Requests a second, and the seconds that each virtual processor worked for a million of them."""
        before = self.processor_times()
        line = self.load(seconds=seconds, pipeline=pipeline, warmup=0)
        after = self.processor_times()
        each = [(after[core] - before[core]) / line["requests"] * 1e6 for core in sorted(after)]
        return line["requests_per_second"], each

    def finish(self):
        """Asks it to stop by its console; what each core says: (connections, received, sent, passed on)."""
        output, _ = self.process.communicate(b"\x03", timeout=60)
        said = {int(found[0]): tuple(map(int, found[1:])) for found in LINE.findall(output.decode(errors="replace"))}
        return [said[core] for core in sorted(said)]


def rates(table, print_row, seconds):
    with contextlib.ExitStack() as stack:
        machines = [Machine(stack, cores) for cores in CORES]
        for pipeline in (1, 16):
            figures = {machine: [] for machine in machines}
            for _ in range(table.rounds):
                for machine in machines:
                    figures[machine].append(machine.rate(pipeline, seconds))
            for machine in machines:
                name = f"plaintext x {pipeline}, {CONNECTIONS} conn., {machine.cores} cores"
                print_row(table.row(name, "1/s", statistics.median(rate for rate, _ in figures[machine])))
                each = [statistics.median(spent[core] for _, spent in figures[machine])
                        for core in range(machine.cores)]
                print_row(table.row(f"{name}, processor time a request", "us", sum(each)))
                note(f"{name}: us a request by core: " + " ".join(f"{one:.1f}" for one in each))
        for machine in machines[1:]:
            for core, (connections, received, sent, passed) in enumerate(machine.finish()):
                note(f"{machine.cores} cores, core {core}: {connections} connections, {received} frames received, {sent} "
                     f"sent, {passed} passed to other cores")


def atomics(table, print_row, requests, profile):
    """Counted, while one processor after the other runs: all of them, and those on a line of another core, which is
    where a lock or a counter that cores share would be seen."""
    symbols = counts.Symbols()
    symbols.add_elf(guest.image_of("bench_http") + ".debug")
    for cores in CORES:
        with contextlib.ExitStack() as stack:
            machine = Machine(stack, cores, counting=True)
            machine.load(requests=requests, warmup=0, seconds=100)
            counter, lines = counts.Counts(machine.counts_path), counts.Lines(machine.lines_path)
            before, lines_before = counter.read_locked(), lines.read()
            line = machine.load(requests=requests, warmup=0, seconds=100)
            foreign = counts.foreign(lines_before, lines.read())
            everywhere = {address: (times - before.get(address, (0, 0))[0]) * locked
                          for address, (times, locked) in counter.read_locked().items()}
            print_row(table.row(f"atomics a request, {cores} cores", "", sum(everywhere.values()) / line["requests"]))
            print_row(table.row(f"of these on a line of another core, {cores} cores", "",
                                sum(foreign.values()) / line["requests"]))
            if profile:
                tell(symbols, everywhere, line["requests"])
            if foreign:
                note(f"{cores} cores, atomics a request on another core's lines, by function:")
                tell(symbols, foreign, line["requests"])


def tell(symbols, places, requests):
    """{instruction: times}, by function."""
    functions = {}
    for address, times in places.items():
        name = symbols.name(address)
        functions[name] = functions.get(name, 0) + times
    for name, times in sorted(functions.items(), key=lambda item: -item[1])[:25]:
        if times:
            print(f"{times / requests:10.4f} {name[:110]}")


def run(table, names, options, www, print_row):
    if "guest-cores" not in names:
        return
    if reason := guest.why_not(linux=False):
        note(f"guest-cores is left out: {reason}")
        return
    guest.build_image("bench_http", www)
    rates(table, print_row, 1 if options.quick else 3)
    atomics(table, print_row, 2_000 if options.quick else 10_000, options.profile)
