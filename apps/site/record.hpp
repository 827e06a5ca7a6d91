// Records what all cores do for a while.
#pragma once

#include <string>

#include "lichen/base/result.hpp"
#include "lichen/coro/event.hpp"
#include "lichen/coro/sleep.hpp"
#include "lichen/coro/task.hpp"

namespace lichen::site {

// A Perfetto trace of the machine from now on, for so long or until `enough` is set. Holds at most
// a million events a core; the oldest are left out then.
Task<Result<std::string>> record_trace(Duration duration, Event& enough);

}  // namespace lichen::site
