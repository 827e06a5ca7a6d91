// One of a disk's queues of requests (virtio 1.2, 5.2.6), for the core that it belongs to.
//
// A call of the disk's is cut into requests, each with a slot of memory that is shared with the
// device: header, range, status.
//
//   free --submit()--> held <--stop()-- device's --take()--> free
//                        |                 ^
//                        +-----start()-----+
//
// While the device is down the requests that it had, and new ones, are held, and handed to it when
// it has come up again: nobody was told that they are done, so they may be done twice. A request
// that was with the device at too many of its breakdowns fails, and so does each flush that was:
// what it should make safe may be lost.
//
// The ring is looked at whenever the core looks for events; interrupts are wanted only while it
// sleeps, or a task computes and does not come back. So a busy core takes none.
#pragma once

#include <atomic>
#include <coroutine>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <optional>
#include <span>

#include "lichen/base/result.hpp"
#include "lichen/coro/core.hpp"
#include "lichen/coro/promise.hpp"
#include "lichen/coro/semaphore.hpp"
#include "lichen/coro/strand.hpp"
#include "lichen/coro/task.hpp"
#include "lichen/driver/virtio/block_format.hpp"
#include "lichen/driver/virtio/memory.hpp"
#include "lichen/driver/virtio/queue.hpp"

namespace lichen::driver::virtio {

// What a disk was asked for. It lives in the frame of whoever asks.
struct BlockCall {
  BlockRequest type{};
  std::uint64_t sector = 0;  // of 512 bytes
  // Of `in` and `out`.
  std::span<const std::span<std::byte>> into{};
  std::span<const std::span<const std::byte>> from{};
  // Of ranges: sectors of 512 bytes.
  std::uint64_t count = 0;
  bool unmap = false;

  // How far it is cut into requests: what is left begins there.
  std::size_t piece = 0;
  std::size_t offset = 0;  // in that piece, bytes
  bool cut = false;        // whole

  unsigned requests = 0;  // held or with the device
  std::optional<Error> error{};
  coro::PromiseBase* waiter = nullptr;

  [[nodiscard]] std::span<const std::byte> piece_at(std::size_t index) const noexcept {
    return type == BlockRequest::in ? std::span<const std::byte>{into[index]} : from[index];
  }
  [[nodiscard]] std::size_t pieces() const noexcept {
    return type == BlockRequest::in ? into.size() : from.size();
  }
};

struct BlockQueueOptions {
  std::uint16_t index = 0;
  Vector vector = no_vector;
  std::uint16_t requests = 64;  // with the device at a time
  std::uint16_t segments = 16;  // of data in one
  BlockConfig config;           // of the device
};

struct BlockCounters {
  std::uint64_t requests = 0;  // handed to the device, each time
  std::uint64_t shown = 0;     // in so many steps, each with a doorbell if the device wants one
  std::uint64_t done = 0;      // came back, whatever with
  std::uint64_t failed = 0;    // of these, not with block_status::ok
  std::uint64_t bad = 0;       // of these, with something that cannot be
  std::uint64_t armed = 0;     // times that an interrupt was asked for
  std::uint64_t repeated = 0;  // handed to the device again, after it broke down
};

class BlockQueue {
 public:
  static constexpr unsigned most_tries = 3;
  static constexpr std::uint32_t most_bytes = 1U << 20;  // in one request

  // Errors: those of Queue::create(), not_supported (the device's limits leave no room for a
  // request), no_memory.
  static Result<std::unique_ptr<BlockQueue>> create(Transport& transport, DeviceMemory& memory,
                                                    Features features, coro::Core& home,
                                                    const BlockQueueOptions& options) noexcept;
  BlockQueue(Queue queue, DeviceMemory& memory, coro::Core& home, const BlockQueueOptions& options,
             std::uint16_t segments, std::uint16_t requests) noexcept;

  [[nodiscard]] coro::Core& home() const noexcept { return home_; }
  // On any core; each for itself.
  [[nodiscard]] BlockCounters counters() const noexcept;

  // Everything else on the home core.

  // Fills the device with the call's requests and waits until all of them are through. Errors:
  // those of io::BlockDevice.
  Task<Result<void>> run(BlockCall& call) noexcept;

  // When the core looks for events: shows the device what was added since, takes what is done.
  // Errors: protocol_error (the device lies; stop() is to follow). Yields how many were done.
  Result<unsigned> deliver() noexcept;
  // Before the core sleeps, or beside a task that computes: false if it must look for events first.
  // Asks for an interrupt if there is something to wait for.
  bool prepare_sleep() noexcept;
  // Something is with the device, and no interrupt was asked for.
  [[nodiscard]] bool is_deaf() const noexcept { return up_ && !armed_ && queue_.in_flight() != 0; }

