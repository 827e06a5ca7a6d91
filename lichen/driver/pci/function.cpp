#include "lichen/driver/pci/function.hpp"

#include <bitset>

#include "lichen/base/bits.hpp"

// Runs seldom, and is made small.
#pragma clang attribute push(__attribute__((minsize)), apply_to = function)

namespace lichen::driver::pci {

namespace {

// 6.1.
enum Field : std::size_t {
  vendor = 0x00,
  command = 0x04,
  status = 0x06,
  header_type = 0x0E,
  first_bar = 0x10,
  secondary_bus = 0x19,  // of bridges
  capabilities = 0x34,
  interrupt_line = 0x3C,
  interrupt_pin = 0x3D,
  header_end = 0x40,
};
constexpr std::uint16_t no_function = 0xFFFF;
constexpr std::uint8_t several_functions = 0x80;
constexpr std::uint8_t bridge_header = 1;
constexpr std::uint16_t answers_ports = 1 << 0;
constexpr std::uint16_t answers_memory = 1 << 1;
constexpr std::uint16_t bus_master = 1 << 2;
constexpr std::uint16_t line_off = 1 << 10;
constexpr std::uint16_t has_capabilities = 1 << 4;
constexpr std::size_t old_configuration_size = 256;

constexpr std::uint32_t is_ports = 1;
constexpr std::uint32_t kind_of_memory = 3 << 1;
constexpr std::uint32_t is_wide = 2 << 1;
constexpr std::uint32_t memory_flags = 0xF;

constexpr std::uint8_t msix = 0x11;
constexpr std::uint16_t msix_on = 1 << 15;
constexpr std::uint16_t msix_all_masked = 1 << 14;
constexpr std::size_t msix_entry_size = 16;

// The part of a configuration space that is one function's.
class Window final : public Registers {
 public:
  Window(Registers& space, std::size_t at) noexcept : space_{space}, at_{at} {}
  std::size_t size() const noexcept override { return configuration_size; }
  std::uint8_t read8(std::size_t offset) noexcept override { return space_.read8(at_ + offset); }
  std::uint16_t read16(std::size_t offset) noexcept override { return space_.read16(at_ + offset); }
  std::uint32_t read32(std::size_t offset) noexcept override { return space_.read32(at_ + offset); }
  void write8(std::size_t offset, std::uint8_t value) noexcept override {
    space_.write8(at_ + offset, value);
  }
  void write16(std::size_t offset, std::uint16_t value) noexcept override {
    space_.write16(at_ + offset, value);
  }
  void write32(std::size_t offset, std::uint32_t value) noexcept override {
    space_.write32(at_ + offset, value);
  }

