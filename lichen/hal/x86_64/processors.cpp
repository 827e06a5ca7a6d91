// The processors of a PC: found in the firmware's tables, started by INIT and SIPI (Intel SDM
// volume 3, 8.4.4).
#include <algorithm>
#include <array>
#include <atomic>
#include <cstring>

#include "lichen/hal/bare/boot.hpp"
#include "lichen/hal/bare/page_entry.hpp"
#include "lichen/hal/bare/platform.hpp"
#include "lichen/hal/hal.hpp"
#include "lichen/hal/x86_64/acpi.hpp"
#include "lichen/hal/x86_64/instructions.hpp"
#include "lichen/hal/x86_64/machine.hpp"

extern "C" {
extern const char lichen_trampoline[];
extern const char lichen_trampoline_end[];
// Where the processor that starts next goes on.
[[gnu::used]] constinit std::uint64_t lichen_next_root = 0;
[[gnu::used]] constinit std::uint64_t lichen_next_thread = 0;
[[gnu::used]] constinit std::uint64_t lichen_next_stack = 0;
[[gnu::used]] constinit std::uint32_t lichen_next_core = 0;
}

// Runs once, and is made small.
#pragma clang attribute push(__attribute__((minsize)), apply_to = function)

namespace lichen::hal::detail {

namespace {

constinit std::array<std::uint32_t, max_cores> numbers{};
constinit std::size_t number_count = 0;
constinit std::atomic<unsigned> arrived{0};

constexpr Physical trampoline_at = 0x8000;

std::uint32_t own_number() noexcept {
  const Cpuid wide = cpuid(0x0b);
  return wide.b != 0 ? wide.d : cpuid(1).b >> 24;
}

void add_processor(std::uint32_t number, std::uint32_t flags) noexcept {
  enum : std::uint32_t { enabled = 1 };
  if ((flags & enabled) == 0 || number == numbers[0] || number_count == numbers.size()) return;
  numbers[number_count++] = number;
}

}  // namespace

std::span<const std::uint32_t> processor_numbers() noexcept {
  return std::span{numbers}.first(number_count);
}

unsigned processor_count() noexcept { return static_cast<unsigned>(number_count); }

// MADT, section 5.2.12: entries of type 0 (processor) and 9 (processor with a wide number). A
// machine without it has one processor.
Result<void> find_processors() noexcept {
  numbers[0] = own_number();
  number_count = 1;
  const Bytes madt = find_table("APIC");
  each_entry(madt, 44, [](std::uint8_t type, Bytes entry) {
    if (type == 0) add_processor(field<std::uint8_t>(entry, 3), field<std::uint32_t>(entry, 4));
    if (type == 9) add_processor(field<std::uint32_t>(entry, 4), field<std::uint32_t>(entry, 8));
  });
  return {};
}

Result<void> start_processor(CoreId core, std::uintptr_t thread_pointer,
                             std::span<std::byte> stack) noexcept {
  static std::byte* const low = [] {
    auto mapped = map_device(trampoline_at, page_size);
    return mapped ? *mapped : nullptr;
  }();
  if (!low) return Error::no_memory;
  std::memcpy(low, lichen_trampoline,
              static_cast<std::size_t>(lichen_trampoline_end - lichen_trampoline));
  lichen_next_root = read_cr3();
  lichen_next_thread = thread_pointer;
  lichen_next_stack = reinterpret_cast<std::uintptr_t>(stack.data() + stack.size());
  lichen_next_core = core;
  arrived.store(0);

  constexpr std::uint32_t init = 0x4500;
  constexpr std::uint32_t startup = 0x4600 | static_cast<std::uint32_t>(trampoline_at >> 12);
  constexpr std::uint64_t microsecond = 1'000;
  send_command(numbers[core], init);
  spin_for(200 * microsecond);
  for (int attempt = 0; attempt < 2; ++attempt) {
    send_command(numbers[core], startup);
    // The first attempt may take no effect.
    const std::uint64_t patience = attempt == 0 ? 10'000 * microsecond : 1'000'000 * microsecond;
    for (const std::uint64_t until = now_ns() + patience; now_ns() < until; pause())
      if (arrived.load() == core) return {};
  }
  return Error::timed_out;
}

extern "C" [[gnu::used, noreturn]] void lichen_run_processor(CoreId core) noexcept {
  local().core = core;
  enable_vectors();
  load_gates(core);
  enable_interrupt_controller();
  arrived.store(core);
  serve_cores(core);
}

}  // namespace lichen::hal::detail

#pragma clang attribute pop
