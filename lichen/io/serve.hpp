// What servers have in common: taking connections, and knowing when to end.
#pragma once

#include <memory>

#include "lichen/base/result.hpp"
#include "lichen/coro/task.hpp"
#include "lichen/io/stream.hpp"
#include "lichen/io/system.hpp"

namespace lichen::io {

// Serves each connection of the listener by a task of its own, which stays on the core of the
// caller, until accepting fails or is stopped: then it stops those tasks, too, waits for them, and
// yields why.
Task<Result<void>> serve_connections(Listener& listener, Task<> (*serve)(std::unique_ptr<Stream>));

// Waits until whoever runs the machine asks it to stop; other requests pass by.
Task<Result<void>> wait_for_stop(System& system);

}  // namespace lichen::io
