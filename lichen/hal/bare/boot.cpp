#include "lichen/hal/bare/boot.hpp"

#include <algorithm>
#include <cstring>

#include "lichen/base/bits.hpp"
#include "lichen/base/format.hpp"
#include "lichen/hal/bare/platform.hpp"
#include "lichen/hal/hal.hpp"
#include "lichen/hal/processor/switch.hpp"

extern "C" {
// From the linker: what every thread has a copy of, and what runs before main().
extern const char lichen_tdata[];
extern const char lichen_tdata_size[];
extern const char lichen_tls_size[];
extern const char lichen_tls_alignment[];
using Constructor = void (*)();
extern const Constructor lichen_constructors[];
extern const Constructor lichen_constructors_end[];
}

int main(int count, char** words);

// Runs once, and is made small.
#pragma clang attribute push(__attribute__((minsize)), apply_to = function)

namespace lichen::hal::detail {

namespace {

constexpr std::size_t core_stack_size = std::size_t{128} * 1024;
constinit std::byte* areas[max_cores]{};

std::size_t number(const char* symbol) noexcept { return reinterpret_cast<std::uintptr_t>(symbol); }

// No program runs with a part of its words.
[[noreturn]] void refuse_command_line() noexcept {
  constexpr int wrong_words = 2;
  std::array<char, 128> room;
  write_console(
      base::format_to(room,
                      "lichen: the command line is too long: {} bytes and {} words are the most\n",
                      longest_command_line, most_program_words)
          .text);
  exit_machine(wrong_words);
}

void run_on_own_stack(void*) noexcept {
  local().off_depth = 0;
  unmask_interrupts();
  for (const Constructor* run = lichen_constructors; run != lichen_constructors_end; ++run)
    (*run)();
  const auto words = program_words();
  if (!words) refuse_command_line();
  exit_machine(main(static_cast<int>(words->size()), words->data()));
}

}  // namespace

void boot(std::span<const BootStep> steps) noexcept {
  for (const BootStep& step : steps) {
    const Result<void> done = step.run();
    if (done) continue;
    std::array<char, 128> room;
    panic(base::format_to(room, "boot: {}: {}", step.name, done.error()).text);
  }
}

void run_program() noexcept {
  auto stack = make_core_stack(core_stack_size);
  if (!stack) panic("boot: there is no memory for the first core's stack");
  local().stack = *stack;
  void* early = nullptr;
  lichen_switch(&early, lay_first_frame(*stack, &run_on_own_stack, nullptr));
  __builtin_unreachable();
}

// A core's memory is one granule: the processor's area first, the thread's variables last.
Result<std::uintptr_t> make_thread(CoreId core) noexcept {
  const auto memory = TRY(allocate_aligned(granule_size, granule_size));
  const std::size_t alignment = std::max<std::size_t>(number(lichen_tls_alignment), 1);
  const std::size_t size = base::align_up(number(lichen_tls_size), alignment);
  // The end of the variables is aligned, too: that is where some processors' thread pointer is.
  const std::size_t room =
      base::align_up(size + thread_control_size, std::max(alignment, cache_line));
  if (room > memory.size() / 2) return Error::no_memory;
  std::memset(memory.data(), 0, memory.size());
  std::byte* variables = memory.data() + memory.size() - room;
  std::memcpy(variables, lichen_tdata, number(lichen_tdata_size));
  areas[core] = memory.data();
  return lay_thread_control(variables, size);
}

std::span<std::byte> processor_area(CoreId core) noexcept {
  return {areas[core], granule_size / 2};
}

}  // namespace lichen::hal::detail

#pragma clang attribute pop
