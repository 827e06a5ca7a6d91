#pragma once

#include "bench/load/options.hpp"

namespace bench::load {

// Starts the command again and again, each time on a free port, and prints the time from the start
// of the process to its first complete response. Returns the exit status.
int measure_first(const Options& options);

}  // namespace bench::load
