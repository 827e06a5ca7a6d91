#include "lichen/sched/perfetto.hpp"

#include <algorithm>
#include <cstring>
#include <string_view>
#include <unordered_map>
#include <unordered_set>
#include <utility>
#include <vector>

#include "lichen/base/format.hpp"
#include "lichen/sched/proto_writer.hpp"

// Runs seldom, and is made small.
#pragma clang attribute push(__attribute__((minsize)), apply_to = function)

namespace lichen::sched {

namespace {

// Field numbers of perfetto/trace/{trace,trace_packet}.proto and
// perfetto/trace/track_event/*.proto.
namespace trace {
constexpr unsigned packet = 1;
}
namespace packet {
constexpr unsigned timestamp = 8, sequence_id = 10, track_event = 11, interned_data = 12,
                   sequence_flags = 13, track_descriptor = 60;
constexpr std::uint64_t incremental_state_cleared = 1, needs_incremental_state = 2;
}  // namespace packet
namespace descriptor {
constexpr unsigned uuid = 1, name = 2, process = 3, parent_uuid = 5, counter = 8,
                   child_ordering = 11, sibling_order_rank = 12;
constexpr std::uint64_t explicit_order = 3;
}  // namespace descriptor
namespace process {
constexpr unsigned pid = 1, process_name = 6;
}
namespace event {
constexpr unsigned debug_annotations = 4, type = 9, name_iid = 10, track_uuid = 11, name = 23,
                   counter_value = 30, source_location_iid = 34, flow_ids = 47;
constexpr std::uint64_t slice_begin = 1, slice_end = 2, instant = 3, counter = 4;
}  // namespace event
namespace interned {
constexpr unsigned event_names = 2, source_locations = 4;
constexpr unsigned iid = 1, name = 2;
constexpr unsigned file_name = 2, function_name = 3, line_number = 4;
}  // namespace interned
namespace annotation {
constexpr unsigned uint_value = 3, string_value = 6, name = 10;
}

using Track = std::uint64_t;

constexpr std::uint64_t cores_process = 1;
constexpr Track cores_track = 1;
constexpr Track core_track(std::size_t core) noexcept { return 0x1'0000 + core; }
constexpr Track ready_track(std::size_t core) noexcept { return 0x2'0000 + core; }
constexpr Track lanes_track(std::size_t core) noexcept { return 0x3'0000 + core; }
constexpr Track frames_track(LaneId lane) noexcept { return 0x4'0000 + lane; }
constexpr Track app_track(std::uint32_t group) noexcept { return 0x1'0000'0000 + group; }
constexpr Track app_core_track(std::uint32_t group, std::size_t core) noexcept {
  return 0x2'0000'0000 + (std::uint64_t{group} << 8) + core;
}

std::string_view base_name(const char* path) noexcept {
  const char* slash = std::strrchr(path, '/');
  return slash ? slash + 1 : path;
}

}  // namespace

class PerfettoWriter::Trace {
 public:
  Trace(std::size_t cores, Describe describe) : describe_{describe}, cores_(cores) {
    ProtoWriter{out_}.message(trace::packet, [](ProtoWriter& it) {
      it.number(packet::sequence_id, 1)
          .number(packet::sequence_flags, packet::incremental_state_cleared);
    });
    describe_process(cores_track, cores_process, "Cores");
    for (std::size_t core = 0; core < cores; ++core) {
      const auto rank = 3 * core;
      describe_track(core_track(core), cores_track, base::format<16>("core {}", core), rank);
      describe_track(ready_track(core), cores_track, base::format<32>("core {}: tasks ready", core),
                     rank + 1, true);
      describe_track(lanes_track(core), cores_track, base::format<32>("core {}: lanes ready", core),
                     rank + 2, true);
    }
  }

  void lost(std::size_t core, std::uint64_t time_ns, std::uint64_t count) {
    instant(time_ns, core_track(core), "events before this were lost", "events", count);
  }

  void write(std::size_t core, const TraceEvent& event) {
    const std::uint64_t now = event.time_ns;
    switch (event.kind) {
      case TraceKind::lane_installed:
        end_lane(core, now);
        begin(now, core_track(core), lane(event.lane).title);
        cores_[core].shows_lane = true;
        count(now, ready_track(core), event.argument & 0xffff'ffff);
        count(now, lanes_track(core), event.argument >> 32);
        break;
      case TraceKind::run_begin:
      case TraceKind::resume_preempted: begin_run(core, event); break;
      case TraceKind::run_end: end_run(core, now); break;
      case TraceKind::preempt:
        end_run(core, now);
        mark(core, event, "preempted", "after us", event.argument / 1'000);
        break;
      case TraceKind::wake: {
        const std::uint64_t flow = ++flows_;
        woken_[event.strand] = flow;
        instant(now, core_track(core), "wake", "on core", event.argument, flow);
        break;
      }
      case TraceKind::steal:
        instant(now, core_track(core), "steal", "from core", event.argument);
        break;
      case TraceKind::park:
        end_lane(core, now);
        begin(now, core_track(core), "asleep");
        cores_[core].asleep = true;
        break;
      case TraceKind::unpark: end_sleep(core, now); break;
      case TraceKind::frame_begin: begin_frame(event); break;
      case TraceKind::frame_done: end_frame(event.lane, now); break;
      case TraceKind::frame_missed:
        mark(core, event, "frame missed", "late by us", event.argument / 1'000);
        instant(now, frames_of(event.lane), "missed", "late by us", event.argument / 1'000);
        break;
      case TraceKind::stall:
        mark(core, event, "stall", "held for us", event.argument / 1'000);
        break;
    }
  }

  std::string finish(std::uint64_t now) {
    for (std::size_t core = 0; core < cores_.size(); ++core) {
      end_lane(core, now);
      end_sleep(core, now);
    }
    for (const auto& [lane, open] : frames_)
      if (open) end(now, frames_track(lane));
    return std::move(out_);
  }

 private:
  struct Core {
    bool shows_lane = false;
    bool asleep = false;
    Track running_in = 0;  // the app's track in which a task's slice is open; 0: no task runs
  };
  struct LaneInfo {
    TraceLane lane;
    std::string title;
  };
  struct Place {
    std::uint64_t name = 0;      // interned
    std::uint64_t location = 0;  // interned; 0: none
  };

  // --- what happens ------------------------------------------------------------------------------

  void begin_run(std::size_t core, const TraceEvent& event) {
    end_run(core, event.time_ns);
    end_sleep(core, event.time_ns);
    const Place place = place_of(event.argument);
    std::uint64_t flow = 0;
    if (const auto woken = woken_.find(event.strand); woken != woken_.end()) {
      flow = woken->second;
      woken_.erase(woken);
    }
    cores_[core].running_in = app_core(lane(event.lane).lane, core);
    for (const Track track : {core_track(core), cores_[core].running_in}) {
      put(event.time_ns, track, event::slice_begin, [&](ProtoWriter& it) {
        it.number(event::name_iid, place.name);
        if (place.location) it.number(event::source_location_iid, place.location);
        if (flow && track == core_track(core)) it.fixed(event::flow_ids, flow);
        if (event.kind == TraceKind::resume_preempted)
          annotate(it, "goes on", "after it was preempted");
      });
    }
  }
  void end_run(std::size_t core, std::uint64_t now) {
    if (const Track app = std::exchange(cores_[core].running_in, 0)) {
      end(now, app);
      end(now, core_track(core));
    }
  }
  void end_lane(std::size_t core, std::uint64_t now) {
    end_run(core, now);
    end_sleep(core, now);
    if (std::exchange(cores_[core].shows_lane, false)) end(now, core_track(core));
  }
  void end_sleep(std::size_t core, std::uint64_t now) {
    if (std::exchange(cores_[core].asleep, false)) end(now, core_track(core));
  }
  void begin_frame(const TraceEvent& event) {
    end_frame(event.lane, event.time_ns);
    put(event.time_ns, frames_of(event.lane), event::slice_begin, [&](ProtoWriter& it) {
      it.text(event::name, base::format<32>("frame {}", event.strand));
      annotate(it, "us after it was due", event.argument / 1'000);
    });
    frames_[event.lane] = true;
  }
  void end_frame(LaneId lane, std::uint64_t now) {
    if (const auto frame = frames_.find(lane); frame != frames_.end())
      if (std::exchange(frame->second, false)) end(now, frames_track(lane));
  }
  // On the core's track and on the app's.
  template <class Value>
  void mark(std::size_t core, const TraceEvent& event, std::string_view what, std::string_view name,
            const Value& value) {
    instant(event.time_ns, core_track(core), what, name, value);
    instant(event.time_ns, app_core(lane(event.lane).lane, core), what, name, value);
  }

  // --- what has a name ---------------------------------------------------------------------------

  const LaneInfo& lane(LaneId id) {
    const auto [place, is_new] = lanes_.try_emplace(id);
    if (is_new) {
      LaneInfo& info = place->second;
      info.lane = describe_(id);
      info.title = info.lane.group_name + ": " + info.lane.name;
    }
    return place->second;
  }
  Track app(const TraceLane& of) {
    const Track track = app_track(of.group);
    if (described_.insert(track).second)
      describe_process(track, cores_process + 1 + of.group, of.group_name);
    return track;
  }
  Track app_core(const TraceLane& of, std::size_t core) {
    const Track track = app_core_track(of.group, core);
    if (described_.insert(track).second)
      describe_track(track, app(of), base::format<16>("core {}", core), core);
    return track;
  }
  Track frames_of(LaneId id) {
    const Track track = frames_track(id);
    if (described_.insert(track).second)
      describe_track(track, app(lane(id).lane), lane(id).lane.name, cores_.size() + id);
    return track;
  }
  Place place_of(std::uint64_t argument) {
    const auto [found, is_new] = places_.try_emplace(argument);
    if (!is_new) return found->second;
    found->second.name = places_.size();
    if (argument) found->second.location = places_.size();
    const std::source_location where = location_of(argument);
    const auto title = argument
                           ? base::format<96>("{}:{}", base_name(where.file_name()), where.line())
                           : base::format<96>("the runtime");
    ProtoWriter{out_}.message(trace::packet, [&](ProtoWriter& it) {
      it.number(packet::sequence_id, 1)
          .number(packet::sequence_flags, packet::needs_incremental_state);
      it.message(packet::interned_data, [&](ProtoWriter& data) {
        data.message(interned::event_names, [&](ProtoWriter& entry) {
          entry.number(interned::iid, found->second.name).text(interned::name, title);
        });
        if (!argument) return;
        data.message(interned::source_locations, [&](ProtoWriter& entry) {
          entry.number(interned::iid, found->second.location)
              .text(interned::file_name, where.file_name())
              .text(interned::function_name, where.function_name())
              .number(interned::line_number, where.line());
        });
      });
    });
    return found->second;
  }

  // --- packets -----------------------------------------------------------------------------------

  void describe_process(Track track, std::uint64_t pid, std::string_view name) {
    describe(track, [&](ProtoWriter& it) {
      it.message(descriptor::process, [&](ProtoWriter& entry) {
        entry.number(process::pid, pid).text(process::process_name, name);
      });
      it.number(descriptor::child_ordering, descriptor::explicit_order);
    });
  }
  void describe_track(Track track, Track parent, std::string_view name, std::uint64_t rank,
                      bool counter = false) {
    describe(track, [&](ProtoWriter& it) {
      it.number(descriptor::parent_uuid, parent)
          .text(descriptor::name, name)
          .number(descriptor::sibling_order_rank, rank);
      if (counter) it.message(descriptor::counter, [](ProtoWriter&) {});
    });
  }
  template <class Write>
  void describe(Track track, Write&& write) {
    ProtoWriter{out_}.message(trace::packet, [&](ProtoWriter& it) {
      it.number(packet::sequence_id, 1);
      it.message(packet::track_descriptor, [&](ProtoWriter& entry) {
        entry.number(descriptor::uuid, track);
        write(entry);
      });
    });
  }

  template <class Write>
  void put(std::uint64_t now, Track track, std::uint64_t type, Write&& write) {
    ProtoWriter{out_}.message(trace::packet, [&](ProtoWriter& it) {
      it.number(packet::timestamp, now)
          .number(packet::sequence_id, 1)
          .number(packet::sequence_flags, packet::needs_incremental_state);
      it.message(packet::track_event, [&](ProtoWriter& entry) {
        entry.number(event::type, type).number(event::track_uuid, track);
        write(entry);
      });
    });
  }
  void begin(std::uint64_t now, Track track, std::string_view name) {
    put(now, track, event::slice_begin, [&](ProtoWriter& it) { it.text(event::name, name); });
  }
  void end(std::uint64_t now, Track track) {
    put(now, track, event::slice_end, [](ProtoWriter&) {});
  }
  void count(std::uint64_t now, Track track, std::uint64_t value) {
    put(now, track, event::counter,
        [&](ProtoWriter& it) { it.number(event::counter_value, value); });
  }
  template <class Value>
  void instant(std::uint64_t now, Track track, std::string_view what, std::string_view name,
               const Value& value, std::uint64_t flow = 0) {
    put(now, track, event::instant, [&](ProtoWriter& it) {
      it.text(event::name, what);
      if (flow) it.fixed(event::flow_ids, flow);
      annotate(it, name, value);
    });
  }
  static void annotate(ProtoWriter& it, std::string_view name, std::uint64_t value) {
    it.message(event::debug_annotations, [&](ProtoWriter& entry) {
      entry.text(annotation::name, name).number(annotation::uint_value, value);
    });
  }
  static void annotate(ProtoWriter& it, std::string_view name, std::string_view value) {
    it.message(event::debug_annotations, [&](ProtoWriter& entry) {
      entry.text(annotation::name, name).text(annotation::string_value, value);
    });
  }

  std::string out_;
  Describe describe_;
  std::vector<Core> cores_;
  std::unordered_map<LaneId, LaneInfo> lanes_;
  std::unordered_map<LaneId, bool> frames_;                 // by lane: whether a frame is under way
  std::unordered_map<std::uint64_t, Place> places_;         // by the argument that names them
  std::unordered_map<std::uint64_t, std::uint64_t> woken_;  // strands: the arrow that leads to them
  std::unordered_set<Track> described_;
  std::uint64_t flows_ = 0;
};

PerfettoWriter::PerfettoWriter(std::span<const TraceSnapshot> cores, Describe describe)
    : cores_{cores}, next_(cores.size()), trace_{std::make_unique<Trace>(cores.size(), describe)} {}

PerfettoWriter::~PerfettoWriter() = default;

bool PerfettoWriter::write_some(std::size_t most) {
  for (; most > 0; --most) {
    // The earliest of all cores.
    std::size_t first = cores_.size();
    for (std::size_t core = 0; core < cores_.size(); ++core) {
      if (next_[core] == cores_[core].events.size()) continue;
      const auto time = [&](std::size_t of) { return cores_[of].events[next_[of]].time_ns; };
      if (first == cores_.size() || time(core) < time(first)) first = core;
    }
    if (first == cores_.size()) return false;
    TraceEvent event = cores_[first].events[next_[first]];
    // Time does not go back, not even if a writer's clock did.
    now_ = event.time_ns = std::max(now_, event.time_ns);
    if (next_[first]++ == 0 && cores_[first].lost) trace_->lost(first, now_, cores_[first].lost);
    trace_->write(first, event);
  }
  return true;
}

std::string PerfettoWriter::take() { return trace_->finish(now_); }

std::string perfetto_trace(std::span<const TraceSnapshot> cores,
                           PerfettoWriter::Describe describe) {
  PerfettoWriter writer{cores, describe};
  while (writer.write_some(1'000)) {
  }
  return writer.take();
}

}  // namespace lichen::sched

#pragma clang attribute pop
