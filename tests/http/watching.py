"""What the site tells about the scheduler: bands, traces, the demonstration."""

import json

from site_process import Site, expect, running, wait_for


def fields(message):
    """The fields of a protocol buffer message: (number, an integer or bytes)."""
    at = 0

    def varint():
        nonlocal at
        value = shift = 0
        while True:
            byte = message[at]
            at += 1
            value |= (byte & 127) << shift
            shift += 7
            if byte < 128:
                return value

    while at < len(message):
        key = varint()
        if key & 7 == 0:
            yield key >> 3, varint()
        elif key & 7 == 1:
            yield key >> 3, int.from_bytes(message[at:at + 8], "little")
            at += 8
        else:
            expect(key & 7 == 2, f"wire type {key & 7}")
            size = varint()
            expect(at + size <= len(message), "a field passes the end of its message")
            yield key >> 3, message[at:at + size]
            at += size


def tracks_of(trace):
    """The slices that began in each track of a Perfetto trace, by the track's name; checks that they
    nest and that time does not go back."""
    names, slices, still_open, now = {}, {}, {}, 0
    for number, packet in fields(trace):
        expect(number == 1, "a trace is a sequence of packets")
        packet = dict(fields(packet))
        if 60 in packet:
            track = dict(fields(packet[60]))
            name = track.get(2) or dict(fields(track[3]))[6]
            names[track[1]] = name.decode()
        if 11 in packet:
            expect(packet[8] >= now, "time goes back")
            now = packet[8]
            event = dict(fields(packet[11]))
            expect(event[11] in names, "an event of a track that was not described")
            change = {1: 1, 2: -1}.get(event[9], 0)
            still_open[event[11]] = still_open.get(event[11], 0) + change
            expect(still_open[event[11]] >= 0, "a slice ends that did not begin")
            slices[names[event[11]]] = slices.get(names[event[11]], 0) + (change == 1)
    expect(not any(still_open.values()), "a slice does not end")
    return slices


def check_bands(world):
    with running(world, "--cores", "2") as site:
        state = site.state()
        expect(len(state["bands"]) == 10, "ten bands")
        expect(state["preemption"] is True and "demo" not in state, "nothing is demonstrated")
        expect([group["name"] for group in state["groups"]] == ["default"], f"{state['groups']}")
        bands = json.loads(site.ask("/api/bands").content)
        mine = [lane for lane in bands["lanes"] if lane["tasks"] > 0]
        expect(mine and all(lane["group"] == "default" for lane in mine), f"{bands['lanes']}")
        for lane in mine:
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
            got = recorder.response()
        expect(got.status == 200 and got.whole, f"{got.status}")
        expect("lichen.pftrace" in got.fields["content-disposition"], f"{got.fields}")
        slices = tracks_of(got.content)
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
    with running(world, "--demo", "frames", *options) as site:
        def goes_on():
            seen = site.state()["demo"]
            return all(track["frames"] > 5 for track in seen["tracks"]) and all(seen["hogs_us"]) and seen

        seen = wait_for("frames and work", goes_on)
        expect(len(seen["tracks"]) == 4, "four tracks")
        with site.connect() as events:
            events.send(b"GET /events?every=50 HTTP/1.1\r\nHost: h\r\n\r\n")
            while b'"samples":[[' not in events.received:
                expect(events.more(), "the stream of events ended")
        slices = tracks_of(site.ask("/trace?seconds=1").content)
        return slices, site.state()


def check_demo(world):
    slices, state = demo(world)
    expect(any(name.startswith("frames ") and count for name, count in slices.items()), f"{slices}")
    expect(state["bands"][1]["frames"] > 0, "frames are counted")
    groups = {group["name"]: group["foreground"] for group in state["groups"]}
    expect(groups == {"default": True, "frames": True, "hogs": False}, f"{groups}")
    # Sanitizers serve interrupts late, when there is no task in the middle of its code.
    with open(world.program, "rb") as program:
        code = program.read()
    if b"__tsan_init" not in code and b"__asan_init" not in code:
        expect(sum(core["preemptions"] for core in state["cores"]) > 0, "hogs are preempted")


def check_demo_without_preemption(world):
    _, state = demo(world, "--no-preemption", "--cores", "2")
    expect(state["preemption"] is False, "it says so")
    expect(sum(core["preemptions"] for core in state["cores"]) == 0, "nobody is preempted")
    expect(len(state["demo"]["hogs_us"]) == 2, "a hog for each core")
