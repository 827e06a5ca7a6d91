#include "lichen/sched/perfetto.hpp"

#include <gtest/gtest.h>

#include <cstring>
#include <map>
#include <optional>

#include "lichen/base/random.hpp"
#include "lichen/sched/proto_writer.hpp"

namespace lichen::sched {
namespace {

// Reads protocol buffers by their specification, not by what the writer does.
struct Message {
  struct Field {
    unsigned number;
    std::uint64_t value;    // of a number
    std::string_view text;  // of a text or message
  };
  std::vector<Field> fields;

  static std::optional<std::uint64_t> varint(std::string_view& data) {
    std::uint64_t value = 0;
    for (unsigned shift = 0; shift < 70 && !data.empty(); shift += 7) {
      const auto byte = static_cast<unsigned char>(data.front());
      data.remove_prefix(1);
      value |= std::uint64_t{byte & 0x7fU} << shift;
      if (byte < 0x80) return value;
    }
    return std::nullopt;
  }
  static std::optional<Message> parse(std::string_view data) {
    Message message;
    while (!data.empty()) {
      const auto key = varint(data);
      if (!key) return std::nullopt;
      Field field{static_cast<unsigned>(*key >> 3), 0, {}};
      if ((*key & 7) == 0) {
        const auto value = varint(data);
        if (!value) return std::nullopt;
        field.value = *value;
      } else if ((*key & 7) == 1) {
        if (data.size() < 8) return std::nullopt;
        std::memcpy(&field.value, data.data(), 8);
        data.remove_prefix(8);
      } else if ((*key & 7) == 2) {
        const auto size = varint(data);
        if (!size || *size > data.size()) return std::nullopt;
        field.text = data.substr(0, *size);
        data.remove_prefix(*size);
      } else {
        return std::nullopt;
      }
      message.fields.push_back(field);
    }
    return message;
  }
  [[nodiscard]] const Field* find(unsigned number) const {
    for (const Field& field : fields)
      if (field.number == number) return &field;
    return nullptr;
  }
  [[nodiscard]] std::uint64_t number(unsigned field) const {
    const Field* found = find(field);
    return found ? found->value : 0;
  }
  [[nodiscard]] std::string text(unsigned field) const {
    const Field* found = find(field);
    return found ? std::string{found->text} : std::string{};
  }
  [[nodiscard]] std::optional<Message> message(unsigned field) const {
    const Field* found = find(field);
    return found ? parse(found->text) : std::nullopt;
  }
};

struct Slice {
  std::string name;
  std::uint64_t begin, end;
  std::size_t depth;
};
struct Track {
  std::string name;
  std::string parent;
  std::vector<Slice> slices;  // as they began
  std::vector<std::string> instants;
  std::vector<std::uint64_t> counts;
};

// What a trace shows, by the names of tracks ("App a/core 0"); checks that it is sound.
std::map<std::string, Track> read_trace(std::string_view bytes) {
  std::map<std::uint64_t, std::string> tracks, names;
  std::map<std::string, Track> shown;
  std::map<std::string, std::vector<std::size_t>> open;
  std::uint64_t now = 0;
  const auto trace = Message::parse(bytes);
  EXPECT_TRUE(trace);
  if (!trace) return shown;
  for (const Message::Field& each : trace->fields) {
    EXPECT_EQ(each.number, 1U);
    const auto packet = Message::parse(each.text);
    EXPECT_TRUE(packet);
    if (!packet) return shown;
    EXPECT_EQ(packet->number(10), 1U) << "every packet belongs to the sequence";
    if (const auto data = packet->message(12))
      if (const auto entry = data->message(2)) names[entry->number(1)] = entry->text(2);
    if (const auto descriptor = packet->message(60)) {
      std::string name = descriptor->text(2);
      if (const auto process = descriptor->message(3)) {
        name = process->text(6);
        EXPECT_NE(process->number(1), 0U);
      }
      const std::string parent = tracks[descriptor->number(5)];
      if (!parent.empty()) name = parent + "/" + name;
      EXPECT_FALSE(shown.contains(name)) << name << " is described twice";
      EXPECT_TRUE(tracks[descriptor->number(1)].empty());
      tracks[descriptor->number(1)] = name;
      shown[name] = {name, parent, {}, {}, {}};
    }
    const auto event = packet->message(11);
    if (!event) continue;
    const std::uint64_t time = packet->number(8);
    EXPECT_GE(time, now) << "time goes back";
    now = time;
    const std::string track = tracks[event->number(11)];
    EXPECT_FALSE(track.empty()) << "the track is not described";
    std::string name = event->text(23);
    if (const std::uint64_t interned = event->number(10)) {
      name = names[interned];
      EXPECT_FALSE(name.empty()) << "the name is not known";
    }
    Track& into = shown[track];
    switch (event->number(9)) {
      case 1:
        EXPECT_FALSE(name.empty());
        into.slices.push_back({name, time, 0, open[track].size()});
        open[track].push_back(into.slices.size() - 1);
        break;
      case 2:
        EXPECT_FALSE(open[track].empty()) << "a slice ends in " << track << " that did not begin";
        if (open[track].empty()) break;
        into.slices[open[track].back()].end = time;
        open[track].pop_back();
        break;
      case 3: into.instants.push_back(name); break;
      case 4: into.counts.push_back(event->number(30)); break;
      default: ADD_FAILURE() << "an event of type " << event->number(9);
    }
  }
  for (const auto& [track, slices] : open)
    EXPECT_TRUE(slices.empty()) << "a slice of " << track << " does not end";
  return shown;
}

TraceLane describe(LaneId lane) {
  if (lane == 0) return {.group = 0, .group_name = "runtime", .name = "event"};
  return {.group = 1U + lane / 4U,
          .group_name = "App " + std::string(1, static_cast<char>('a' + lane / 4)),
          .name = "lane " + std::to_string(lane)};
}

std::string name_of(const std::source_location& where) {
  return "perfetto_test.cpp:" + std::to_string(where.line());
}

TEST(ProtoWriter, WritesWhatTheSpecificationSays) {
  std::string out;
  ProtoWriter{out}
      .number(1, 150)
      .text(2, "testing")
      .number(16, UINT64_MAX)
      .fixed(3, 0x0102030405060708)
      .message(4, [](ProtoWriter& it) { it.text(1, std::string(300, 'x')); });
  EXPECT_EQ(out.substr(0, 12), std::string("\x08\x96\x01\x12\x07testing", 12));
  const auto message = Message::parse(out);
  ASSERT_TRUE(message);
  EXPECT_EQ(message->number(16), UINT64_MAX);
  EXPECT_EQ(message->number(3), 0x0102030405060708U);
  const auto inner = message->message(4);
  ASSERT_TRUE(inner);
  EXPECT_EQ(inner->text(1), std::string(300, 'x'));
}

TEST(Perfetto, OfNothingHasItsCores) {
  const std::vector<TraceSnapshot> cores(2);
  const auto shown = read_trace(perfetto_trace(cores, describe));
  EXPECT_TRUE(shown.contains("Cores/core 0"));
  EXPECT_TRUE(shown.contains("Cores/core 1"));
}

TEST(Perfetto, ShowsTasksInLanesAndApps) {
  const auto here = std::source_location::current(), there = std::source_location::current();
  std::vector<TraceSnapshot> cores(2);
  cores[0].events = {
      {100, waiting_argument(2, 7), 0, 5, TraceKind::lane_installed},
      {110, argument_of(here), 0xa, 5, TraceKind::run_begin},
      {115, 1, 0xb, 6, TraceKind::wake},
      {120, 8, 0xa, 5, TraceKind::preempt},
      {121, waiting_argument(1, 1), 0, 8, TraceKind::lane_installed},
      {122, argument_of(there), 0xc, 8, TraceKind::run_begin},
      {140, 0, 0xc, 8, TraceKind::run_end},
      {141, waiting_argument(0, 1), 0, 5, TraceKind::lane_installed},
      {142, argument_of(here), 0xa, 5, TraceKind::resume_preempted},
      {150, 0, 0xa, 5, TraceKind::run_end},
      {151, 0, 0, 0, TraceKind::park},
      {190, 0, 0, 0, TraceKind::unpark},
  };
  cores[1].events = {
      {130, argument_of(there), 0xb, 6, TraceKind::run_begin},
      {135, 0, 0xb, 6, TraceKind::run_end},
      {136, 0, 0, 6, TraceKind::steal},
      {180, 0, 0, 0, TraceKind::park},
  };
  const auto shown = read_trace(perfetto_trace(cores, describe));

  const Track& core = shown.at("Cores/core 0");
  std::vector<std::string> found;
  for (const Slice& slice : core.slices)
    found.push_back(std::string(2 * slice.depth, ' ') + slice.name + " " +
                    std::to_string(slice.begin) + "-" + std::to_string(slice.end));
  const std::vector<std::string> wanted{"App b: lane 5 100-121", "  " + name_of(here) + " 110-120",
                                        "App c: lane 8 121-141", "  " + name_of(there) + " 122-140",
                                        "App b: lane 5 141-151", "  " + name_of(here) + " 142-150",
                                        "asleep 151-190"};
  EXPECT_EQ(found, wanted);
  EXPECT_EQ(core.instants, (std::vector<std::string>{"wake", "preempted"}));
  EXPECT_EQ(shown.at("Cores/core 0: tasks ready").counts, (std::vector<std::uint64_t>{7, 1, 1}));
  EXPECT_EQ(shown.at("Cores/core 0: lanes ready").counts, (std::vector<std::uint64_t>{2, 1, 0}));

  EXPECT_EQ(shown.at("App b/core 0").slices.size(), 2U);
  EXPECT_EQ(shown.at("App b/core 0").instants, (std::vector<std::string>{"preempted"}));
  EXPECT_EQ(shown.at("App b/core 1").slices.size(), 1U);
  EXPECT_EQ(shown.at("App c/core 0").slices.size(), 1U);
  EXPECT_EQ(shown.at("Cores/core 1").instants, (std::vector<std::string>{"steal"}));
  EXPECT_EQ(shown.at("Cores/core 1").slices.back().end, 190U) << "asleep until the trace ends";
}

TEST(Perfetto, ShowsFrames) {
  std::vector<TraceSnapshot> cores(1);
  cores[0].events = {
      {10, 0, 1, 9, TraceKind::frame_begin},  {12, 0, 1, 9, TraceKind::frame_done},
      {20, 0, 2, 9, TraceKind::frame_begin},  {30, 0, 3, 9, TraceKind::frame_begin},
      {31, 9, 3, 9, TraceKind::frame_missed}, {33, 0, 3, 9, TraceKind::frame_done},
      {40, 5, 4, 9, TraceKind::frame_begin},
  };
  const auto shown = read_trace(perfetto_trace(cores, describe));
  const Track& frames = shown.at("App c/lane 9");
  ASSERT_EQ(frames.slices.size(), 4U);
  EXPECT_EQ(frames.slices[0].name, "frame 1");
  EXPECT_EQ(frames.slices[0].end, 12U);
  EXPECT_EQ(frames.slices[1].end, 30U) << "the next one came before it was done";
  EXPECT_EQ(frames.instants, (std::vector<std::string>{"missed"}));
}

TEST(Perfetto, SaysWhatWasLost) {
  std::vector<TraceSnapshot> cores(1);
  cores[0].events = {{100, 0, 0xa, 1, TraceKind::run_end}};
  cores[0].lost = 17;
  const auto shown = read_trace(perfetto_trace(cores, describe));
  EXPECT_EQ(shown.at("Cores/core 0").instants,
            (std::vector<std::string>{"events before this were lost"}));
}

// Whatever the events are and wherever a ring cut them off, the trace is sound.
TEST(Perfetto, IsSoundForAnyEvents) {
  base::Random random{11};
  for (int round = 0; round < 200; ++round) {
    std::vector<TraceSnapshot> cores(1 + random.below(4));
    for (TraceSnapshot& core : cores) {
      std::uint64_t now = random.below(50);
      core.lost = random.below(3);
      const std::size_t count = random.below(200);
      for (std::size_t i = 0; i < count; ++i) {
        TraceEvent event{.time_ns = now += random.below(5),
                         .argument = random.below(1'000),
                         .strand = random.below(6),
                         .lane = static_cast<LaneId>(random.below(12)),
                         .kind = static_cast<TraceKind>(random.below(trace_kind_count))};
        if (event.kind == TraceKind::run_begin || event.kind == TraceKind::resume_preempted)
          event.argument = argument_of(std::source_location::current());
        core.events.push_back(event);
      }
    }
    const auto shown = read_trace(perfetto_trace(cores, describe));
    for (const auto& [name, track] : shown)
      for (const Slice& slice : track.slices) EXPECT_LE(slice.begin, slice.end);
    if (HasFailure()) FAIL() << "in round " << round;
  }
}

}  // namespace
}  // namespace lichen::sched
