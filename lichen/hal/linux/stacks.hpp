// Stacks for contexts.
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <span>
#include <string_view>

#include "lichen/base/result.hpp"

namespace lichen::hal {

// Of a core's own stack: what says how large it is. Lines of at most 80 characters.
inline constexpr std::string_view core_stack_advice =
    "This is the stack of the core's thread: the host's\n"
    "  limit (ulimit -s) says how large it is.\n";

// Stacks, each above a page that faults. Thread-safe.
class StackPool {
 public:
  // `size` is rounded up to whole pages. Errors: invalid_argument, no_memory.
  static Result<std::unique_ptr<StackPool>> create(std::size_t count, std::size_t size) noexcept;
  StackPool(const StackPool&) = delete;
  StackPool& operator=(const StackPool&) = delete;
  // All stacks MUST have come back.
  ~StackPool();

  // Errors: limit_reached.
  Result<std::span<std::byte>> take() noexcept;
  void give_back(std::span<std::byte> stack) noexcept;
  [[nodiscard]] std::size_t taken() const noexcept;
  [[nodiscard]] std::size_t left() const noexcept;
  // Whether the address lies in the page below one of the stacks. Takes no lock.
  [[nodiscard]] bool in_guard(std::uintptr_t address) const noexcept;

 private:
  struct State;
  explicit StackPool(std::unique_ptr<State> state) noexcept;
  std::unique_ptr<State> state_;
};

}  // namespace lichen::hal
