#include "bench/energy/loads.hpp"

#include <algorithm>
#include <cmath>

#include "lichen/base/random.hpp"

namespace lichen::bench {

namespace {

using base::Random;

constexpr std::uint64_t us = 1'000;
constexpr std::uint64_t ms = 1'000 * us;
constexpr std::uint64_t frame_ns = 8'333'333;  // 120 Hz

double uniform(Random& random) { return static_cast<double>(random.below(1U << 30)) / (1U << 30); }

std::uint64_t exponential(Random& random, std::uint64_t mean) {
  return static_cast<std::uint64_t>(-std::log(1 - uniform(random)) * static_cast<double>(mean));
}

// Bursts of frames (a gesture) and rests between them, each of some 300 ms; in a burst the work of
// a frame wanders between least and most, as content and its caches change slowly.
Track frames(Random& random, const char* name, std::uint64_t length, std::uint64_t least,
             std::uint64_t most, unsigned busy_percent) {
  Track track{.name = name, .period_ns = frame_ns, .budget_ns = most, .frames = {}};
  std::uint64_t until = 0;
  bool burst = false;
  double level = uniform(random);
  for (std::uint64_t at = frame_ns; at < length; at += frame_ns) {
    if (at >= until) {
      burst = random.below(100) < busy_percent;
      until = at + 100 * ms + exponential(random, 200 * ms);
    }
    level = std::clamp(level + 0.3 * (uniform(random) - 0.5), 0.0, 1.0);
    const auto work = least + static_cast<std::uint64_t>(level * static_cast<double>(most - least));
    track.frames.push_back({at, burst ? work : 0});
  }
  return track;
}

Track audio(Random& random, std::uint64_t length) {
  Track track{.name = "audio", .period_ns = 10 * ms, .budget_ns = 900 * us, .frames = {}};
  for (std::uint64_t at = 10 * ms; at < length; at += 10 * ms)
    track.frames.push_back({at, 400 * us + random.below(400 * us)});
  return track;
}

// On and off: bursts of packets whose number has a heavy tail (Pareto, shape 1.5).
Stream network(Random& random, std::uint64_t length, std::uint64_t apart, bool urgent) {
  Stream stream{.name = "network", .background = false, .urgent = urgent, .tasks = {}};
  for (std::uint64_t at = exponential(random, apart); at < length;
       at += exponential(random, apart)) {
    const double tail = std::pow(1 - uniform(random), -1 / 1.5);
    const auto packets = static_cast<unsigned>(std::min(4 * tail, 60.0));
    for (unsigned i = 0; i < packets; ++i)
      stream.tasks.push_back({at + i * 200 * us, 60 * us + random.below(120 * us)});
  }
  std::ranges::sort(stream.tasks, {}, &Arrival::at_ns);
  return stream;
}

// Synchronisation: jobs with a heavy-tailed size, 2 ms and more.
Stream sync(Random& random, std::uint64_t length, std::uint64_t apart) {
  Stream stream{.name = "sync", .tasks = {}};
  for (std::uint64_t at = exponential(random, apart); at < length;
       at += exponential(random, apart)) {
    const double tail = std::pow(1 - uniform(random), -1 / 1.5);
    stream.tasks.push_back({at, static_cast<std::uint64_t>(std::min(2.0 * tail, 40.0) * ms)});
  }
  return stream;
}

}  // namespace

std::vector<Load> phone_loads(std::uint64_t seed, std::uint64_t length) {
  std::vector<Load> loads;
  // Of a big core's time 30 to 60 % in bursts: the app's thread and the one that renders.
  Random scrolling{seed};
  loads.push_back({.name = "scrolling", .length_ns = length, .tracks = {}, .streams = {}});
  loads.back().tracks = {frames(scrolling, "app", length, 800 * us, 1'700 * us, 60),
                         frames(scrolling, "render", length, 1'700 * us, 3'300 * us, 60),
                         audio(scrolling, length)};
  loads.back().streams = {network(scrolling, length, 60 * ms, false),
                          sync(scrolling, length, 12 * ms)};
  Random call{seed + 1};
  loads.push_back({.name = "video call", .length_ns = length, .tracks = {}, .streams = {}});
  loads.back().tracks = {frames(call, "app", length, 300 * us, 900 * us, 90),
                         frames(call, "codec", length, 1'200 * us, 1'800 * us, 100),
                         audio(call, length)};
  loads.back().streams = {network(call, length, 20 * ms, false), sync(call, length, 25 * ms)};
  Random game{seed + 2};
  loads.push_back({.name = "game", .length_ns = length, .tracks = {}, .streams = {}});
  loads.back().tracks = {frames(game, "logic", length, 2'500 * us, 4'500 * us, 95),
                         frames(game, "render", length, 2'500 * us, 4'500 * us, 95),
                         audio(game, length)};
  loads.back().streams = {network(game, length, 40 * ms, true), sync(game, length, 10 * ms)};
  return loads;
}

}  // namespace lichen::bench
