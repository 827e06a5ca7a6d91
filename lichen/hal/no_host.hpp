// For worlds in which nothing waits in a host: no core ever needs another thread.
#pragma once

#include <cstdint>
#include <optional>
#include <span>

#include "lichen/base/result.hpp"
#include "lichen/hal/types.hpp"

namespace lichen::hal {

class HostThread {
 public:
  HostThread() noexcept = default;
  HostThread(const HostThread&) = delete;
  HostThread& operator=(const HostThread&) = delete;
  Result<void> start(void (*)(void*) noexcept, void*) noexcept { return Error::not_supported; }
  // Never called where start() fails.
  void join() noexcept {}
  void sleep() noexcept {}
  void wake() noexcept {}
};

inline std::optional<HostCall> host_call(std::span<std::byte>, bool (*)(std::uintptr_t)) noexcept {
  return std::nullopt;
}
inline void call_around_host_call(void (*)() noexcept, void (*)() noexcept) noexcept {}
inline void stand_by(CoreId, bool) noexcept {}
inline void give_core_up() noexcept {}
inline void take_core_over(CoreId) noexcept {}

}  // namespace lichen::hal
