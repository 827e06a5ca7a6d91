// What a device tree says about a board, as far as anybody here wants to know it. It comes from
// outside: what is not well-formed is left out, and all numbers are bounded.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <span>
#include <string_view>

#include "lichen/base/result.hpp"
#include "lichen/hal/riscv64/flat_tree.hpp"

namespace lichen::hal::detail {

// The first `most` that were found.
template <class T, std::size_t most>
class Found {
 public:
  bool add(const T& item) noexcept {
    if (count_ == most) return false;
    items_[count_++] = item;
    return true;
  }
  [[nodiscard]] std::span<const T> all() const noexcept { return std::span{items_}.first(count_); }
  [[nodiscard]] std::span<T> all() noexcept { return std::span{items_}.first(count_); }

 private:
  std::array<T, most> items_{};
  std::size_t count_ = 0;
};

// Physical addresses; not empty, and below 2^56, where Sv39 ends.
struct BoardRange {
  std::uint64_t begin = 0;
  std::uint64_t size = 0;
  explicit operator bool() const noexcept { return size != 0; }
};

// Registers of a device, and the line of the interrupt controller that it pulls; 0: none.
struct BoardDevice {
  BoardRange registers;
  std::uint32_t line = 0;
  explicit operator bool() const noexcept { return bool{registers}; }
};

struct BoardHart {
  static constexpr std::uint32_t no_context = UINT32_MAX;
  std::uint32_t id = 0;
  std::uint32_t controller = 0;  // the phandle of what takes its interrupts
  // What takes external interrupts of its supervisor mode. Of the PLIC: its context; of the APLIC
  // the number by which that names it.
  std::uint32_t context = no_context;
  std::uint64_t messages = 0;  // where its interrupt file takes messages (IMSIC); 0: nowhere
};

// riscv,plic0: the platform-level interrupt controller (RISC-V PLIC specification 1.0.0).
struct BoardPlic {
  static constexpr std::uint32_t most_lines = 1023;
  static constexpr std::uint64_t first_context = 0x20'0000;  // where its registers are
  static constexpr std::uint64_t context_size = 0x1000;
  BoardRange registers;
  std::uint32_t lines = 0;  // the highest number of one
  std::uint32_t phandle = 0;
};

// riscv,aplic: the advanced platform-level interrupt controller, the domain of supervisor mode
// (RISC-V Advanced Interrupt Architecture 1.0, chapter 4).
struct BoardAplic {
  static constexpr std::uint32_t most_lines = 1023;
  static constexpr std::uint32_t most_harts = 1 << 14;
  static constexpr std::uint64_t first_hart = 0x4000;  // where its registers are
  static constexpr std::uint64_t hart_size = 32;
  // How a line is raised, as its specifier says.
  enum Trigger : std::uint8_t { rising_edge = 1, falling_edge = 2, high_level = 4, low_level = 8 };
  BoardRange registers;
  std::uint32_t lines = 0;  // the highest number of one
  std::uint32_t phandle = 0;
  bool by_messages = false;                            // lines become messages of the harts' files
  std::array<std::uint8_t, most_lines + 1> trigger{};  // of a line; 0: nobody has it
};

// ns16550a.
struct BoardSerialPort {
  BoardDevice device;
  std::uint32_t register_shift = 0;  // registers lie 2^shift bytes apart
};

// pci-host-ecam-generic. Addresses of PCI that devices may be given, and what a processor uses for
// them.
struct BoardPciWindow {
  std::uint64_t bus = 0;
  BoardRange memory;
  bool wide = false;  // for 64-bit registers only
};
struct BoardPci {
  BoardRange configuration;
  std::uint32_t first_bus = 0;
  std::uint32_t last_bus = 0;
  Found<BoardPciWindow, 4> windows;
  // Of the interrupt pin (0 is A) of a device, counted modulo 4 both.
  std::array<std::array<std::uint32_t, 4>, 4> lines{};
};

struct BoardTree {
  static constexpr std::size_t most_harts = 256;
  Found<BoardRange, 16> memory;
  Found<BoardRange, 32> reserved;
  Found<BoardHart, most_harts> harts;  // those that may be used
  Found<BoardDevice, 32> virtio;       // virtio,mmio; by rising address
  std::string_view words;              // for the program
  TreeBytes seed;                      // random, from whoever started the machine
  std::uint32_t clock_hertz = 0;
  bool has_timer_register = false;  // Sstc, on every hart
  std::uint64_t test_device = 0;    // QEMU's, and SiFive's: takes a status; 0: none
  BoardPlic plic;
  BoardAplic aplic;
  // riscv,imsics: of each hart's file (AIA, chapter 3) the highest identity; 0: there is none.
  std::uint32_t message_identities = 0;
  BoardSerialPort serial;
  BoardDevice calendar;  // google,goldfish-rtc
  BoardPci pci;
};

// `board` MUST be as new; words and seed are parts of the tree. Errors: as of
// FlatTree::each_node().
Result<void> read_board(const FlatTree& tree, BoardTree& board) noexcept;

}  // namespace lichen::hal::detail
