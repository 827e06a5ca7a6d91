"""A strict reader of Perfetto traces: what trace_processor relies on when it opens one, and nothing else.

Field numbers and wire types are those of perfetto's protos (perfetto/trace/trace_packet.proto,
interned_data/interned_data.proto, track_event/*.proto), written down here once more. It refuses what the
format allows but we do not mean to write."""

from site_process import Failed, expect

UINT, INT32, UINT32, FIXED64, TEXT = "uint64", "int32", "uint32", "fixed64", "string"
WIRE = {UINT: 0, INT32: 0, UINT32: 0, FIXED64: 1, TEXT: 2}

# number: (name, type or message, whether it may come more than once)
SCHEMA = {
    "Trace": {1: ("packet", "TracePacket", True)},
    "TracePacket": {
        8: ("timestamp", UINT, False),
        10: ("trusted_packet_sequence_id", UINT32, False),
        11: ("track_event", "TrackEvent", False),
        12: ("interned_data", "InternedData", False),
        13: ("sequence_flags", UINT32, False),
        60: ("track_descriptor", "TrackDescriptor", False),
    },
    "TrackDescriptor": {
        1: ("uuid", UINT, False),
        2: ("name", TEXT, False),
        3: ("process", "ProcessDescriptor", False),
        5: ("parent_uuid", UINT, False),
        8: ("counter", "CounterDescriptor", False),
        11: ("child_ordering", UINT32, False),
        12: ("sibling_order_rank", INT32, False),
    },
    "ProcessDescriptor": {1: ("pid", INT32, False), 6: ("process_name", TEXT, False)},
    "CounterDescriptor": {},
    "TrackEvent": {
        4: ("debug_annotations", "DebugAnnotation", True),
        9: ("type", UINT32, False),
        10: ("name_iid", UINT, False),
        11: ("track_uuid", UINT, False),
        23: ("name", TEXT, False),
        30: ("counter_value", UINT, False),
        34: ("source_location_iid", UINT, False),
        47: ("flow_ids", FIXED64, True),
    },
    "DebugAnnotation": {3: ("uint_value", UINT, False), 6: ("string_value", TEXT, False),
                        10: ("name", TEXT, False)},
    "InternedData": {2: ("event_names", "EventName", True),
                     4: ("source_locations", "SourceLocation", True)},
    "EventName": {1: ("iid", UINT, False), 2: ("name", TEXT, False)},
    "SourceLocation": {1: ("iid", UINT, False), 2: ("file_name", TEXT, False),
                       3: ("function_name", TEXT, False), 4: ("line_number", UINT32, False)},
}

SLICE_BEGIN, SLICE_END, INSTANT, COUNTER = 1, 2, 3, 4
STATE_CLEARED, NEEDS_STATE = 1, 2


def varint(data, at):
    value = 0
    for shift in range(0, 70, 7):
        expect(at < len(data), "a number passes the end of its message")
        byte = data[at]
        at += 1
        value |= (byte & 127) << shift
        if byte < 128:
            expect(value < 1 << 64, "a number of more than 64 bits")
            return value, at
    expect(False, "a number of more than ten bytes")


def parse(kind, data):
    """The message as {field name: value, or a list of values}."""
    message, at = {}, 0
    while at < len(data):
        key, at = varint(data, at)
        expect(key >> 3 in SCHEMA[kind], f"{kind} has no field {key >> 3} that we write")
        name, type_of, repeated = SCHEMA[kind][key >> 3]
        expect(key & 7 == WIRE.get(type_of, 2), f"{kind}.{name} has wire type {key & 7}")
        if key & 7 == 0:
            value, at = varint(data, at)
            limit = {UINT: 1 << 64, UINT32: 1 << 32, INT32: 1 << 31}[type_of]
            expect(value < limit, f"{kind}.{name} is no {type_of}: {value}")
        elif key & 7 == 1:
            value = int.from_bytes(data[at:at + 8], "little")
            at += 8
        else:
            size, at = varint(data, at)
            value = data[at:at + size]
            at += size
        expect(at <= len(data), f"{kind}.{name} passes the end of its message")
        if type_of == TEXT:
            value = value.decode("utf-8")  # refuses what is no text
        elif type_of in SCHEMA:
            value = parse(type_of, value)
        if repeated:
            message.setdefault(name, []).append(value)
        else:
            expect(name not in message, f"{kind}.{name} comes twice")
            message[name] = value
    return message


