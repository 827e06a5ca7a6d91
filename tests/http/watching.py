"""What the site tells about the scheduler: bands, traces, the demonstration."""

import json
import os
import subprocess

from perfetto_trace import notice_damage, slices_of
from site_process import PATIENCE, Site, expect, running, wait_for


def check_bands(world):
    with running(world, "--cores", "2") as site:
        state = site.state()
        expect(len(state["bands"]) == 10, "ten bands")
        expect(state["preemption"] is True and "demo" not in state, "nothing is demonstrated")
        expect([group["name"] for group in state["groups"]] == ["default"], f"{state['groups']}")
        expect(state["watched"] == [], "no task is watched")
        bands = json.loads(site.ask("/api/bands").content)
        mine = [lane for lane in bands["lanes"] if lane["tasks"] > 0]
        expect(mine and all(lane["group"] == "default" for lane in mine), f"{bands['lanes']}")
        busy = [band for band in bands["bands"] if band["tasks"] > 0]
        expect(busy, "some band has run")
        for lane in mine + busy:
            for times in (lane["wait"], lane["run"]):
                expect(times["p50"] <= times["p99"] <= times["p999"] <= times["max"], f"{times}")
        expect(site.ask("/api/bands", method="HEAD").status == 200, "HEAD is answered")
        expect(site.ask("/api/bands", "Content-Length: 0\r\n", "POST").status == 405, "POST is not")


def check_trace(world):
    with running(world, "--cores", "2") as site:
        with site.connect() as recorder:
            recorder.send(b"GET /trace?seconds=1 HTTP/1.1\r\nHost: h\r\n\r\n")
            for _ in range(20):
                expect(site.ask("/a.txt").status == 200, "served while it records")
            expect(site.ask("/trace").status == 503, "one at a time")
            got = recorder.response()
        expect(got.status == 200 and got.whole, f"{got.status}")
        expect("lichen.pftrace" in got.fields["content-disposition"], f"{got.fields}")
        slices = slices_of(got.content)
        notice_damage(got.content)
        expect(slices.get("core 0", 0) + slices.get("core 1", 0) > 20, f"{slices}")
        post = site.ask("/trace", "Content-Length: 0\r\n", "POST")
        expect((post.status, post.fields["allow"]) == (405, "GET"), f"POST: {post.status}")


def check_stop_while_it_records(world):
    with Site(world.program, world.root) as site:
        with site.connect() as recorder:
            recorder.send(b"GET /trace?seconds=60 HTTP/1.1\r\nHost: h\r\n\r\n")
            wait_for("the request", lambda: site.state()["http"]["open"] == 2)
            site.interrupt()
            got = recorder.response()
            expect(got.status == 200 and got.whole, "what was recorded until then")
            expect(site.end() == 0, "it ends at once")


def demo(world, *options):
    """What the demonstration says once all tracks have drawn and all hogs worked."""
    def goes_on(site):
        seen = site.state()["demo"]
        return all(track["frames"] > 5 for track in seen["tracks"]) and all(seen["hogs_us"])

    with running(world, "--demo", "frames", *options, begun=goes_on) as site:
        expect(len(site.state()["demo"]["tracks"]) == 4, "four tracks")
        with site.connect() as events:
            events.send(b"GET /events?every=50 HTTP/1.1\r\nHost: h\r\n\r\n")
            while b'"samples":[[' not in events.received:
                expect(events.more(), "the stream of events ended")
        slices = slices_of(site.ask("/trace?seconds=1").content)
        return slices, site.state()


def check_demo(world):
    slices, state = demo(world)
    expect(any(name.startswith("frames ") and count for name, count in slices.items()), f"{slices}")
    expect(state["bands"][1]["frames"] > 0, "frames are counted")
    watched = {task["name"]: task for task in state["watched"]}
    for name in [f"track {i}" for i in range(4)]:
        expect(watched[name]["frames"] > 0 and watched[name]["run"]["p50"] > 0, f"{watched[name]}")
    expect(watched["hog 0"]["watched"] and watched["hog 0"]["frames"] == 0, f"{watched['hog 0']}")
    groups = {group["name"]: group["foreground"] for group in state["groups"]}
    expect(groups == {"default": True, "frames": True, "hogs": False}, f"{groups}")
    # Sanitizers serve interrupts late, when there is no task in the middle of its code.
    with open(world.program, "rb") as program:
        code = program.read()
    if b"__tsan_init" not in code and b"__asan_init" not in code:
        expect(sum(core["preemptions"] for core in state["cores"]) > 0, "hogs are preempted")


def said_by(*words):
    return subprocess.run(words, capture_output=True, text=True, timeout=PATIENCE)


def check_demo_in_real_time(world):
    try:
        before = os.sched_getscheduler(0)
        os.sched_setscheduler(0, os.SCHED_FIFO | os.SCHED_RESET_ON_FORK, os.sched_param(2))
        os.sched_setscheduler(0, before, os.sched_param(0))
    except PermissionError:
        refused = said_by(world.program, "--port", "0", "--realtime")
        expect(refused.returncode == 1 and "run as root" in refused.stderr, f"{refused}")
    else:
        _, state = demo(world, "--realtime")
        expect(state["bands"][1]["frames"] > 0, "frames are drawn")
    both = said_by(world.program, "--realtime", "--no-preemption")
    expect((both.returncode, (both.stdout + both.stderr).split(":")[0]) == (2, "--realtime"), f"{both}")


def check_demo_without_preemption(world):
    _, state = demo(world, "--no-preemption", "--cores", "2")
    expect(state["preemption"] is False, "it says so")
    expect(sum(core["preemptions"] for core in state["cores"]) == 0, "nobody is preempted")
    expect(len(state["demo"]["hogs_us"]) == 2, "a hog for each core")
