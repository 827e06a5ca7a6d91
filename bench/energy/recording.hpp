// Loads that were recorded (bench/energy/record; the format is told there).
#pragma once

#include <optional>
#include <string_view>

#include "bench/energy/loads.hpp"

namespace lichen::bench {

// From the text of a recording, which MUST outlive the load: its names lie there. None when the
// text is no recording; `line` is the one that is wrong then, from 1 on.
//
// Work of a period beyond what nearly all have (99 of 100) is no part of the track, which reserves
// that much, but a task that somebody waits for.
std::optional<Load> read_recording(std::string_view name, std::string_view text, unsigned& line);

}  // namespace lichen::bench
