"""The rows that are about time: frames under load, the price of preemption, fairness, inheritance,
an idle machine. bench/run calls run(); bench/README.md describes what is measured."""

import json
import math
import os
import resource
import shutil
import subprocess
import sys
import time

from common import ROOT, built, json_lines, note, parse_lines, peer

NAMES = ["frames", "preempt", "fairness", "inherit", "energy"]  # and `idle`, whose name bench/run has already
HZ = 120
CORES = os.cpu_count()
ALL = tuple(range(CORES))
VARIANTS = {"4 x 1 ms": {"tracks": 4, "work-us": 1000}, "1 x 3 ms": {"tracks": 1, "work-us": 3000}}
# label: (program, words). Each takes the same plan; the words say how it carries it out.
OURS = "lichen"
PEERS = {
    "tokio": ("tokio", []),
    "tokio, hogs yield each 5 ms": ("tokio", ["--hogs-yield-us", "5000"]),
    "tokio, hogs yield each 0.1 ms": ("tokio", ["--hogs-yield-us", "100"]),
    "tokio, hogs in spawn_blocking": ("tokio", ["--hogs-blocking", "1"]),
    "go": ("go", []),
    "threads, nice 0": ("threads", ["--policy", "nice"]),
    "threads, nice -15": ("threads", ["--policy", "nice", "--nice", "-15"]),
    "threads, SCHED_FIFO": ("threads", ["--policy", "fifo"]),
    "threads, SCHED_DEADLINE": ("threads", ["--policy", "deadline"]),
}
# Why a frame was late; bench/README.md.
REASONS = ("stand_in", "slept", "host", "unseen", "section", "budget", "other")
NEVER_RUNS = "tokio"  # its frames wait for the hogs' end whatever the time: a short look is enough
NOT_PERMITTED = 77


class Merged:
    """What one contestant did in all rounds."""

    def __init__(self):
        self.sums = dict.fromkeys(("frames", "late", "late_by_host", "dropped", "hog_us", "left_us",
                                   "seconds", "others_us", "round_trips",
                                   *(f"late_for_{reason}" for reason in REASONS)), 0)
        self.wake, self.done, self.after_signal, self.piece, self.most = {}, {}, {}, {}, 0

    def add(self, line, others_us=0):
        line = {"others_us": others_us, **line}
        line["round_trips"] = line.get("io_per_second", 0) * line.get("seconds", 0)
        line.setdefault("frames", line.get("count", 0))
        for key in self.sums:
            self.sums[key] += line.get(key, 0)
        for mine, key in ((self.wake, "histogram"), (self.done, "done_histogram"),
                          (self.after_signal, "after_signal_histogram"),
                          (self.piece, "piece_histogram")):
            for us, count in line.get(key, []):
                mine[us] = mine.get(us, 0) + count
        self.most = max(self.most, line["wake_max_us"])

    def quantile(self, q, of=None):
        """From the buckets, so at most 2.2 % above the true figure."""
        histogram = self.wake if of is None else of
        rank, seen = math.ceil(q * sum(histogram.values())), 0
        for us, count in sorted(histogram.items()):
            seen += count
            if seen >= rank:
                return min(us, self.most)
        return None

    def row(self):
        sums = self.sums
        row = {key: sums[key] for key in ("frames", "late", "late_by_host", "dropped", "seconds")}
        for name, q in (("p50", 0.5), ("p99", 0.99), ("p999", 0.999)):
            row[f"wake_{name}_us"] = self.quantile(q)
        row["wake_max_us"] = self.most
        if self.after_signal:
            row["late_for"] = {reason: sums[f"late_for_{reason}"] for reason in REASONS}
            row["undisturbed"] = sum(self.after_signal.values())
            for name, q in (("p50", 0.5), ("p99", 0.99), ("p999", 0.999)):
                row[f"after_signal_{name}_us"] = self.quantile(q, self.after_signal)
                row[f"piece_{name}_us"] = self.quantile(q, self.piece)
        if sums["left_us"]:
            # What other processes took was not there to be used.
            row["hog_share"] = sums["hog_us"] / max(sums["left_us"] - sums["others_us"], 1)
            row["others_share"] = sums["others_us"] / (sums["seconds"] * 1e6 * CORES)
            row["io_per_second"] = sums["round_trips"] / sums["seconds"]
        row["histogram"] = sorted(self.wake.items())
        row["done_histogram"] = sorted(self.done.items())
        return row


def processors_busy_us():
    """Processor time of the whole machine, stolen time included, idle and waiting time not."""
    with open("/proc/stat") as file:
        ticks = list(map(int, file.readline().split()[1:9]))
    return (sum(ticks) - ticks[3] - ticks[4]) * 1e6 / os.sysconf("SC_CLK_TCK")


