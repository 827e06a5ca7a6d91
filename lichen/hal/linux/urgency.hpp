// Urgency: a core goes before the host's other work (SCHED_FIFO, sched(7)) while it has to.
#pragma once

#include <cstdint>

#include "lichen/base/result.hpp"
#include "lichen/hal/types.hpp"

namespace lichen::hal {

// Somebody else runs on the cores' processors, too.
inline constexpr bool has_urgency = true;

// Whether the host runs the core before all that has no such right. From any thread, also in
// handlers; a system call where that changes. Without effect unless CoreOptions::urgency is set.
void set_urgent(CoreId core, bool urgent) noexcept;

// The host makes the core urgent at that moment, if the core has not named another one until soon
// after it: the host may keep it from that. no_deadline: none. MUST be called on `core`.
void urgent_from(CoreId core, std::uint64_t moment_ns) noexcept;

namespace detail {

// Before and after the calling thread, or one that it starts, is the core. Errors: access_denied
// (the host gives us no such right), limit_reached (threads).
Result<void> may_be_urgent() noexcept;
Result<void> begin_urgency(CoreId core) noexcept;
void end_urgency(CoreId core) noexcept;
// The core's processors are the calling thread's from now on.
void bind_urgency(CoreId core) noexcept;
// The core is another thread than `before`.
void move_urgency(CoreId core, pid_t before) noexcept;

}  // namespace detail

}  // namespace lichen::hal
