// How a driver reaches its device, whatever bus it sits on (virtio 1.2, 2.1 to 2.6 and 4).
#pragma once

#include <atomic>
#include <cstddef>
#include <cstdint>
#include <span>

#include "lichen/base/result.hpp"
#include "lichen/coro/core.hpp"
#include "lichen/driver/virtio/features.hpp"
#include "lichen/driver/virtio/ring.hpp"

namespace lichen::driver::virtio {

enum class DeviceKind : std::uint32_t {
  none = 0,
  net = 1,
  block = 2,
  console = 3,
  entropy = 4,
  balloon = 5
};

// The device status field (2.1).
namespace status {
inline constexpr std::uint8_t acknowledge = 1;
inline constexpr std::uint8_t driver = 2;
inline constexpr std::uint8_t driver_ok = 4;
inline constexpr std::uint8_t features_ok = 8;
inline constexpr std::uint8_t needs_reset = 64;
inline constexpr std::uint8_t failed = 128;
}  // namespace status

// Which interrupt of the device's a queue, or a change of its configuration, raises. Where there is
// only one line for everything, it is not asked for.
using Vector = std::uint16_t;
inline constexpr Vector no_vector = 0xFFFF;

// Why the one line was raised.
struct InterruptCause {
  bool queues = false;
  bool configuration = false;
};

struct QueueSetup {
  std::uint16_t size = 0;
  RingAddresses addresses{};
  Vector vector = no_vector;
};

// Of one device. What is not said to be otherwise is for one flow at a time.
class Transport {
 public:
  virtual ~Transport() = default;

  [[nodiscard]] virtual DeviceKind kind() noexcept = 0;
  virtual Features offered() noexcept = 0;
  virtual void accept(Features features) noexcept = 0;
  // On any core.
  virtual std::uint8_t status() noexcept = 0;
  // Writing 0 asks for a reset, which is over when status() yields 0.
  virtual void set_status(std::uint8_t status) noexcept = 0;

  // Changes when the configuration does (2.5).
  virtual std::uint8_t config_generation() noexcept = 0;
  // 0 where the device has no such field: its configuration may be shorter than its features say.
  virtual std::uint8_t config8(std::size_t offset) noexcept = 0;
  virtual std::uint16_t config16(std::size_t offset) noexcept = 0;
  virtual std::uint32_t config32(std::size_t offset) noexcept = 0;
  // Nothing where the device has no such field.
  virtual void set_config8(std::size_t offset, std::uint8_t value) noexcept = 0;
  virtual void set_config32(std::size_t offset, std::uint32_t value) noexcept = 0;

  // Most descriptors that the queue may have; 0: there is no such queue.
  virtual std::uint16_t queue_limit(std::uint16_t queue) noexcept = 0;
  // Errors: not_found (no such queue), invalid_argument (size), invalid_state (in use already),
  // limit_reached (the device has no such vector).
  virtual Result<void> enable_queue(std::uint16_t queue, const QueueSetup& setup) noexcept = 0;
  // limit_reached: as above; to be called after each reset.
  virtual Result<void> set_config_vector(Vector vector) noexcept = 0;
  // Tells the device that buffers are available. The queue MUST be enabled. On any core, for one
  // flow of each queue at a time.
  virtual void notify(std::uint16_t queue) noexcept = 0;

  // Vectors the device can raise; 0: it has the one line.
  [[nodiscard]] virtual Vector vectors() const noexcept = 0;
  // In the handler of the one line: why it was raised, and lowers it.
  virtual InterruptCause acknowledge_interrupt() noexcept = 0;
};

// That there was an interrupt: for a driver that then looks at all there is.
class InterruptNote {
 public:
  // In the handler.
  void set() noexcept { told_.store(true, std::memory_order_release); }
  void set_by_line(Transport& transport) noexcept {
    const InterruptCause cause = transport.acknowledge_interrupt();
    if (cause.queues || cause.configuration) set();
  }
  // On the driver's core, whenever that looks for events: whether there was one since.
  bool take() noexcept {
    return told_.load(std::memory_order_relaxed) &&
           told_.exchange(false, std::memory_order_acquire);
  }

 private:
  std::atomic<bool> told_{false};
};

// Where interrupts of a device go.
class InterruptRouter {
 public:
  // Those that somebody takes, from 0 on, as soon as they are routed; 0: there is the one line.
  [[nodiscard]] virtual Vector vectors() const noexcept = 0;
  // From now on the core takes it. Errors: not_supported (it takes none), limit_reached.
  virtual Result<void> route(Vector vector, const coro::Core& core) noexcept = 0;

 protected:
  ~InterruptRouter() = default;
};

// Reads several fields that belong together: again while they change (2.5.1). Gives up after a
// while and yields what it has, as a device that never rests is not to be trusted anyway.
template <class Read>
auto read_config(Transport& transport, Read read) noexcept {
  for (unsigned tries = 0;; ++tries) {
    const std::uint8_t before = transport.config_generation();
    auto fields = read(transport);
    if (transport.config_generation() == before || tries == 8) return fields;
  }
}

}  // namespace lichen::driver::virtio
