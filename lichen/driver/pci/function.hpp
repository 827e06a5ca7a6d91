// Functions of a PCI bus: finding them, their memory, their interrupts (PCI Local Bus Specification
// 3.0, chapter 6; PCI Express Base Specification 5.0, 7.2.2).
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <optional>

#include "lichen/base/function_ref.hpp"
#include "lichen/base/result.hpp"
#include "lichen/driver/virtio/registers.hpp"

namespace lichen::driver::pci {

using virtio::Registers;

struct Location {
  std::uint8_t bus = 0;
  std::uint8_t device = 0;
  std::uint8_t function = 0;
};

inline constexpr std::size_t configuration_size = 4096;
inline constexpr unsigned bar_count = 6;

// Shows each function with its configuration registers: those of the first bus, and of the buses
// behind bridges that the firmware has numbered. `space` holds the configuration space of the buses
// from `first_bus` on, 1 MiB each; what lies beyond its end is left out.
void each_function(Registers& space, std::uint8_t first_bus,
                   base::FunctionRef<void(Registers& configuration, Location where)> show) noexcept;

// Memory of a function.
struct Bar {
  std::uint64_t address = 0;  // 0: none was given to it yet
  std::uint64_t size = 0;     // 0: there is no such memory
  bool wide = false;          // its address has 64 bits and takes this index and the next
};
using Bars = std::array<Bar, bar_count>;
// Of a function that is no bridge and is not in use: it does not answer while it is asked. Ports
// are left out.
Bars read_bars(Registers& configuration) noexcept;

// Addresses that nobody has.
struct AddressPool {
  std::uint64_t next = 0;
  std::uint64_t end = 0;
};
// Gives addresses to memory that has none. Errors: no_memory (the pool has not enough, or only what
// a narrow one cannot take).
Result<void> assign_bars(Registers& configuration, Bars& bars, AddressPool& pool) noexcept;

// From now on it answers at its addresses and reads and writes memory by itself.
void enable(Registers& configuration) noexcept;

// Where the first capability of that kind begins.
std::optional<std::size_t> find_capability(Registers& configuration, std::uint8_t kind) noexcept;

// MSI-X (6.8.2): a table of messages in the function's memory.
struct MessageTable {
  std::size_t capability = 0;
  unsigned entries = 0;
  unsigned bar = 0;
  std::size_t offset = 0;
};
std::optional<MessageTable> find_messages(Registers& configuration) noexcept;
// Errors: invalid_argument (the table does not lie in that memory, or has no such entry).
Result<void> set_message(const MessageTable& table, Registers& bar, unsigned entry,
                         std::uint64_t address, std::uint32_t data) noexcept;
// Raises messages instead of its line.
void enable_messages(const MessageTable& table, Registers& configuration) noexcept;

// The pin of its line, from 0 (INTA); nothing: it has none.
std::optional<unsigned> line_pin(Registers& configuration) noexcept;
// The input of the interrupt controller that it raises, as the firmware of a PC has written there
// (6.2.4); nothing: it has written none.
std::optional<unsigned> written_line(Registers& configuration) noexcept;

}  // namespace lichen::driver::pci