def children_us():
    """Processor time of the children that have ended."""
    usage = resource.getrusage(resource.RUSAGE_CHILDREN)
    return (usage.ru_utime + usage.ru_stime) * 1e6


def run_alone(command, timeout):
    """Runs a contestant; its line, and the processor time that others took in its measured time."""
    own, before, began = children_us(), processors_busy_us(), time.monotonic()
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as child:
        try:
            output, errors = child.communicate(timeout=timeout)
        except subprocess.TimeoutExpired:
            child.kill()
            raise RuntimeError(f"{' '.join(command)} does not end") from None
    others = processors_busy_us() - before - (children_us() - own)
    took = time.monotonic() - began
    lines = parse_lines(output)
    if child.returncode != 0 or not lines:
        raise RuntimeError(f"exit {child.returncode}: {errors.strip()[-300:]}", child.returncode)
    return lines[0], max(others, 0) * lines[0].get("seconds", 0) / took


def calibrated():
    line = json_lines([built("bench_frames_floor"), "calibrate"], ALL)[0]
    return ["--iterations-per-us", str(line["iterations_per_us"]), "--io-us", str(line["io_us"])]


def contestants():
    """label: command, ours first."""
    found = {OURS: [built("bench_frames"), "frames"],
             f"{OURS}, real-time": [built("bench_frames"), "frames", "--realtime", "1"],
             f"{OURS}, no preemption": [built("bench_frames"), "frames", "--preempt", "0"]}
    for label, (program, words) in PEERS.items():
        path = peer(program)
        if path:
            found[label] = [path, "frames", *words]
    return {label: command for label, command in found.items() if os.path.exists(command[0])}


