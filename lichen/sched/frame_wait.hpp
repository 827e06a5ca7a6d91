// FrameWait: a frame that sleeps on its core until it is due.
#pragma once

#include <cstdint>

#include "lichen/base/heap.hpp"

namespace lichen::sched {

class Executor;

// On that core, for as long as it lives.
class FrameWait {
 public:
  FrameWait(Executor& core, std::uint64_t due_ns) noexcept;
  FrameWait(const FrameWait&) = delete;
  FrameWait& operator=(const FrameWait&) = delete;
  ~FrameWait();

  [[nodiscard]] std::uint64_t due() const noexcept { return due_ns_; }

  base::HeapNode order;  // the core's

 private:
  Executor& core_;
  std::uint64_t due_ns_;
};

using FrameWaits = base::Heap<FrameWait, &FrameWait::order, &FrameWait::due>;

}  // namespace lichen::sched
