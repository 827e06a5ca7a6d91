// Unwind: finds the callers of an interrupted function, in signal handlers: by reading memory and
// nothing else.
//
// Reads the tables that compilers emit for debuggers and exceptions (.eh_frame and .eh_frame_hdr:
// Linux Standard Base, Core, chapter 10; the rules in them: DWARF 5, section 6.4). What it does not
// know, an expression or a pointer of a rare encoding, and what lies where nothing of that kind can
// lie ends the walk: it says "I cannot tell" rather than something wrong.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <span>

namespace lichen::hal::detail {

// Addresses from `begin` to before `end`.
struct Range {
  std::uintptr_t begin = 0;
  std::uintptr_t end = 0;

  [[nodiscard]] bool holds(std::uintptr_t address, std::size_t size = 1) const noexcept {
    return address >= begin && address < end && size <= end - address;
  }
};

// One loaded object, as far as we need it. It MUST stay loaded.
struct Module {
  static constexpr std::size_t max_segments = 8;

  Range code;                              // its executable segment
  std::array<Range, max_segments> data{};  // all that can be read, code included
  Range tables;                            // the segment that holds what follows
  std::uintptr_t table = 0;                // its .eh_frame_hdr; 0: none

  [[nodiscard]] bool can_read(std::uintptr_t address, std::size_t size) const noexcept;
};

// The object in which an address lies; nothing where there is none. Not in handlers.
std::optional<Module> module_of(std::uintptr_t address) noexcept;

// x86-64: general registers in the order of DWARF (System V ABI, figure 3.36), then the address of
// the instruction.
inline constexpr std::size_t register_count = 17;
inline constexpr std::size_t stack_pointer_register = 7;
inline constexpr std::size_t instruction_register = 16;
using Registers = std::array<std::uintptr_t, register_count>;

// What an interrupted flow had in them; `record` is a ucontext_t.
Registers registers_of(void* record) noexcept;
// For a flow that stands where redirect_around_call() lets it make its call: what it had before.
void undo_redirection(Registers& registers) noexcept;

// How a function's caller is found where the function stands at one address.
struct CallerRules {
  static constexpr std::int64_t unchanged = INT64_MIN;

  std::size_t base = stack_pointer_register;       // the frame lies at this register...
  std::int64_t offset = 0;                         // ... plus this
  std::array<std::int64_t, register_count> saved;  // where, from there
  bool interrupted = false;     // the caller did not call: it was interrupted there
  std::uintptr_t function = 0;  // where it begins
};

// The rules for an address. `tables` are the bytes of the module's tables, which begin at the
// address `at`; the header lies at `header`.
std::optional<CallerRules> find_rules(std::span<const std::byte> tables, std::uintptr_t at,
                                      std::uintptr_t header, std::uintptr_t address) noexcept;

// A walk from an interrupted flow outwards.
class Frames {
 public:
  // `stack` is what may be read of the flow's stack.
  Frames(const Registers& interrupted, Range stack) noexcept
      : registers_{interrupted}, stack_{stack} {}

  [[nodiscard]] std::uintptr_t instruction() const noexcept {
    return registers_[instruction_register];
  }
  // To the caller of the frame, which lies in `module`. False: it cannot be told.
  bool step(const Module& module) noexcept;
  // Where the function begins from which the latest step() led.
  [[nodiscard]] std::uintptr_t callee() const noexcept { return callee_; }

 private:
  Registers registers_;
  Range stack_;
  bool called_ = false;  // the instruction is behind a call
  std::uintptr_t callee_ = 0;
};

}  // namespace lichen::hal::detail
