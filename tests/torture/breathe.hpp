// For tasks that never come back by themselves, in tests that are compiled as apps are.
#pragma once

#include "lichen/sched/executor.hpp"

namespace lichen {

// Sanitizers keep signals back, or their runtime must not be left in the middle: there a task says
// itself where it may be set aside.
#if __has_feature(thread_sanitizer) || __has_feature(address_sanitizer)
inline constexpr bool by_signal = false;
#else
inline constexpr bool by_signal = true;
#endif
inline void breathe() noexcept {
  if constexpr (!by_signal) sched::Executor::preemption_point();
}

}  // namespace lichen
