// What a PCI bus says of itself and of virtio devices on it. Whatever it says: each register is
// reached whole, aligned and inside of what there is, each function is shown once, memory is given
// addresses of its own, and a device that was found can be used without a look beyond its windows.
#include <array>
#include <cstdint>
#include <cstring>
#include <memory>
#include <optional>
#include <set>
#include <span>
#include <vector>

#include "lichen/driver/pci/function.hpp"
#include "lichen/driver/virtio/mmio_transport.hpp"
#include "lichen/driver/virtio/pci_transport.hpp"
#include "tests/fuzz/check.hpp"

using namespace lichen;
using namespace lichen::driver;

namespace {

using Input = std::span<const std::uint8_t>;

// As large as it says, with the input in it over and over; what is written stays.
class Space final : public virtio::RegistersOf<Space> {
 public:
  Space(Input bytes, std::size_t size) : bytes_{bytes.begin(), bytes.end()}, size_{size} {
    if (bytes_.empty()) bytes_.push_back(0);
  }
  [[nodiscard]] std::size_t size() const noexcept override { return size_; }

  template <class T>
  T get(std::size_t offset) {
    check<T>(offset);
    T value = 0;
    for (std::size_t i = 0; i < sizeof(T); ++i)
      value |= static_cast<T>(T{bytes_[(offset + i) % bytes_.size()]} << 8 * i);
    return value;
  }
  template <class T>
  void set(std::size_t offset, T value) {
    check<T>(offset);
    for (std::size_t i = 0; i < sizeof(T); ++i)
      bytes_[(offset + i) % bytes_.size()] = static_cast<std::uint8_t>(value >> 8 * i);
  }

 private:
  template <class T>
  void check(std::size_t offset) const {
    CHECK(offset % sizeof(T) == 0 && sizeof(T) <= size_ && offset <= size_ - sizeof(T));
  }
  std::vector<std::uint8_t> bytes_;
  std::size_t size_;
};

// One function, whose memory has as many bits as the input says.
class Function final : public virtio::PciFunction {
 public:
  explicit Function(Input input)
      : configuration_{input.first(std::min<std::size_t>(input.size(), 256)), 256} {
    for (std::size_t i = 0; i < bars_.size(); ++i) {
      const unsigned size = input.empty() ? 0 : input[(200 + i) % input.size()] % 16;
      if (size != 0) bars_[i].emplace(input, std::size_t{1} << size);
    }
  }
  virtio::Registers& configuration() noexcept override { return configuration_; }
  virtio::Registers* bar(unsigned index) noexcept override {
    CHECK(index < bars_.size());
    return bars_[index] ? &*bars_[index] : nullptr;
  }

 private:
  Space configuration_;
  std::array<std::optional<Space>, pci::bar_count> bars_;
};

void use(virtio::Transport& transport) {
  (void)transport.kind();
  transport.accept(transport.offered());
  transport.set_status(transport.status());
  (void)transport.config_generation();
  for (std::size_t at = 0; at < 300; at += 4) {
    (void)transport.config8(at + 1);
    (void)transport.config16(at + 2);
    (void)transport.config32(at);
    transport.set_config8(at + 3, 0);
    transport.set_config32(at, 0);
  }
  for (const std::uint16_t queue : {0, 1, 2, 128, 129, 0xFFFF}) {
    const std::uint16_t limit = transport.queue_limit(queue);
    CHECK(limit <= virtio::largest_ring);
    const Result<void> enabled = transport.enable_queue(
        queue, {.size = limit, .addresses = {16, 32, 64}, .vector = transport.vectors()});
    CHECK(!enabled || limit != 0);
    if (enabled) transport.notify(queue);
  }
  (void)transport.set_config_vector(0);
  (void)transport.acknowledge_interrupt();
}

void check_bars(virtio::Registers& configuration) {
  pci::Bars bars = pci::read_bars(configuration);
  for (const pci::Bar& bar : bars) CHECK((bar.size & (bar.size - 1)) == 0 || bar.size == 0);
  const pci::Bars before = bars;
  constexpr std::uint64_t begin = 0x1'0000;
  pci::AddressPool pool{.next = begin, .end = std::uint64_t{1} << 34};
  std::uint64_t behind = begin;
  const Result<void> assigned = pci::assign_bars(configuration, bars, pool);
  for (std::size_t i = 0; i < bars.size(); ++i) {
    if (before[i].size == 0 || before[i].address != 0) continue;
    if (bars[i].address == 0) {
      CHECK(!assigned);
      break;
    }
    CHECK(bars[i].address >= behind && bars[i].address % bars[i].size == 0);
    behind = bars[i].address + bars[i].size;
    CHECK(behind <= pool.end && (bars[i].wide || behind <= std::uint64_t{1} << 32));
  }
}

void check_function(Function& function) {
  virtio::Registers& configuration = function.configuration();
  (void)pci::line_pin(configuration);
  for (const std::uint8_t kind : {0x09, 0x11})
    if (const auto at = pci::find_capability(configuration, kind)) CHECK(*at >= 64 && *at < 256);
  if (const auto table = pci::find_messages(configuration)) {
    CHECK(table->entries >= 1 && table->entries <= 2048 && table->bar < pci::bar_count);
    if (virtio::Registers* bar = function.bar(table->bar))
      for (const unsigned entry : {0U, table->entries - 1, table->entries})
        CHECK(!pci::set_message(*table, *bar, entry, 1, 2) || entry < table->entries);
    pci::enable_messages(*table, configuration);
  }
  if (auto transport = virtio::PciTransport::create(function)) use(*transport);
  check_bars(configuration);
  pci::enable(configuration);
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  const Input input{data, size};
  Function function{input};
  check_function(function);
  if (size < 2) return 0;
  Space registers{input, std::size_t{data[0]} * 4};
  if (auto transport = virtio::MmioTransport::create(registers)) use(*transport);
  // Two and a half buses at most.
  Space bus{input, std::size_t{data[0]} << 12 | (std::size_t{data[1]} & 1) << 20};
  std::set<unsigned> seen;
  pci::each_function(bus, data[1], [&](virtio::Registers& configuration, pci::Location where) {
    CHECK(configuration.size() == pci::configuration_size);
    CHECK(where.device < 32 && where.function < 8 && where.bus >= data[1]);
    CHECK(seen.insert(where.bus << 8 | where.device << 3 | where.function).second);
  });
  return 0;
}
