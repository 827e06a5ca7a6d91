// One port of a virtio console (virtio 1.2, 5.3): a pair of queues, as io::Console.
#pragma once

#include <array>
#include <atomic>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <span>
#include <string_view>

#include "lichen/base/result.hpp"
#include "lichen/coro/core.hpp"
#include "lichen/coro/event.hpp"
#include "lichen/driver/virtio/memory.hpp"
#include "lichen/driver/virtio/queue.hpp"
#include "lichen/driver/virtio/transport.hpp"
#include "lichen/io/console.hpp"

namespace lichen::driver::virtio {

// Who must know when a port's device has lied.
class PortOwner {
 public:
  virtual ~PortOwner() = default;
  virtual void port_failed() noexcept = 0;
};

struct PortOptions {
  std::uint16_t receive_queue = 0;  // the next one sends
  Vector vector = no_vector;
  std::size_t buffer_size = 1024;
  std::uint64_t patience_ns = 200'000'000;
};

// Its functions are for any core, if nothing else is said; they do their work on the device's.
class ConsolePort final : public io::Console {
 public:
  static constexpr std::size_t longest_name = 120;  // what is longer is cut off

  Task<Result<std::size_t>> read(std::span<std::byte> into) override;
  Task<Result<io::Buffer>> receive() override;
  Task<Result<std::size_t>> write(std::span<const std::byte> from) override;
  [[nodiscard]] io::ConsoleSize size() const noexcept override;
  Task<Result<void>> opened() override;

  // For words that cannot wait for their turn: in handlers, too, and in the last moments of a
  // machine. Returns how much the device has taken: it is given some patience for each buffer, and
  // none any more when it has let that pass, until it moves again.
  std::size_t write_now(std::string_view text) noexcept;
  // Until the device has taken everything, with the same patience.
  void flush_now() noexcept;

  // On the device's core.
  [[nodiscard]] std::string_view name() const noexcept { return {name_.data(), name_size_}; }
  [[nodiscard]] bool is_console() const noexcept { return is_console_; }

 private:
  friend class ConsoleDevice;
  static constexpr unsigned slots = 4;  // of each direction

  // Errors: those of Queue::create(), no_memory.
  static Result<std::unique_ptr<ConsolePort>> create(PortOwner& owner, Transport& transport,
                                                     DeviceMemory& memory, Features features,
                                                     const PortOptions& options) noexcept;
  ConsolePort(PortOwner& owner, const PortOptions& options, Queue receive, Queue send,
              SharedMemory memory) noexcept;

  // What the device tells; all on its core.
  Result<void> enable() noexcept;
  void post_all() noexcept;
  void wake() noexcept;
  void fail() noexcept;
  void set_open(bool open) noexcept;
  void set_name(std::span<const std::byte> name) noexcept;
  void set_size(io::ConsoleSize size) noexcept;
  void abandon() noexcept;

  // Slots from 0 on are for receiving, those behind for sending.
  [[nodiscard]] std::span<std::byte> slot(unsigned index) const noexcept {
    return memory_.bytes().subspan(index * buffer_size_, buffer_size_);
  }
  Task<Result<bool>> wait_until_readable() noexcept;
  void post(unsigned index) noexcept;
  // With the sending side locked. Free slots, and whether the device is to be believed.
  bool reclaim() noexcept;
  std::size_t put(std::span<const std::byte> bytes) noexcept;
  bool lock_sending() noexcept;
  void unlock_sending() noexcept { sending_.store(false, std::memory_order_release); }

  PortOwner& owner_;
  coro::Core& home_;
  const std::size_t buffer_size_;
  const std::uint64_t patience_ns_;
  Queue receive_;
  Queue send_;
  SharedMemory memory_;
  coro::Event readable_;
  coro::Event writable_;
  coro::Event opened_;
  bool reading_ = false;
  bool writing_ = false;
  // What the reader has not taken yet of a buffer that came back.
  struct {
    unsigned slot = 0;
    std::size_t at = 0;
    std::size_t end = 0;
  } current_;

  // Of whoever has locked the sending side.
  std::atomic<bool> sending_{false};
  unsigned free_ = (1U << slots) - 1;
  bool stuck_ = false;  // the device did not move in time
  std::atomic<bool> open_{false};
  std::atomic<bool> failed_{false};

  bool is_console_ = false;
  std::atomic<std::uint32_t> size_{0};  // columns, and above them rows
  std::array<char, longest_name> name_{};
  std::size_t name_size_ = 0;
};

}  // namespace lichen::driver::virtio
