// The runtime's own state as JSON.
#pragma once

#include <string>

#include "apps/site/bands.hpp"
#include "apps/site/demo.hpp"
#include "lichen/base/result.hpp"
#include "lichen/coro/task.hpp"
#include "lichen/io/system.hpp"
#include "lichen/net/http/server.hpp"

namespace lichen::site {

// Of all servers of the site.
struct HttpTotals {
  std::uint64_t accepted = 0;
  std::uint64_t requests = 0;
  std::uint64_t refused = 0;
  std::uint64_t timed_out = 0;
  std::uint64_t open = 0;
};

// What a stream of events has told its client already.
struct Seen {
  BandsSeen bands;
  FrameDemo::Seen demo;
};

// Cores, queues, disks, memory, connections, bands, groups: {"uptime_ns":..., "tasks":...,
// "cores":[...], ...}. `demo`: null if none runs. `seen`: null to tell all that is known.
Task<Result<std::string>> state_json(io::System& system, HttpTotals http, const FrameDemo* demo,
                                     Seen* seen);
// The first `limit` suspended tasks with where they wait, leaf first.
std::string tasks_json(std::size_t limit);
// Frames and objects by size: [{"block_size":192,"live":17,...}, ...].
Task<Result<std::string>> memory_json();

}  // namespace lichen::site
