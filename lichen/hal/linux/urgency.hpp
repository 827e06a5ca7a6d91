// Urgency: a core goes before the host's other work (SCHED_FIFO, sched(7)) while it has to.
#pragma once

#include <cstdint>

#include "lichen/base/result.hpp"
#include "lichen/hal/types.hpp"

namespace lichen::hal {

// Somebody else runs on the cores' processors, too.
inline constexpr bool has_urgency = true;

// Whether the host runs the core before all that has no such right. From any thread, also in
// handlers; a system call where that changes. Without effect unless CoreOptions::urgency is set,
// and where the thread that starts the cores is a real-time one itself: then they are, too.
void set_urgent(CoreId core, bool urgent) noexcept;

// The host makes the core urgent at that moment, if the core has not named another one until soon
// after it: the host may keep it from that. It is again, if it says that it is not meanwhile, and
// no longer after most_awaited_ns. no_deadline: none. MUST be called on `core`.
void urgent_from(CoreId core, std::uint64_t moment_ns) noexcept;

// The calling thread, which is not the core or is about to give it up, sleeps next until it is
// given the core (ready): it goes before the host's other work, to be the core at once. Or it does
// not.
void stand_by(CoreId core, bool ready) noexcept;

namespace detail {

// The calling thread is the core, from now on and no longer. Errors: access_denied (the host gives
// us no such right), limit_reached (threads).
Result<void> begin_urgency(CoreId core) noexcept;
void end_urgency(CoreId core) noexcept;
// The core's processors are the calling thread's from now on.
void bind_urgency(CoreId core) noexcept;
// The core is another thread than before.
void take_urgency_over(CoreId core) noexcept;

}  // namespace detail

}  // namespace lichen::hal
