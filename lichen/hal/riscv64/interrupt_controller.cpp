// The platform-level interrupt controller (RISC-V PLIC specification 1.0.0): lines of devices. A
// hart's supervisor mode is one of its contexts.
#include <algorithm>
#include <array>
#include <atomic>
#include <limits>

#include "lichen/hal/bare/devices.hpp"
#include "lichen/hal/bare/page_table.hpp"
#include "lichen/hal/bare/platform.hpp"
#include "lichen/hal/hal.hpp"
#include "lichen/hal/riscv64/machine.hpp"

namespace lichen::hal::detail {

namespace {

constexpr std::size_t priorities = 0;  // a word for each line
constexpr std::size_t enables = 0x2000;
constexpr std::size_t enables_size = 0x80;  // of a context: a bit for each line
constexpr std::size_t threshold_register = 0;
constexpr std::size_t claim_register = 4;  // read: claim; written: complete

constinit std::byte* registers = nullptr;  // null: there is none
constinit std::byte* context_registers = nullptr;

// What a line that is open calls.
constexpr std::uint16_t no_source = std::numeric_limits<std::uint16_t>::max();
static_assert(interrupt_sources <= no_source);
struct Line {
  std::atomic<std::uint16_t> source{no_source};
};
constinit std::array<Line, BoardPlic::most_lines + 1> lines{};

std::uint32_t context_of(CoreId core) noexcept { return board().harts.all()[core].context; }

std::byte* own_register(CoreId core, std::size_t which) noexcept {
  return context_registers + BoardPlic::context_size * context_of(core) + which;
}

void write_enable(std::uint32_t line, CoreId core, bool on) noexcept {
  if (context_of(core) == BoardHart::no_context) return;
  std::byte* const word = registers + enables + enables_size * context_of(core) + line / 32 * 4;
  const std::uint32_t bit = 1U << line % 32;
  const auto before = read_register<std::uint32_t>(word);
  write_register<std::uint32_t>(word, on ? before | bit : before & ~bit);
}

}  // namespace

Result<void> start_interrupt_controller() noexcept {
  const BoardPlic& plic = board().plic;
  std::size_t contexts = 0;
  for (const BoardHart& hart : board().harts.all())
    if (hart.context != BoardHart::no_context)
      contexts = std::max<std::size_t>(contexts, hart.context + 1);
  if (contexts == 0) return {};
  const Physical begin = plic.registers.begin;
  context_registers =
      TRY(map_device(begin + BoardPlic::first_context, contexts * BoardPlic::context_size));
  registers = TRY(map_device(begin, enables + contexts * enables_size));
  for (std::uint32_t line = 1; line <= plic.lines; ++line)
    write_register<std::uint32_t>(registers + priorities + 4 * std::size_t{line}, 0);
  enable_external_interrupts(0);
  return {};
}

void enable_external_interrupts(CoreId core) noexcept {
  if (!registers || context_of(core) == BoardHart::no_context) return;
  for (std::uint32_t line = 0; line <= board().plic.lines; line += 32)
    write_register<std::uint32_t>(registers + enables + enables_size * context_of(core) + line / 8,
                                  0);
  write_register<std::uint32_t>(own_register(core, threshold_register), 0);
  constexpr std::uint64_t external_bit = 1 << 9;
  asm volatile("csrs sie, %0" : : "r"(external_bit) : "memory");
}

// Others that are pending trap again.
void take_external_interrupt() noexcept {
  std::byte* const claim = own_register(local().core, claim_register);
  const auto line = read_register<std::uint32_t>(claim);
  if (line == 0 || line >= lines.size()) return;  // another core was faster
  const std::uint16_t source = lines[line].source.load(std::memory_order_acquire);
  if (source != no_source) take_device_interrupt(source);
  // Only now: a line that is raised by its level is low again.
  write_register<std::uint32_t>(claim, line);
}

Result<void> open_line(std::uint32_t line, CoreId core, unsigned source) noexcept {
  if (!registers || context_of(core) == BoardHart::no_context) return Error::not_supported;
  if (line == 0 || line > board().plic.lines) return Error::invalid_argument;
  lines[line].source.store(static_cast<std::uint16_t>(source), std::memory_order_release);
  constexpr std::uint32_t lowest_priority = 1;
  write_register<std::uint32_t>(registers + priorities + 4 * std::size_t{line}, lowest_priority);
  write_enable(line, core, true);
  return {};
}

// Nobody is between claim and completion, which a line that is not enabled would ignore: detaching
// happens with interrupts off on the core that takes it.
void close_line(std::uint32_t line) noexcept {
  for (CoreId core = 0; core < started_processors(); ++core) write_enable(line, core, false);
  write_register<std::uint32_t>(registers + priorities + 4 * std::size_t{line}, 0);
  lines[line].source.store(no_source, std::memory_order_release);
}

Result<Message> message_for(CoreId, unsigned) noexcept { return Error::not_supported; }

}  // namespace lichen::hal::detail
