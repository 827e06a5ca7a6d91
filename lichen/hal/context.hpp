// Contexts: a stack and what a function call keeps in registers. The same in every world.
#pragma once

#include <cstddef>
#include <span>

namespace lichen::hal {

// MUST NOT return.
using ContextEntry = void (*)(void* argument) noexcept;

// A flow of control that is not running. A default-made one receives the running flow on the first
// switch away from it. One that has a stack of its own MUST NOT be destroyed while it runs.
class Context {
 public:
  Context() noexcept;
  Context(const Context&) = delete;
  Context& operator=(const Context&) = delete;
  ~Context();

  // Starts entry(argument) on `stack` at the first switch. The stack MUST outlive the context and
  // hold at least 512 bytes. Makes anew what was there: its old flow is discarded.
  void make(std::span<std::byte> stack, ContextEntry entry, void* argument) noexcept;

  friend void switch_to(Context& from, Context& to) noexcept;

 private:
  static void start(void* self) noexcept;
  void finish_switch() noexcept;

  void* stack_pointer_ = nullptr;
  std::span<std::byte> stack_{};
  ContextEntry entry_ = nullptr;
  void* argument_ = nullptr;
  [[maybe_unused]] Context* came_from_ = nullptr;
  [[maybe_unused]] void* fiber_ = nullptr;       // ThreadSanitizer's
  [[maybe_unused]] void* fake_stack_ = nullptr;  // AddressSanitizer's
};

// Saves the running flow in `from` and goes on with `to`.
void switch_to(Context& from, Context& to) noexcept;

}  // namespace lichen::hal
