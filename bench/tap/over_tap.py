"""The rows of `tap`: our TCP/IP over a TAP device beside the host's over a veth pair, interleaved.

Two network namespaces, which live as long as this does: in one the client and the host's end of the
TAP device, in the other the host's server, a veth pair between them. All clients are the same."""

import contextlib
import os
import signal
import statistics
import subprocess
import time

from common import built, note, parse_lines, pinned

NAMES = ["tap"]
PORT = "7100"
OURS, VETH = ("ours", "10.9.0.2"), ("veth", "10.8.0.2")
STREAM = 0.29  # 11 Gb/s where veth gives 38
ROUND_TRIP = 0.5
IDLE_SHARE = 0.001  # of a processor


class Namespaces:
    """Holders of two namespaces, `client` and `far`; gone with this program, even when it is killed."""

    def __init__(self, ends_with_us):
        self.user = [] if os.geteuid() == 0 else ["--user", "--map-root-user"]
        self.holders = {}
        for name in ("client", "far"):
            inside = self.words("client") if name == "far" and self.user else []
            user = [] if inside else self.user
            self.holders[name] = subprocess.Popen(
                [*inside, "unshare", *user, "--net", "sh", "-c", "echo; exec sleep 3600"],
                preexec_fn=ends_with_us, stdout=subprocess.PIPE, stderr=subprocess.PIPE)
            if not self.holders[name].stdout.readline():
                raise RuntimeError("no network namespace of our own: "
                                   + self.holders[name].stderr.read().decode().strip())

    def words(self, name):
        user = ["--user", "--preserve-credentials"] if self.user else []
        return ["nsenter", "--target", str(self.holders[name].pid), *user, "--net"]

    def do(self, name, script):
        done = subprocess.run([*self.words(name), "sh", "-ec", script], capture_output=True, text=True)
        if done.returncode != 0:
            raise RuntimeError(f"{script}: {done.stderr.strip()}")

    def end(self):
        for holder in self.holders.values():
            holder.kill()
            holder.wait()


def processor_ns(pid):
    """Of all threads, those that have ended included."""
    with open(f"/proc/{pid}/stat") as file:
        fields = file.read().rsplit(")", 1)[1].split()
    return (int(fields[11]) + int(fields[12])) * 1e9 / os.sysconf("SC_CLK_TCK")


def hertz():
    """Cycles a second of this processor at its nominal speed."""
    with open("/proc/cpuinfo") as file:
        for line in file:
            if line.startswith("cpu MHz"):
                return float(line.split(":")[1]) * 1e6
    return 1e9


@contextlib.contextmanager
def servers(cores, ends_with_us):
    """Ours over a TAP device on so many cores, and the host's behind a veth pair: name -> process id,
    and a function that measures one of them."""
    spaces = Namespaces(ends_with_us)
    running = []
    try:
        queues = "multi_queue" if cores > 1 else ""
        spaces.do("client", "ip link set lo up; ip link add lveth0 type veth peer name lveth1 netns "
                  f"{spaces.holders['far'].pid}; ip addr add 10.8.0.1/24 dev lveth0; ip link set lveth0 up;"
                  f"ip tuntap add dev ltap0 mode tap {queues}; ip addr add 10.9.0.1/24 dev ltap0;"
                  "ip link set ltap0 up")
        spaces.do("far", "ip link set lo up; ip addr add 10.8.0.2/24 dev lveth1; ip link set lveth1 up")
        cpus = tuple(range(cores))

        def start(where, command):
            running.append(subprocess.Popen([*spaces.words(where), *pinned(cpus, command)],
                                            preexec_fn=ends_with_us, stdout=subprocess.DEVNULL,
                                            stderr=subprocess.DEVNULL))
            return running[-1].pid
        pids = {OURS[0]: start("client", [built("bench_tap"), "--net", "ltap0", "--cores", str(cores),
                                          "--port", PORT]),
                VETH[0]: start("far", [built("bench_tap_host"), "serve", VETH[1], PORT])}

        def measure(who, mode, seconds, connections=1):
            name, address = who
            command = [*spaces.words("client"),
                       *pinned((1,), [built("bench_tap_host"), "client", address, PORT, mode,
                                      str(seconds), str(connections)])]
            before = processor_ns(pids[name])
            done = subprocess.run(command, capture_output=True, text=True, timeout=60 + seconds)
            if done.returncode != 0:
                raise RuntimeError(f"{name}, {mode}: {done.stderr.strip()[-300:]}")
            line = parse_lines(done.stdout)[0]
            line["server_ns"] = processor_ns(pids[name]) - before
            return line
        for who in (OURS, VETH):
            until = time.monotonic() + 10
            while True:
                try:
                    measure(who, "echo", 0.05)
                    break
                except RuntimeError:
                    if time.monotonic() > until:
                        raise
                    time.sleep(0.05)
        yield pids, measure
    finally:
        for process in running:
            process.send_signal(signal.SIGTERM)
        for process in running:
            with contextlib.suppress(subprocess.TimeoutExpired):
                process.wait(5)
            process.kill()
            process.wait()
        spaces.end()


