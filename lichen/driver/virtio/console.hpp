// A virtio console (virtio 1.2, 5.3): a device with one port, or with several that have names and
// come and go.
//
// Of several, what is at the other end of each is told by messages (5.3.6.2):
//
//   DEVICE_READY ->        <- DEVICE_ADD n       PORT_READY n ->        <- CONSOLE_PORT n,
//   PORT_NAME n
//                             PORT_OPEN n ->     <- PORT_OPEN n, RESIZE n, DEVICE_REMOVE n
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <optional>
#include <span>
#include <string_view>

#include "lichen/base/result.hpp"
#include "lichen/coro/core.hpp"
#include "lichen/coro/event.hpp"
#include "lichen/coro/task.hpp"
#include "lichen/driver/virtio/console_port.hpp"
#include "lichen/driver/virtio/memory.hpp"
#include "lichen/driver/virtio/queue.hpp"
#include "lichen/driver/virtio/transport.hpp"

namespace lichen::driver::virtio {

struct ConsoleOptions {
  bool several_ports = true;  // if the device has them
  unsigned ports = 4;         // those of lower numbers; at most 7
  std::size_t buffer_size = 1024;
  std::uint64_t patience_ns = 200'000'000;  // of ConsolePort::write_now()
};

class ConsoleDevice final : private PortOwner {
 public:
  static constexpr unsigned most_ports = 7;

  // For the calling core. Transport and memory MUST outlive it. Errors: not_supported (no console,
  // or one of no ports), invalid_argument (options), not_found, no_memory, timed_out, io_failed,
  // stopped.
  static Task<Result<std::unique_ptr<ConsoleDevice>>> open(Transport& transport,
                                                           DeviceMemory& memory,
                                                           ConsoleOptions options = {}) noexcept;
  ConsoleDevice(const ConsoleDevice&) = delete;
  ConsoleDevice& operator=(const ConsoleDevice&) = delete;
  // Nobody MUST use a port any more.
  ~ConsoleDevice() override;

  // A device without several has port 0 from the beginning. Null: there is none of that number now.
  [[nodiscard]] ConsolePort* port(unsigned number) noexcept;
  // Waits until there is a port of that name, and tells the device that somebody is here. On the
  // device's core. Errors: not_supported (it has no names), io_failed, stopped.
  Task<Result<ConsolePort*>> find(std::string_view name) noexcept;
  [[nodiscard]] bool has_several() const noexcept { return several_; }

  // As of Entropy.
  void interrupted() noexcept { told_.set(); }
  void interrupted_by_line() noexcept { told_.set_by_line(transport_); }
  bool deliver() noexcept;

  // Messages that made no sense.
  [[nodiscard]] std::uint64_t bad_messages() const noexcept { return bad_messages_; }

 private:
  static constexpr unsigned incoming = 32;  // messages
  static constexpr std::size_t incoming_size = 8 + ConsolePort::longest_name;
  static constexpr unsigned outgoing = 16;
  static constexpr std::size_t message_size = 8;
  // What the device is still to be told.
  enum Owed : std::uint8_t { ready = 1, open_here = 2, refused = 4 };
  struct Port {
    std::unique_ptr<ConsolePort> port;
    bool added = false;
    std::uint8_t owed = 0;
  };
  struct Control {
    Queue receive;
    Queue send;
    SharedMemory memory;
  };

  ConsoleDevice(Transport& transport) noexcept;
  Result<void> create(DeviceMemory& memory, Features features,
                      const ConsoleOptions& options) noexcept;
  Result<void> enable() noexcept;
  void port_failed() noexcept override;
  void read_size() noexcept;
  void post_message(unsigned slot) noexcept;
  void take_messages() noexcept;
  void take_message(std::span<const std::byte> message) noexcept;
  void send_owed() noexcept;
  bool send(std::uint32_t port, std::uint16_t event, std::uint16_t value) noexcept;

  Transport& transport_;
  coro::Core& home_;
  Vector vector_ = no_vector;
  bool several_ = false;
  bool sized_ = false;
  std::array<Port, most_ports> ports_;
  std::optional<Control> control_;
  unsigned free_messages_ = (1U << outgoing) - 1;
  coro::Event changed_;  // of the ports
  InterruptNote told_;
  bool broken_ = false;
  std::uint64_t bad_messages_ = 0;
};

}  // namespace lichen::driver::virtio
