// The order in which a machine comes up: a graph of steps, checked when it is compiled. Private to
// hal.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <span>
#include <string_view>

#include "lichen/base/function_ref.hpp"
#include "lichen/base/result.hpp"
#include "lichen/hal/types.hpp"

namespace lichen::hal::detail {

struct BootStep {
  std::string_view name;
  Result<void> (*run)() noexcept;
  std::array<std::string_view, 3> needs{};  // steps that come before
};

// Whether each step comes after those that it needs, and no two have the same name.
consteval bool in_order(std::span<const BootStep> steps) {
  for (std::size_t i = 0; i < steps.size(); ++i) {
    if (steps[i].name.empty()) return false;
    for (std::size_t j = 0; j < i; ++j)
      if (steps[j].name == steps[i].name) return false;
    for (const std::string_view need : steps[i].needs) {
      bool found = need.empty();
      for (std::size_t j = 0; j < i; ++j) found |= steps[j].name == need;
      if (!found) return false;
    }
  }
  return true;
}

// Runs the steps; the machine ends when one fails.
void boot(std::span<const BootStep> steps) noexcept;

// The words by which whoever started the machine has named what it is to do; it is copied.
void set_command_line(std::string_view text) noexcept;
// Shows what follows `beginning` in each word that begins so.
void each_word(std::string_view beginning, base::FunctionRef<void(std::string_view)> show) noexcept;
// Those that are not for the machine, the program's name first, a null behind the last; separated
// by spaces, there is no quoting. Errors: too_large (there is no room for all of them).
Result<std::span<char*>> program_words() noexcept;
inline constexpr std::size_t longest_command_line = 2047;
inline constexpr std::size_t most_program_words = 63;  // beside the name
// Runs the program on a stack of its own, with interrupts on, and ends the machine with what main()
// has returned.
[[noreturn]] void run_program() noexcept;

// A thread pointer for another core: a copy of what the program has for each thread.
Result<std::uintptr_t> make_thread(CoreId core) noexcept;
// The part of a core's memory that belongs to the processor, made with its thread.
std::span<std::byte> processor_area(CoreId core) noexcept;
// The core's own stack, above a page that faults.
Result<std::span<std::byte>> make_core_stack(std::size_t size) noexcept;
// Makes this the thread of the calling core.
void use_thread(std::uintptr_t thread_pointer) noexcept;

}  // namespace lichen::hal::detail