class Reader:
    def __init__(self):
        self.tracks = {}   # by uuid: the descriptor
        self.names = {}    # interned, by iid
        self.places = {}
        self.pids = set()
        self.flows = {}    # by id: the events
        self.open = {}     # by track: slices that have not ended
        self.slices = {}   # by track: how many began
        self.now = 0

    def packet(self, packet, first):
        expect(packet.get("trusted_packet_sequence_id") == 1, "all packets are of one sequence")
        flags = packet.get("sequence_flags", 0)
        expect((flags == STATE_CLEARED) == first, "the first packet clears what was interned, only it")
        parts = [part for part in ("track_event", "interned_data", "track_descriptor") if part in packet]
        expect(len(parts) == (0 if first else 1), f"a packet of {parts}")
        if "interned_data" in packet:
            expect(flags == NEEDS_STATE, "interned data without a state")
            self.interned(packet["interned_data"])
        if "track_descriptor" in packet:
            self.descriptor(packet["track_descriptor"])
        if "track_event" in packet:
            expect(flags == NEEDS_STATE, "an event without a state")
            expect(packet.get("timestamp", 0) >= self.now, "time goes back")
            self.now = packet["timestamp"]
            self.event(packet["track_event"])

    def interned(self, data):
        for into, entries in ((self.names, data.get("event_names", [])),
                              (self.places, data.get("source_locations", []))):
            for entry in entries:
                expect(entry.get("iid", 0) != 0 and entry["iid"] not in into, f"interned as {entry}")
                into[entry["iid"]] = entry
        for place in data.get("source_locations", []):
            expect(place.get("file_name") and place.get("line_number"), f"no place: {place}")

    def descriptor(self, track):
        uuid, parent = track.get("uuid", 0), track.get("parent_uuid")
        expect(uuid != 0 and uuid not in self.tracks, f"a track of an id that is taken: {track}")
        process = track.get("process")
        if process is not None:
            pid = process.get("pid", 0)
            expect(pid > 0 and pid not in self.pids and process.get("process_name"), f"{track}")
            expect(parent is None and "counter" not in track, f"a process in a track: {track}")
            expect(track.get("child_ordering") == 3, "its tracks lie in the order of their ranks")
            self.pids.add(pid)
        else:
            expect(track.get("name") and "child_ordering" not in track, f"no name: {track}")
            expect("process" in self.tracks.get(parent, {}), f"not in a process: {track}")
            ranks = [other.get("sibling_order_rank") for other in self.tracks.values()
                     if other.get("parent_uuid") == parent]
            expect(track.get("sibling_order_rank") not in ranks, f"two of one rank: {track}")
        self.tracks[uuid] = track

    def event(self, event):
        track = self.tracks.get(event.get("track_uuid"))
        expect(track is not None, f"an event of a track that was not described: {event}")
        expect("process" not in track, "an event of a process")
        kind = event.get("type")
        expect((kind == COUNTER) == ("counter" in track) == ("counter_value" in event),
               f"counters are counted, other tracks are not: {event}")
        named = kind in (SLICE_BEGIN, INSTANT)
        expect(("name" in event) + ("name_iid" in event) == named, f"names: {event}")
        expect("name_iid" not in event or event["name_iid"] in self.names, "a name that is not known")
        if "source_location_iid" in event:
            expect(event["source_location_iid"] in self.places, "a place that is not known")
        for note in event.get("debug_annotations", []):
            expect(note.get("name") and ("uint_value" in note) + ("string_value" in note) == 1, f"{note}")
        uuid = event["track_uuid"]
        if kind == SLICE_BEGIN:
            self.open.setdefault(uuid, []).append(self.now)
            self.slices[uuid] = self.slices.get(uuid, 0) + 1
        elif kind == SLICE_END:
            expect(self.open.get(uuid), "a slice ends that did not begin")
            self.open[uuid].pop()
            expect(set(event) == {"type", "track_uuid"}, f"an end says nothing else: {event}")
        else:
            expect(kind in (INSTANT, COUNTER), f"an event of type {kind}")
        for flow in event.get("flow_ids", []):
            events = self.flows.setdefault(flow, [])
            # From the wake to the task that runs.
            expect(flow != 0 and kind == (SLICE_BEGIN if events else INSTANT) and len(events) < 2,
                   f"an arrow that leads nowhere: {event}")
            events.append(kind)

    def end(self):
        expect(not any(self.open.values()), "a slice does not end")


def packets(trace):
    """The packets, each with its key and size in front."""
    at = 0
    while at < len(trace):
        key, after = varint(trace, at)
        expect(key == 1 << 3 | 2, "a trace is a sequence of packets")
        size, after = varint(trace, after)
        yield trace[at:after + size]
        at = after + size


def slices_of(trace):
    """How many slices began in each track of the trace, by the track's name."""
    reader = Reader()
    for i, packet in enumerate(parse("Trace", trace).get("packet", [])):
        reader.packet(packet, i == 0)
    reader.end()
    slices = {}
    for uuid, track in reader.tracks.items():
        if "name" in track:
            slices[track["name"]] = slices.get(track["name"], 0) + reader.slices.get(uuid, 0)
    return slices


def is_sound(trace):
    try:
        slices_of(trace)
        return True
    except (Failed, UnicodeDecodeError):
        return False


def notice_damage(trace):
    """What was left out of a sound trace, put in twice, moved or changed is noticed."""
    whole = list(packets(trace))
    expect(b"".join(whole) == trace and is_sound(trace), "the trace is sound")

    def first(wanted):
        return next(i for i, each in enumerate(whole) if wanted(parse("Trace", each)["packet"][0]))

    def event(kind):
        return lambda packet: packet.get("track_event", {}).get("type") == kind

    begins, ends, described = first(event(SLICE_BEGIN)), first(event(SLICE_END)), first(
        lambda packet: "track_descriptor" in packet)
    interned = first(lambda packet: "interned_data" in packet)
    last = max(i for i, each in enumerate(whole) if event(SLICE_END)(parse("Trace", each)["packet"][0]))

    def without(i):
        return b"".join(whole[:i] + whole[i + 1:])

    for i in (0, begins, ends, described, interned):
        expect(not is_sound(without(i)), f"packet {i} was left out")
    for i in (described, interned, last):
        expect(not is_sound(b"".join(whole[:i] + [whole[i]] + whole[i:])), f"packet {i} came twice")
    expect(not is_sound(b"".join(whole[:begins] + [whole[last]] + whole[begins:])), "an end came early")
    expect(not is_sound(trace[:-1]) and not is_sound(trace + b"\x0a"), "it was cut off")
    expect(not is_sound(trace + b"\x0a\x03\x98\x06\x01"), "it has a field of its own")
