// What servers have in common: taking connections, being on every core, and knowing when to end.
#pragma once

#include <cstdint>
#include <memory>
#include <span>
#include <string_view>

#include "lichen/base/result.hpp"
#include "lichen/coro/task.hpp"
#include "lichen/io/stream.hpp"
#include "lichen/io/system.hpp"

namespace lichen::io {

// What is done with a connection; it is over when the task ends.
using ServeConnection = Task<> (*)(std::unique_ptr<Stream>);

// Serves each connection of the listener by a task of its own, which stays on the core of the
// caller, until accepting fails or is stopped: then it stops those tasks, too, waits for them, and
// yields why.
Task<Result<void>> serve_connections(Listener& listener, ServeConnection serve);

// The same on every core of the machine, at the address where apps serve, until whoever runs the
// machine asks it to stop; connections stay on the core that accepted them.
Task<Result<void>> serve_on_all_cores(System& system, std::uint16_t port, ServeConnection serve);

// Waits until whoever runs the machine asks it to stop; other requests pass by.
Task<Result<void>> wait_for_stop(System& system);

// Of a program that takes no arguments but `--port N`. invalid_argument: they make no sense, and it
// has said so.
Result<std::uint16_t> port_of(std::span<const std::string_view> arguments, std::uint16_t usual);

}  // namespace lichen::io
