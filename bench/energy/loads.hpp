// What a phone does, as arrivals: made from a seed after published shapes (docs/placement.md), or
// recorded (recording.hpp).
#pragma once

#include <cstdint>
#include <string_view>
#include <vector>

namespace lichen::bench {

// Work is in nanoseconds of the biggest core.
struct Arrival {
  std::uint64_t at_ns = 0;
  std::uint64_t work_ns = 0;
};

// A stream with deadlines: one piece of work in each period.
struct Track {
  std::string_view name;
  std::uint64_t period_ns = 0;
  std::uint64_t budget_ns = 0;  // what it reserves: no piece is larger
  std::vector<Arrival> frames;
};

// Streams of tasks without deadlines.
struct Stream {
  std::string_view name;
  bool background = true;
  bool urgent = false;  // somebody waits for it
  std::vector<Arrival> tasks;
};

struct Load {
  std::string_view name;
  std::uint64_t length_ns = 0;
  std::vector<Track> tracks;
  std::vector<Stream> streams;
};

// Scrolling, a call with video, and a game; each with audio, synchronisation and network beside it.
std::vector<Load> phone_loads(std::uint64_t seed, std::uint64_t length_ns);

}  // namespace lichen::bench
