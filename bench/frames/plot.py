#!/usr/bin/env python3
"""plot.py RESULTS.json OUT: draws OUT.svg and OUT.png from the rows of `bench/run --only frames`.

Survival curves, both axes logarithmic: which part of the frames began (left) and were done (right)
later than that after they were due. The SVG follows the reader's light or dark scheme."""

import json
import re
import sys

import matplotlib

matplotlib.use("svg")
import matplotlib.pyplot as pyplot  # noqa: E402  (after the choice of a backend)

PERIOD_US = 1e6 / 120
# Name: (light, dark). The drawing uses the light ones; the SVG gets a style for both.
INK = {"ink": ("#1d2b1b", "#eaf3e7"), "soft": ("#44523f", "#b9c9b4"), "grid": ("#d3dccf", "#3a4a36")}
SERIES = {
    "lichen": ("ours", "#2f7d32", "#7fd67f", 2.6, "-"),
    "lichen, no preemption": ("plain", "#8bb58c", "#4d7a4d", 1.2, "-"),
    "tokio": ("tokio", "#c2571a", "#f0935a", 1.2, ":"),
    "tokio, hogs yield each 5 ms": ("tokio5", "#c2571b", "#f0935b", 1.4, "-"),
    "tokio, hogs yield each 0.1 ms": ("tokio0", "#c2571c", "#f0935c", 1.4, "--"),
    "tokio, hogs in spawn_blocking": ("tokiob", "#c2571d", "#f0935d", 1.4, "-."),
    "go": ("go", "#0a84a5", "#5cc8e6", 1.4, "-"),
    "threads, nice 0": ("nice0", "#6d4fa3", "#b79cf0", 1.4, "-"),
    "threads, nice -15": ("nice15", "#6d4fa4", "#b79cf1", 1.4, "--"),
    "threads, SCHED_FIFO": ("fifo", "#6d4fa5", "#b79cf2", 1.4, "-."),
    "threads, SCHED_DEADLINE": ("deadline", "#6d4fa6", "#b79cf3", 1.4, ":"),
    "host: timer signal": ("host", "#7a6a2f", "#cdb660", 1.2, ":"),
}


def microseconds(us):
    for unit, scale in (("s", 1e6), ("ms", 1e3)):
        if us >= scale:
            return f"{us / scale:g} {unit}"
    return f"{us:g} \u00b5s"


def survival(histogram):
    """Points (us, part of the frames that needed longer) of a step curve."""
    total = sum(count for _, count in histogram)
    left, xs, ys = total, [], []
    for us, count in histogram:
        xs.append(us)
        ys.append(left / total)
        left -= count
    # Down to half a frame: the last step ends at the axis, not in the air.
    return xs + xs[-1:], ys + [0.5 / total]


def style(svg):
    """Colours become properties, which a reader's dark scheme overrides."""
    colours = {**INK, **{name: (light, dark) for name, light, dark, *_ in SERIES.values()}}
    for name, (light, _) in colours.items():
        svg = re.sub(rf"(stroke|fill): {light}", rf"\1: var(--{name})", svg)
    rules = [" ".join(f"--{name}: {pair[which]};" for name, pair in colours.items()) for which in (0, 1)]
    sheet = (f"<style>svg {{ {rules[0]} }}\n"
             f"@media (prefers-color-scheme: dark) {{ svg {{ {rules[1]} }} }}</style>\n")
    svg = re.sub(r"(\d\.\d\d)\d+", r"\1", svg)
    at = svg.index("<defs>")
    return svg[:at] + sheet + svg[at:]


def main():
    results, out = sys.argv[1:]
    with open(results) as file:
        rows = json.load(file)
    variants = list(dict.fromkeys(row["name"] for row in rows))
    ink, soft, grid = (INK[name][0] for name in ("ink", "soft", "grid"))
    matplotlib.rcParams.update({
        "svg.fonttype": "none", "svg.hashsalt": "frames", "font.size": 10, "text.color": ink,
        "font.family": "sans-serif", "font.sans-serif": ["DejaVu Sans"],
        "axes.edgecolor": soft, "axes.labelcolor": soft, "xtick.color": soft, "ytick.color": soft,
        "axes.spines.top": False, "axes.spines.right": False, "grid.color": grid})
    figure, axes = pyplot.subplots(len(variants), 2, figsize=(9.5, 3.3 * len(variants) + 1),
                                   sharex="col", sharey=True, squeeze=False)
    drawn = {}
    for number, variant in enumerate(variants):
        for column, (key, what) in enumerate((("histogram", "began"), ("done_histogram", "was done"))):
            plane = axes[number][column]
            plane.set(xscale="log", yscale="log", title=f"{variant}: {what} later than")
            plane.title.set_fontsize(10)
            plane.title.set_color(ink)
            plane.grid(True, linewidth=0.6)
            plane.minorticks_off()
            plane.xaxis.set_major_formatter(lambda us, _: microseconds(us))
            plane.yaxis.set_major_formatter(lambda part, _: "all" if part >= 1 else f"1 in {1 / part:,.0f}")
            plane.axvline(PERIOD_US, color=soft, linewidth=1)
            plane.annotate("late" if column else "a period", (PERIOD_US, 1), (4, 1), color=soft,
                           textcoords="offset points", fontsize=8.5)
            for row in rows:
                if row["name"] != variant or row["contestant"] not in SERIES or not row[key]:
                    continue
                _, colour, _, width, dashes = SERIES[row["contestant"]]
                xs, ys = survival(row[key])
                drawn[row["contestant"]], = plane.plot(
                    xs, ys, color=colour, linewidth=width, linestyle=dashes, drawstyle="steps-pre",
                    zorder=3 if row["contestant"] == "lichen" else 2)
            if column == 0:
                plane.set_xlim(left=5)  # what was on time by less says nothing
                plane.set_ylabel("part of the frames")
            if number == len(variants) - 1:
                plane.set_xlabel("after the frame was due")
    order = [label for label in SERIES if label in drawn]
    figure.legend([drawn[label] for label in order], order, loc="lower center", ncol=3, frameon=False,
                  fontsize=9)
    figure.tight_layout(rect=(0, 0.85 / figure.get_figheight(), 1, 1))
    figure.savefig(f"{out}.png", dpi=130, facecolor="#ffffff")
    figure.savefig(f"{out}.svg", transparent=True, metadata={"Date": None})
    with open(f"{out}.svg") as file:
        drawing = style(file.read())
    with open(f"{out}.svg", "w") as file:
        file.write(drawing)


main()