def run(table, names, quick, ends_with_us):
    if "tap" not in names:
        return
    try:
        with servers(1, ends_with_us) as (pids, measure):
            one_core(table, quick, pids, measure)
        if os.cpu_count() > 1:
            several_cores(table, quick, ends_with_us)
    except (RuntimeError, OSError) as error:
        note(f"tap: left out: {error}")


def one_core(table, quick, pids, measure):
    seconds = 0.7 if quick else 1.5
    lines = {}

    def measured(who, mode, field):
        def figure():
            line = measure(who, mode, seconds)
            lines.setdefault((who[0], mode), []).append(line)
            return line[field], line["server_ns"] / line["bytes"]
        return figure
    for mode, what in (("to", "TCP stream to us"), ("from", "TCP stream from us")):
        table.add(f"tap: {what}", "Gb/s", {"ours": measured(OURS, mode, "gbit_per_s"),
                                           "veth": measured(VETH, mode, "gbit_per_s")},
                  {"veth": STREAM}, higher_is_better=True)
    table.add("tap: 64 B there and back", "us", {"ours": measured(OURS, "echo", "p50_us"),
                                                 "veth": measured(VETH, "echo", "p50_us")},
              {"veth": ROUND_TRIP})
    # Both ends together, since each does a part of the other's work.
    speed = hertz()

    def cycles(who, mode):
        return statistics.median((line["server_ns"] + line["client_ns"]) * speed / 1e9 / line["bytes"]
                                 for line in lines[who[0], mode])
    for mode, what in (("to", "to us"), ("from", "from us")):
        if lines.get((OURS[0], mode)) and lines.get((VETH[0], mode)):
            table.add(f"tap: cycles a byte, both ends, {what}", "", {
                "ours": lambda mode=mode: cycles(OURS, mode),
                "veth": lambda mode=mode: cycles(VETH, mode)}, {})

    def idle():
        before, start = processor_ns(pids[OURS[0]]), time.monotonic()
        time.sleep(2)
        return (processor_ns(pids[OURS[0]]) - before) / 1e9 / (time.monotonic() - start)
    table.add("tap: processors used when idle", "", {"ours": idle}, {}, absolute=IDLE_SHARE)


def several_cores(table, quick, ends_with_us):
    """The client needs a processor, too: with two processors this shows that nothing breaks, not that
    it scales."""
    seconds = 0.7 if quick else 1.5
    cores = min(os.cpu_count(), 4)
    with servers(cores, ends_with_us) as (_, measure):
        for mode, what in (("to", "to us"), ("from", "from us")):
            table.add(f"tap: {cores} cores, 8 streams {what}", "Gb/s", {
                "ours": lambda mode=mode: measure(OURS, mode, seconds, 8)["gbit_per_s"],
                "veth": lambda mode=mode: measure(VETH, mode, seconds, 8)["gbit_per_s"]},
                {}, higher_is_better=True)
