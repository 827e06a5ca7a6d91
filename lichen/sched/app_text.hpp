// App text: the machine code that may be interrupted by preemption.
#pragma once

#include <cstdint>

namespace lichen::sched {

// Code of apps is linked into a section of its own (cmake/lichen.cmake: lichen_preemptible), which
// is registered by itself. Whatever lies outside, the runtime, the host's library and everything
// else that knows nothing of preemption, is left to finish what it is doing: the interrupt tries
// again shortly.
//
// Code that is loaded later adds its range. At most 64 ranges; false when there is no room. From
// any thread; a range stays for good.
bool add_app_text(std::uintptr_t begin, std::uintptr_t end) noexcept;
[[nodiscard]] bool in_app_text(std::uintptr_t address) noexcept;

}  // namespace lichen::sched