def measure(variant, plan, rounds, frames):
    """All contestants in turn, round after round: {label: Merged}, and the host's own signals."""
    each = max(frames // rounds // plan["tracks"], HZ // 4)
    commands = contestants()
    merged = {label: Merged() for label in commands}
    host = {}
    for number in range(rounds):
        measured = calibrated()
        note(f"frames {variant}, round {number + 1} of {rounds}: {each * plan['tracks']:,} frames "
             f"each, {each / HZ:.0f} s; {measured[1]} iterations a us, echo {measured[3]} us")
        for line in json_lines([built("bench_frames_floor"), "signals", "--seconds",
                                str(min(each / HZ, 20))], ALL):
            host.setdefault(f"host: {line['variant']} signal", Merged()).add(line)
        for label, command in list(commands.items()):
            count = min(each, HZ) if label in (NEVER_RUNS, f"{OURS}, no preemption") else each
            words = [f"--{key}={value}" for key, value in plan.items()]
            words = [part for word in words for part in word.split("=")]
            try:
                line, others = run_alone([*command, *words, "--frames", str(count), *measured],
                                         count / HZ + 60)
                merged[label].add(line, others)
            except RuntimeError as error:
                refused = error.args[1:] == (NOT_PERMITTED,)
                note(f"frames, {label}: " + (f"this user may not ({error.args[0]}); left out"
                                             if refused else error.args[0]))
                del commands[label]
    return {label: one for label, one in merged.items() if one.sums["frames"]}, host


def figure(value, width=9):
    if value is None:
        return f"{'-':>{width}}"
    return f"{value:>{width},.0f}" if value >= 100 else f"{value:>{width}.1f}"


def print_frames(variant, rows):
    print(f"\nframes, {variant} of work at {HZ} Hz beside {CORES + 2} hogs and an echo pair; "
          f"wake-to-run in us\n"
          f"{'':<32} {'frames':>8} {'late':>8} {'late %':>8} {'p50':>9} {'p99':>9} {'p99.9':>9} "
          f"{'max':>9} {'hogs %':>7} {'echo/s':>8}")
    for row in rows:
        wake = " ".join(figure(row[f"wake_{name}_us"]) for name in ("p50", "p99", "p999", "max"))
        if "hog_share" in row:
            late = f"{row['late']:>8,} {100 * row['late'] / row['frames']:>8.2f}"
            rest = f"{100 * row['hog_share']:>7.1f} {figure(row['io_per_second'], 8)}"
        else:
            late, rest = f"{'-':>8} {'-':>8}", f"{'-':>7} {'-':>8}"
        print(f"{row['contestant']:<32} {row['frames']:>8,} {late} {wake} {rest}")
    for row in rows:
        if "late_for" not in row:
            continue
        why = ", ".join(f"{name} {count:,}" for name, count in row["late_for"].items())
        print(f"{row['contestant']}: late for {why}; after the timer's signal ran, of {row['undisturbed']:,} frames "
              "which the host did not disturb: "
              + ", ".join(f"{name} {figure(row[f'after_signal_{name}_us'], 0)}" for name in ("p50", "p99", "p999"))
              + "; then 12 us of plain computing took longer by "
              + ", ".join(f"{name} {figure(row[f'piece_{name}_us'], 0)}" for name in ("p50", "p99", "p999")))
    noisy = [row for row in rows if row.get("others_share", 0) > 0.02]
    if noisy:
        print("others used the processors meanwhile (their time is not counted as left): "
              + ", ".join(f"{row['contestant']} {100 * row['others_share']:.0f} %" for row in noisy))
    print(flush=True)


def late_cell(row):
    own = row["late"] - row["late_by_host"]
    return f"{row['late']:,}" + (f" ({own:,})" if row["late_by_host"] else "")


def markdown(rows):
    """The tables of all variants for docs/benchmarks.md."""
    lines = []
    for name in dict.fromkeys(row["name"] for row in rows):
        lines += [f"**{name}**, wake-to-run in us:", "",
                  "| | frames | late | p50 | p99 | p99.9 | max | hogs % | echo/s | others % |",
                  "|---|---:|---:|---:|---:|---:|---:|---:|---:|---:|"]
        for row in rows:
            if row["name"] != name:
                continue
            cells = [row["contestant"], f"{row['frames']:,}"]
            cells += [late_cell(row) if "hog_share" in row else "-"]
            cells += [figure(row[f"wake_{which}_us"], 0) for which in ("p50", "p99", "p999", "max")]
            cells += [f"{100 * row['hog_share']:.1f}", f"{row['io_per_second']:,.0f}",
                      f"{100 * row['others_share']:.0f}"] if "hog_share" in row else ["-"] * 3
            lines.append("| " + " | ".join(cells) + " |")
        lines.append("")
    return "\n".join(lines)


def write_tables(rows):
    """Between the two marks in docs/benchmarks.md."""
    path = os.path.join(ROOT, "docs/benchmarks.md")
    with open(path) as file:
        before, rest = file.read().split("<!-- frames -->", 1)
    after = rest.split("<!-- /frames -->", 1)[1]
    with open(path, "w") as file:
        file.write(f"{before}<!-- frames -->\n{markdown(rows)}<!-- /frames -->{after}")


def frames(table, options, print_row):
    everything = []
    for variant, plan in VARIANTS.items():
        total = (HZ * 10 if options.quick else options.frames // 4) * plan["tracks"]
        results, host = measure(variant, plan, table.rounds, total)
        rows = [{"name": f"frames {variant}", "contestant": label, **one.row()}
                for label, one in (*results.items(), *host.items())]
        print_frames(variant, rows)
        everything += rows
        ours = next((row for row in rows if row["contestant"] == OURS), None)
        if not ours:
            note(f"frames {variant}: we have no figure")
            continue
        floor = host["host: timer signal"].quantile(0.999)
        # What the host takes from as much plain computing is no wake's.
        allowed = 50 + ours.get("piece_p999_us", 0)
        demands = (
            ("late", "", ours["late"], 0, "<= 0", ours["late"] == 0),
            ("late, the host's part left out", "", ours["late"] - ours["late_by_host"], 0, "<= 0",
             ours["late"] == ours["late_by_host"]),
            ("wake p99.9", "us", ours["wake_p999_us"], floor, f"<= {floor + 50:.0f} us",
             ours["wake_p999_us"] <= floor + 50),
            ("p99.9 after the frame's own signal", "us", ours.get("after_signal_p999_us"), None,
             f"<= {allowed:.0f} us", ours.get("after_signal_p999_us", math.inf) <= allowed),
            ("hogs' share", "", ours["hog_share"], 1, ">= 0.95", ours["hog_share"] >= 0.95))
        for what, unit, value, limit, demand, met in demands:
            print_row(table.row(f"frames {variant}: {what}", unit, value, demand, met, limit))
    table.rows += [{"met": None, **row} for row in everything]
    draw(everything, options.update_docs)


def draw(rows, update_docs):
    """The plot of both variants, by a Python that has matplotlib."""
    folder = os.path.join(ROOT, "build", "bench")
    os.makedirs(folder, exist_ok=True)
    with open(os.path.join(folder, "frames.json"), "w") as file:
        json.dump(rows, file)
    has = "import matplotlib"
    python = next((path for path in (sys.executable, "/usr/bin/python3")
                   if subprocess.run([path, "-c", has], capture_output=True).returncode == 0), None)
    if not python:
        note("no plot: matplotlib is not installed (bench/setup plot)")
        return
    subprocess.run([python, os.path.join(ROOT, "bench/frames/plot.py"),
                    os.path.join(folder, "frames.json"), os.path.join(folder, "frames")], check=True)
    note(f"drawn: {os.path.relpath(folder, ROOT)}/frames.svg and .png")
    if update_docs:
        for kind in ("svg", "png"):
            shutil.copy(os.path.join(folder, f"frames.{kind}"), os.path.join(ROOT, "docs"))
        write_tables(rows)


def line_of(variant, field, program, *words):
    """measure() of a table's row: a field of the line that a program prints for a variant."""
    def measure():
        for line in json_lines([program, *words], ALL):
            if line["variant"].startswith(variant):
                return line[field]
        raise RuntimeError(f"{program} prints no line of {variant}")
    return measure


def worst_row(table, print_row, name, unit, measure, most=None):
    """The worst of all rounds, which may not be above `most`."""
    try:
        worst = max(measure() for _ in range(table.rounds))
    except (RuntimeError, subprocess.TimeoutExpired) as error:
        note(f"{name}: {error}")
        return
    demand = None if most is None else f"<= {most:g} {unit}".strip()
    print_row(table.row(name, unit, worst, demand, None if most is None else worst <= most))


def energy(table, quick, print_row):
    """On the simulated machine, so the same in each round: all loads under each placement."""
    path = built("bench_energy")
    if not os.path.exists(path):
        note("energy: bench_energy is built where tests are (LICHEN_TESTS)")
        return
    recording = os.path.join(ROOT, "bench/energy/recordings/browsing.txt")
    lines = json_lines([path, "--seconds", "10" if quick else "60", "--recording", recording], ALL)
    total = {}
    for line in lines:
        load, policy = line["variant"].split(", ")
        total[policy] = total.get(policy, 0) + line["mj"]
        missed = line.get("missed")
        print_row(table.row(f"energy {load}: {policy}", "", line["ratio"],
                            None if missed is None else "0 missed",
                            None if missed is None else missed == 0))
    for policy, mj in total.items():
        ratio = mj / total["spread"]
        aware = policy == "energy-aware"
        print_row(table.row(f"energy of all loads: {policy}", "", ratio,
                            "<= 0.75" if aware else None, ratio <= 0.75 if aware else None))


def small_rows(table, names, quick, print_row):
    ours = built("bench_frames")
    seconds = ["--seconds", "2" if quick else "5"]
    if "preempt" in names:
        others = {label: line_of(label, "cost_p50_us", path, "preempt", *seconds)
                  for label, path in (("threads", peer("threads")), ("go", peer("go"))) if path}
        table.add("one preemption", "us",
                  {"ours": line_of("lichen", "cost_p50_us", ours, "preempt", *seconds), **others}, {},
                  absolute=30)
        table.add("computing, preemption on / off", "",
                  {"ours": line_of("computing", "ratio", ours, "preempt", "--seconds", "0.1")}, {},
                  absolute=1.01)
    if "fairness" in names:
        for how in ("spread", "as placed"):
            worst_row(table, print_row, f"weights 1:3 {how}, error in 1 s", "",
                      line_of(f"weights 1:3, {how}", "worst_error", ours, "fairness", *seconds), 0.05)
        worst_row(table, print_row, "guarantee of 20 %, missing in 1 s", "",
                  line_of("guarantee", "missing", ours, "fairness", *seconds), 0.05)
    if "inherit" in names:
        words = ["inherit", "--frames", str(HZ * (2 if quick else 10))]
        worst_row(table, print_row, "a frame's mutex is held: late", "",
                  line_of("lichen, mutex", "late", ours, *words), 0)
        worst_row(table, print_row, "the same, wake p99.9", "us",
                  line_of("lichen, mutex", "wake_p999_us", ours, *words), 600)
        worst_row(table, print_row, "the same, nothing inherited: late", "",
                  line_of("lichen, semaphore", "late", ours, *words))
    if "idle" in names:
        for field, what, unit in (("wakeups", "wake-ups of an idle machine", ""),
                                  ("cpu_us", "processor time of an idle machine", "us")):
            table.add(what, unit, {"ours": line_of("", field, ours, "idle", *seconds)}, {}, absolute=0)


def run(table, names, options, print_row):
    small_rows(table, names, options.quick, print_row)
    if "energy" in names:
        energy(table, options.quick, print_row)
    if "frames" in names:
        frames(table, options, print_row)
