// Devices for tests: what a driver sees of them, behind simulated registers, with rings of the
// tests' own.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <deque>
#include <memory>
#include <span>
#include <vector>

#include "lichen/driver/virtio/features.hpp"
#include "lichen/driver/virtio/pci_transport.hpp"
#include "lichen/driver/virtio/registers.hpp"
#include "lichen/driver/virtio/test_ring.hpp"
#include "lichen/driver/virtio/transport.hpp"
#include "lichen/io/net_header.hpp"

namespace lichen::driver::virtio::test {

struct QueueModel {
  std::uint16_t limit = 64;
  std::uint16_t size = 0;
  RingAddresses at{};
  bool enabled = false;
  Vector vector = no_vector;
  std::unique_ptr<DeviceRing> ring{};
  unsigned notified = 0;
};

// What all devices have in common (2.1 to 2.6). It works only after DRIVER_OK.
class DeviceModel {
 public:
  DeviceModel(DeviceKind device_kind, std::size_t queue_count, Features features)
      : kind{device_kind}, offered{features | feature::version_1}, queues(queue_count) {}
  virtual ~DeviceModel() = default;

  [[nodiscard]] std::uint8_t read_status();
  void write_status(std::uint8_t value);
  void enable(QueueModel& queue);
  void notify(std::size_t queue);
  // A driver is told to do something by it.
  virtual void notified(std::size_t) {}
  [[nodiscard]] bool works() const {
    return (status & status::driver_ok) != 0 && (status & status::needs_reset) == 0;
  }
  [[nodiscard]] bool has(Features features) const { return (accepted & features) == features; }

  // Interrupts that were raised: cause bits of the line, and vectors.
  void interrupt_for(QueueModel& queue);
  void change_config();
  void break_down();  // 2.1.2: DEVICE_NEEDS_RESET

  DeviceKind kind;
  Features offered;
  std::vector<QueueModel> queues;
  std::vector<std::byte> config = std::vector<std::byte>(64);
  Features accepted = 0;
  std::uint8_t status = 0;
  std::uint8_t generation = 0;
  Vector config_vector = no_vector;
  std::uint8_t line = 0;
  std::vector<Vector> raised;
  std::size_t vectors = 0;

  Features refused = 0;      // FEATURES_OK is not kept with one of these
  unsigned reset_reads = 0;  // of the status, until a reset is over
  bool is_gone = false;      // nothing but ones is read of the status
  unsigned resets = 0;
  std::vector<std::uint8_t> history;  // of status writes

 protected:
  virtual void was_reset() {}

 private:
  unsigned reset_left_ = 0;
};

// A network card (5.1) whose wire is in the hands of the test. `pair`: whose queues are meant.
class NetModel final : public DeviceModel {
 public:
  explicit NetModel(Features features, std::size_t pairs = 1);

  struct Frame {
    io::NetHeader header;
    std::vector<std::byte> bytes;
    std::size_t pair = 0;  // of one that was sent
  };
  // A frame comes in. False, and lost, if the driver has offered too few buffers.
  bool receive(const Frame& frame, std::size_t pair = 0);
  // Shows frames that came in, and tells.
  void flush(std::size_t pair = 0);
  // Takes up to so many frames that were sent, in order, and puts them behind `sent`.
  std::size_t transmit(std::size_t most = ~std::size_t{0}, std::size_t pair = 0);
  void fetch(std::size_t pair = 0);  // all receive buffers that are there
  void set_link(bool up);
  void want_announcement();
  void notified(std::size_t queue) override;

  std::vector<Frame> sent;
  struct Half {
    std::deque<Popped> buffers;  // for receiving
    std::vector<Done> received;  // not shown yet
  };
  std::array<Half, 4> halves;
  // Of the first pair.
  std::deque<Popped>& buffers = halves[0].buffers;
  std::vector<Done>& received = halves[0].received;
  bool shuffles = false;  // uses buffers in another order
  // 5.1.6.5: commands, answered at once.
  struct Command {
    unsigned kind = 0;
    unsigned number = 0;
    std::vector<unsigned> data;
    bool operator==(const Command&) const = default;
  };
  std::vector<Command> commands;
  std::uint8_t answer = 0;  // to each
  bool answers = true;      // at all
  bool refuses_steering = false;
  std::size_t enabled_pairs = 1;  // since the last reset