 private:
  Registers& space_;
  std::size_t at_;
};

std::size_t bar_at(unsigned index) noexcept { return first_bar + 4 * std::size_t{index}; }

// Writes all ones and sees which stick.
std::uint32_t probe(Registers& configuration, std::size_t at) noexcept {
  const std::uint32_t before = configuration.read32(at);
  configuration.write32(at, UINT32_MAX);
  const std::uint32_t stuck = configuration.read32(at);
  configuration.write32(at, before);
  return stuck;
}

}  // namespace

void each_function(Registers& space, std::uint8_t first_bus,
                   base::FunctionRef<void(Registers&, Location)> show) noexcept {
  constexpr std::size_t bus_size = std::size_t{1} << 20;
  std::bitset<256> wanted;
  wanted.set(first_bus);
  // A bridge leads to a bus of a higher number, so each is seen once.
  for (unsigned bus = first_bus; bus < wanted.size(); ++bus) {
    const std::size_t bus_at = (bus - first_bus) * bus_size;
    if (!wanted.test(bus) || bus_at + bus_size > space.size()) continue;
    for (unsigned slot = 0; slot < 256; ++slot) {
      Window configuration{space, bus_at + slot * configuration_size};
      const bool is_first = slot % 8 == 0;
      if (configuration.read16(vendor) == no_function) {
        if (is_first) slot += 7;
        continue;
      }
      const std::uint8_t type = configuration.read8(header_type);
      if ((type & 0x7F) == bridge_header) {
        const std::uint8_t behind = configuration.read8(secondary_bus);
        if (behind > bus) wanted.set(behind);
      }
      show(configuration, {.bus = static_cast<std::uint8_t>(bus),
                           .device = static_cast<std::uint8_t>(slot / 8),
                           .function = static_cast<std::uint8_t>(slot % 8)});
      if (is_first && (type & several_functions) == 0) slot += 7;
    }
  }
}

// 6.2.5.1.
Bars read_bars(Registers& configuration) noexcept {
  Bars bars{};
  if ((configuration.read8(header_type) & 0x7F) != 0) return bars;
  const std::uint16_t before = configuration.read16(command);
  configuration.write16(command,
                        before & static_cast<std::uint16_t>(~(answers_ports | answers_memory)));
  for (unsigned i = 0; i < bar_count; ++i) {
    const std::uint32_t low = configuration.read32(bar_at(i));
    if ((low & is_ports) != 0) continue;
    Bar& bar = bars[i];
    bar.wide = (low & kind_of_memory) == is_wide && i + 1 < bar_count;
    bar.address = low & ~memory_flags;
    std::uint64_t stuck = probe(configuration, bar_at(i)) & ~memory_flags;
    if (bar.wide) {
      bar.address |= std::uint64_t{configuration.read32(bar_at(i + 1))} << 32;
      stuck |= std::uint64_t{probe(configuration, bar_at(i + 1))} << 32;
      ++i;
    } else if (stuck != 0) {
      stuck |= std::uint64_t{UINT32_MAX} << 32;
    }
    bar.size = stuck & (~stuck + 1);  // the lowest bit that can be set
  }
  configuration.write16(command, before);
  return bars;
}

Result<void> assign_bars(Registers& configuration, Bars& bars, AddressPool& pool) noexcept {
  for (unsigned i = 0; i < bar_count; ++i) {
    Bar& bar = bars[i];
    if (bar.size == 0 || bar.address != 0) continue;
    const std::uint64_t at = (pool.next + bar.size - 1) & ~(bar.size - 1);
    if (at < pool.next || at > pool.end || bar.size > pool.end - at) return Error::no_memory;
    if (!bar.wide && at + bar.size - 1 > UINT32_MAX) return Error::no_memory;
    pool.next = at + bar.size;
    bar.address = at;
    configuration.write32(bar_at(i), static_cast<std::uint32_t>(at));
    if (bar.wide) configuration.write32(bar_at(i + 1), static_cast<std::uint32_t>(at >> 32));
  }
  return {};
}

void enable(Registers& configuration) noexcept {
  configuration.write16(command, configuration.read16(command) | answers_memory | bus_master);
}

std::optional<std::size_t> find_capability(Registers& configuration, std::uint8_t kind) noexcept {
  if ((configuration.read16(status) & has_capabilities) == 0) return std::nullopt;
  std::size_t at = configuration.read8(capabilities) & ~std::size_t{3};
  // No more than fit, lest a list that bites its tail never ends.
  for (std::size_t left = (old_configuration_size - header_end) / 4; left != 0; --left) {
    if (at < header_end) return std::nullopt;
    if (configuration.read8(at) == kind) return at;
    at = configuration.read8(at + 1) & ~std::size_t{3};
  }
  return std::nullopt;
}

std::optional<MessageTable> find_messages(Registers& configuration) noexcept {
  const auto at = find_capability(configuration, msix);
  if (!at || *at + 12 > old_configuration_size) return std::nullopt;
  const std::uint32_t place = configuration.read32(*at + 4);
  if ((place & 7) >= bar_count) return std::nullopt;
  return MessageTable{.capability = *at,
                      .entries = (configuration.read16(*at + 2) & 0x7FFU) + 1,
                      .bar = place & 7,
                      .offset = place & ~std::uint32_t{7}};
}

Result<void> set_message(const MessageTable& table, Registers& bar, unsigned entry,
                         std::uint64_t address, std::uint32_t data) noexcept {
  const std::size_t at = table.offset + entry * msix_entry_size;
  if (entry >= table.entries || at + msix_entry_size > bar.size()) return Error::invalid_argument;
  constexpr std::uint32_t masked = 1;
  bar.write32(at + 12, masked);
  bar.write32(at, static_cast<std::uint32_t>(address));
  bar.write32(at + 4, static_cast<std::uint32_t>(address >> 32));
  bar.write32(at + 8, data);
  bar.write32(at + 12, 0);
  return {};
}

void enable_messages(const MessageTable& table, Registers& configuration) noexcept {
  configuration.write16(command, configuration.read16(command) | line_off);
  const std::uint16_t control = configuration.read16(table.capability + 2);
  configuration.write16(table.capability + 2,
                        (control | msix_on) & static_cast<std::uint16_t>(~msix_all_masked));
}

std::optional<unsigned> line_pin(Registers& configuration) noexcept {
  const std::uint8_t pin = configuration.read8(interrupt_pin);
  if (pin == 0 || pin > 4) return std::nullopt;
  return pin - 1;
}

std::optional<unsigned> written_line(Registers& configuration) noexcept {
  // On a PC 0 is the timer's, and 16 and more, like 255, say that there is none.
  const std::uint8_t line = configuration.read8(interrupt_line);
  if (line == 0 || line > 15) return std::nullopt;
  return line;
}

}  // namespace lichen::driver::pci

#pragma clang attribute pop
