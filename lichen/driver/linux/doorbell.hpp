// Doorbell: completions of a ring interrupt the core that computes beside it (SIGIO,
// hal::Interrupt::device).
//
//   completion --> eventfd --> read of the eventfd, in a ring of its own
//                                | linked
//                                v
//                              write to a pipe that tells of input by a signal --> the ring's
//                              thread
//
// The second ring does its work wherever its thread is, in the middle of a computation, too; the
// first one does not, which makes it faster. All of it happens in the kernel: 7 us from the
// completion to the handler, on a virtual machine. Costs nothing while the first ring does not
// raise the eventfd (Ring::raise_eventfd).
#pragma once

#include <cstdint>
#include <memory>

#include "lichen/base/result.hpp"
#include "lichen/driver/linux/descriptor.hpp"
#include "lichen/driver/linux/ring.hpp"
#include "lichen/driver/linux/ring_memory.hpp"

namespace lichen::driver {

// Belongs to the thread of the ring, which it MUST NOT outlive.
class Doorbell {
 public:
  // Errors: not_supported, limit_reached (descriptors), no_memory.
  static Result<std::unique_ptr<Doorbell>> create(Ring& ring) noexcept;
  Doorbell(const Doorbell&) = delete;
  Doorbell& operator=(const Doorbell&) = delete;

  // Makes sure that the next completion rings it, once.
  void arm() noexcept;

 private:
  Doorbell() noexcept = default;
  Result<void> set_up(Ring& ring) noexcept;
  Result<void> set_up_ring() noexcept;
  Result<void> set_up_signal() noexcept;

  Descriptor completed_;  // the eventfd
  Descriptor told_;       // the ends of the pipe
  Descriptor tell_;
  Descriptor ring_;
  RingMemory memory_;        // goes before the ring
  std::uint64_t count_ = 0;  // what is read from the eventfd
  const char word_ = 0;      // and written into the pipe
  bool armed_ = false;
  unsigned* sq_tail_ = nullptr;
  unsigned sq_mask_ = 0;
  io_uring_sqe* sqes_ = nullptr;
  unsigned* cq_head_ = nullptr;
  unsigned* cq_tail_ = nullptr;
};

}  // namespace lichen::driver