  // Nothing is handed to the device, nor taken, before start().
  void stop() noexcept { up_ = false; }
  // After a reset, before DRIVER_OK. Errors: those of Queue::enable().
  Result<void> enable() noexcept;
  // The device has come up: hands it what is held.
  void start() noexcept;
  // The device never comes up again; it does not touch memory any more. What is held, and all that
  // is asked for later, ends with this error.
  void end(Error error) noexcept;
  void abandon() noexcept {
    queue_.abandon();
    shared_.abandon();
  }

  // On any core: how many requests that write have come back, and of these, how many are known to
  // be safe.
  [[nodiscard]] std::uint64_t written() const noexcept {
    return written_.load(std::memory_order_acquire);
  }
  void make_safe(std::uint64_t count) noexcept {
    std::uint64_t before = safe_.load(std::memory_order_relaxed);
    while (before < count && !safe_.compare_exchange_weak(before, count)) {
    }
  }
  [[nodiscard]] bool is_safe() const noexcept { return safe_.load() == written(); }

 private:
  struct Shared {  // of a request
    BlockHeader header;
    BlockRange range;
    std::uint8_t status;
    std::uint8_t unused[31];
  };
  static_assert(sizeof(Shared) == 64);
  // Of one writer, and many readers.
  class Count {
   public:
    Count& operator++() noexcept {
      value_.store(value() + 1, std::memory_order_relaxed);
      return *this;
    }
    [[nodiscard]] std::uint64_t value() const noexcept {
      return value_.load(std::memory_order_relaxed);
    }

   private:
    std::atomic<std::uint64_t> value_{0};
  };
  struct Counts {
    Count requests, shown, done, failed, bad, armed, repeated;
  };
  struct Request {
    BlockCall* call = nullptr;  // null: it is free
    // What it is of its call: from there on, so many bytes; or of ranges sectors.
    std::size_t piece = 0;
    std::size_t offset = 0;
    std::uint64_t sector = 0;
    std::uint32_t size = 0;
    std::uint8_t tries = 0;
    bool with_device = false;
  };
  // co_await Settled{call}: until none of its requests is left, come what may: the device uses the
  // caller's memory until then.
  struct Settled : coro::Wait {
    explicit Settled(BlockCall& asked) noexcept : Wait{.kind = &kind_of_wait}, call{asked} {}
    static constexpr Kind kind_of_wait{[](Wait&) noexcept -> coro::Core* { return nullptr; }};
    [[nodiscard]] bool await_ready() const noexcept { return call.requests == 0; }
    template <class Promise>
    void await_suspend(std::coroutine_handle<Promise> handle) noexcept {
      coro::this_preemption()->begin_suspension();
      waiter = &handle.promise();
      coro::begin_wait(*waiter->strand, *this);
      call.waiter = waiter;
    }
    void await_resume() const noexcept {
      if (waiter) coro::end_wait(*waiter->strand);
    }
    BlockCall& call;
  };

  [[nodiscard]] Shared& shared(std::uint16_t slot) const noexcept {
    return reinterpret_cast<Shared*>(shared_.bytes().data())[slot];
  }
  void cut(BlockCall& call, Request& request) const noexcept;
  void cut_data(BlockCall& call, Request& request) const noexcept;
  void submit(BlockCall& call) noexcept;
  Result<void> add(std::uint16_t slot) noexcept;
  void publish() noexcept;
  void take_back(const Used& used) noexcept;
  void finish(std::uint16_t slot, std::optional<Error> error) noexcept;

  Queue queue_;
  DeviceMemory& bus_;
  coro::Core& home_;
  const BlockConfig config_;
  const std::uint32_t most_segment_;  // bytes; whole blocks
  const std::uint16_t segments_;
  const std::uint16_t slots_;
  SharedMemory shared_;
  std::unique_ptr<Request[]> requests_;
  std::unique_ptr<std::uint16_t[]> free_;
  std::uint16_t free_count_ = 0;
  std::uint16_t unpublished_ = 0;
  coro::Semaphore room_;
  bool up_ = false;
  bool armed_ = false;
  std::atomic<std::uint64_t> written_{0};
  std::atomic<std::uint64_t> safe_{0};
  std::optional<Error> ended_;
  Counts counters_;
};

}  // namespace lichen::driver::virtio
