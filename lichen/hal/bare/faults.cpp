// How a machine ends that cannot go on: it says where, and who was at it.
#include <algorithm>
#include <array>
#include <atomic>
#include <string_view>
#include <utility>

#include "lichen/base/bits.hpp"
#include "lichen/base/format.hpp"
#include "lichen/hal/bare/page_table.hpp"
#include "lichen/hal/bare/platform.hpp"
#include "lichen/hal/hal.hpp"

// Where the image begins, and where its code ends, from the linker.
extern "C" const char __executable_start[];
extern "C" const char lichen_text_end[];

// Runs seldom, and is made small.
#pragma clang attribute push(__attribute__((minsize)), apply_to = function)

namespace lichen::hal {

namespace {

constinit std::atomic<FaultHandler> fault_handler{nullptr};

constexpr std::size_t most_calls = 24;
constexpr std::size_t most_words = 512;

bool is_code(std::uintptr_t at) noexcept {
  return at > reinterpret_cast<std::uintptr_t>(__executable_start) &&
         at < reinterpret_cast<std::uintptr_t>(lichen_text_end);
}

void print_call(std::uintptr_t return_address) noexcept {
  std::array<char, 64> room;
  const std::uintptr_t from = return_address - reinterpret_cast<std::uintptr_t>(__executable_start);
  write_console(base::format_to(room, "  called from image+{:#x}\n", from).text);
}

// The calls that led there, innermost first, as far as the frames can be followed.
void print_calls(std::uintptr_t frame_pointer) noexcept {
  std::array<char, 64> room;
  std::uintptr_t last = 0;
  std::size_t again = 0;  // of a function that calls itself
  for (std::size_t lines = 0; lines < most_calls;) {
    const std::uintptr_t at = detail::call_record_at(frame_pointer);
    if (at % alignof(detail::CallRecord) != 0 || !detail::is_readable(at) ||
        !detail::is_readable(at + sizeof(detail::CallRecord) - 1))
      break;
    const auto record = *reinterpret_cast<const detail::CallRecord*>(at);
    if (!is_code(record.return_address)) break;
    if (record.return_address == last) {
      ++again;
    } else {
      if (again != 0) write_console(base::format_to(room, "  ... {} times more\n", again).text);
      again = 0;
      last = record.return_address;
      ++lines;
      print_call(last);
    }
    if (record.outer_frame <= frame_pointer) break;
    frame_pointer = record.outer_frame;
  }
  if (again != 0) write_console(base::format_to(room, "  ... {} times more\n", again).text);
}

// What lies on a stack from there on, as far as it can be read.
std::span<const std::uintptr_t> words_from(std::uintptr_t stack_pointer) noexcept {
  const std::uintptr_t begin = base::align_up(stack_pointer, sizeof(std::uintptr_t));
  const std::uintptr_t end = begin + most_words * sizeof(std::uintptr_t);
  std::uintptr_t readable = begin;
  while (readable < end && detail::is_readable(readable))
    readable = std::min(end, base::align_down(readable, page_size) + page_size);
  return {reinterpret_cast<const std::uintptr_t*>(begin),
          reinterpret_cast<const std::uintptr_t*>(readable)};
}

// Whether nobody has begun to report on this core.
bool begin_report() noexcept {
  detail::Local& mine = detail::local();
  mine.off_depth = mine.off_depth + 1;
  return !std::exchange(mine.faulted, true);
}

}  // namespace

Result<void> register_fault_handler(FaultHandler handler) noexcept {
  fault_handler.store(handler);
  return {};
}

void detail::take_fault(const char* what, bool at_memory, std::uintptr_t address,
                        const TrapFrame& frame) noexcept {
  if (!begin_report()) {
    write_console("lichen: a fault while one is reported\n");
    exit_machine(panic_status);
  }
  const Local& mine = local();
  std::array<char, 160> room;
  const std::uintptr_t at = instruction_of(frame);
  write_console(base::format_to(room, "lichen: core {}: {} at {:#x}", mine.core, what, at).text);
  if (at_memory) write_console(base::format_to(room, ", address {:#x}", address).text);
  write_console("\n");
  print_registers(frame);
  const auto stack = reinterpret_cast<std::uintptr_t>(mine.stack.data());
  const bool below_stack =
      at_memory && !mine.stack.empty() && address < stack && address >= stack - page_size;
  // Who jumps to where there is no code has left no frame there.
  if (const std::uintptr_t caller = return_address_of(frame); !is_code(at) && is_code(caller))
    print_call(caller);
  print_calls(frame_pointer_of(frame));
  if (FaultHandler handler = fault_handler.load())
    handler({.core = mine.core,
             .what = what,
             .address = at_memory ? address : 0,
             .at = is_code(at) ? at : 0,
             .overrun = below_stack ? mine.stack.size() : 0,
             .registers = registers_of(frame),
             .stack = words_from(stack_pointer_of(const_cast<TrapFrame&>(frame))),
             .can_read = &is_readable});
  else if (below_stack)
    write_console("lichen: the stack of the core is used up\n");
  exit_machine(panic_status);
}

void panic(std::string_view message) noexcept {
  detail::mask_interrupts();
  write_console("lichen: panic: ");
  write_console(message);
  write_console("\n");
  __builtin_unwind_init();  // what callers keep in registers lies on the stack from here on
  const auto frame = reinterpret_cast<std::uintptr_t>(__builtin_frame_address(0));
  if (detail::page_table_root() == 0 || !begin_report()) exit_machine(panic_status);
  print_calls(frame);
  volatile char here = 0;
  if (FaultHandler handler = fault_handler.load())
    handler({.core = detail::local().core,
             .at = reinterpret_cast<std::uintptr_t>(__builtin_return_address(0)),
             .stack = words_from(reinterpret_cast<std::uintptr_t>(&here)),
             .can_read = &detail::is_readable});
  exit_machine(panic_status);
}

}  // namespace lichen::hal

#pragma clang attribute pop