 private:
  void was_reset() override;
};

// virtio over MMIO as in table 4.1.
class MmioRegisters final : public Registers {
 public:
  explicit MmioRegisters(DeviceModel& device) : device_{device} {}
  std::size_t size() const noexcept override { return 0x100 + device_.config.size(); }
  std::uint8_t read8(std::size_t offset) noexcept override;
  std::uint16_t read16(std::size_t offset) noexcept override;
  std::uint32_t read32(std::size_t offset) noexcept override;
  void write8(std::size_t offset, std::uint8_t value) noexcept override;
  void write16(std::size_t offset, std::uint16_t value) noexcept override;
  void write32(std::size_t offset, std::uint32_t value) noexcept override;

  std::uint32_t magic = 0x74726976;
  std::uint32_t version = 2;

 private:
  DeviceModel& device_;
  std::uint32_t device_half_ = 0;
  std::uint32_t driver_half_ = 0;
  std::uint32_t selected_ = 0;
};

// virtio over PCI: a configuration space with capabilities, and the structures of 4.1.4 in BAR 4.
class PciModel final : public PciFunction {
 public:
  static constexpr unsigned bar_index = 4;
  static constexpr std::size_t isr = 0x1000;
  static constexpr std::size_t device_config = 0x2000;
  static constexpr std::size_t doorbells = 0x3000;

  PciModel(DeviceModel& device, unsigned vectors);
  Registers& configuration() noexcept override { return space_; }
  Registers* bar(unsigned index) noexcept override { return index == bar_index ? &bar_ : nullptr; }

  // Where the capabilities of common, notify, ISR and device structure lie, and MSI-X.
  static constexpr std::array<std::size_t, 5> capabilities{0x40, 0x60, 0x80, 0xA0, 0xC0};
  std::array<std::uint8_t, 256> bytes{};

 private:
  class Space final : public RegistersOf<Space> {
   public:
    explicit Space(std::array<std::uint8_t, 256>& bytes) : bytes_{bytes} {}
    std::size_t size() const noexcept override { return bytes_.size(); }
    template <class T>
    T get(std::size_t offset) noexcept {
      T value{};
      check(offset, sizeof(T));
      std::memcpy(&value, &bytes_.at(offset), sizeof(T));
      return value;
    }
    template <class T>
    void set(std::size_t offset, T value) noexcept {
      check(offset, sizeof(T));
      std::memcpy(&bytes_.at(offset), &value, sizeof(T));
    }

   private:
    // Aligned, and inside.
    void check(std::size_t offset, std::size_t width) const;
    std::array<std::uint8_t, 256>& bytes_;
  };
  class Bar final : public Registers {
   public:
    explicit Bar(DeviceModel& device) : device_{device} {}
    std::size_t size() const noexcept override { return 0x4000; }
    std::uint8_t read8(std::size_t offset) noexcept override;
    std::uint16_t read16(std::size_t offset) noexcept override;
    std::uint32_t read32(std::size_t offset) noexcept override;
    void write8(std::size_t offset, std::uint8_t value) noexcept override;
    void write16(std::size_t offset, std::uint16_t value) noexcept override;
    void write32(std::size_t offset, std::uint32_t value) noexcept override;

   private:
    QueueModel& selected();
    DeviceModel& device_;
    QueueModel none_{.limit = 0};
    std::uint32_t device_half_ = 0;
    std::uint32_t driver_half_ = 0;
    std::uint16_t selected_ = 0;
  };
  Space space_{bytes};
  Bar bar_;
};

}  // namespace lichen::driver::virtio::test
