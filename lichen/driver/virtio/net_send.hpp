// The sending half of a network card's pair of queues (virtio 1.2, 5.1.6.2).
//
// Small frames are copied, and nobody waits for them: what the device has sent is noticed when room
// is wanted. Large ones are sent from where they lie; whoever sends them waits for the device, with
// one interrupt for all of a call.
#pragma once

#include <coroutine>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <span>

#include "lichen/coro/event.hpp"
#include "lichen/coro/promise.hpp"
#include "lichen/coro/strand.hpp"
#include "lichen/driver/virtio/memory.hpp"
#include "lichen/driver/virtio/queue.hpp"
#include "lichen/driver/virtio/slot_set.hpp"
#include "lichen/io/net_header.hpp"

namespace lichen::driver::virtio {

struct SendOptions {
  std::uint16_t queue = 1;
  Vector vector = no_vector;
  std::uint16_t most_descriptors = 256;
  std::uint16_t frames = 128;      // with the device at a time
  std::size_t buffer_size = 2048;  // what fits in here with its header is copied
  io::NetFeatures features;
};

struct SendCounters {
  std::uint64_t frames = 0;  // given to the device
  std::uint64_t copied = 0;  // of these
  std::uint64_t lost = 0;  // dropped: with the device at a reset, or while it or the link was down
  std::uint64_t returned = 0;  // those that the device has done with, as far as was looked
};

// Of one core.
class NetSend {
 public:
  // Errors: those of Queue::create(), no_memory.
  static Result<std::unique_ptr<NetSend>> create(Transport& transport, DeviceMemory& memory,
                                                 Features features,
                                                 const SendOptions& options) noexcept;
  NetSend(Queue queue, DeviceMemory& memory, const SendOptions& options) noexcept;

  Result<void> enable() noexcept;
  // The device has been stopped: nothing is with it any more.
  void drop_all() noexcept;
  void count_lost(std::size_t frames) noexcept { counters_.lost += frames; }

  // Gives the device as many as it has room for. Errors, only of the first frame: too_large,
  // invalid_argument (work that was not agreed on, bytes that the device cannot reach),
  // would_block.
  Result<std::size_t> add(std::span<const io::OutgoingFrame> frames) noexcept;
  void publish() noexcept { queue_.publish(); }
  // Takes note of what has been sent. Errors: protocol_error (the device lies).
  Result<void> reclaim() noexcept;

  [[nodiscard]] std::uint16_t in_flight() const noexcept { return queue_.in_flight(); }
  // The device still reads bytes of the caller's.
  [[nodiscard]] bool has_lent() const noexcept { return lent_ != 0; }
  // Asks for an interrupt when all that is lent may be back, or there is much room. False if
  // something has come back already.
  bool interrupt_when_returned() noexcept { return queue_.interrupts_on(lent_); }
  bool interrupt_when_roomy() noexcept;
  void interrupts_off() noexcept { queue_.interrupts_off(); }

  // Set by whoever delivers interrupts.
  [[nodiscard]] coro::Event& news() noexcept { return news_; }
  // co_await returned(): until nothing is lent, come what may: the device reads the caller's memory
  // until then. One task at a time.
  struct Returned : coro::Wait {
    explicit Returned(NetSend& half) noexcept : Wait{.kind = &kind_of_wait}, half_{half} {}
    static constexpr Kind kind_of_wait{[](Wait&) noexcept -> coro::Core* { return nullptr; }};
    [[nodiscard]] bool await_ready() const noexcept { return !half_.has_lent(); }
    template <class Promise>
    void await_suspend(std::coroutine_handle<Promise> handle) noexcept {
      coro::this_preemption()->begin_suspension();
      waiter = &handle.promise();
      coro::begin_wait(*waiter->strand, *this);
      half_.lender_ = waiter;
    }
    void await_resume() const noexcept {
      if (waiter) coro::end_wait(*waiter->strand);
    }
    NetSend& half_;
  };
  Returned returned() noexcept { return Returned{*this}; }
  // Lets that task go on if nothing is lent.
  void wake_lender() noexcept;

  [[nodiscard]] const SendCounters& counters() const noexcept { return counters_; }
  void abandon() noexcept {
    queue_.abandon();
    memory_.abandon();
  }

 private:
  Result<void> add(const io::OutgoingFrame& frame) noexcept;
  void free_all() noexcept;

  Queue queue_;
  DeviceMemory& bus_;
  const SendOptions options_;
  SharedMemory memory_;
  std::unique_ptr<std::uint16_t[]> free_;  // slots
  std::unique_ptr<bool[]> is_lent_;        // by slot
  std::uint16_t free_count_ = 0;
  std::uint16_t lent_ = 0;
  coro::PromiseBase* lender_ = nullptr;
  SendCounters counters_;
  coro::Event news_;
};

}  // namespace lichen::driver::virtio
