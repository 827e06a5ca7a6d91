#include "lichen/hal/bare/devices.hpp"
#include "lichen/hal/bare/page_table.hpp"
#include "lichen/hal/bare/platform.hpp"
#include "lichen/hal/hal.hpp"
#include "lichen/hal/riscv64/interrupt_controllers.hpp"

namespace lichen::hal::detail::plic {

namespace {

constexpr std::size_t priorities = 0;  // a word for each line
constexpr std::size_t enables = 0x2000;
constexpr std::size_t enables_size = 0x80;  // of a context: a bit for each line
constexpr std::size_t threshold_register = 0;
constexpr std::size_t claim_register = 4;  // read: claim; written: complete

constinit std::byte* registers = nullptr;
constinit std::byte* context_registers = nullptr;

std::uint32_t context_of(CoreId core) noexcept { return board().harts.all()[core].context; }

std::byte* own_register(CoreId core, std::size_t which) noexcept {
  return context_registers + BoardPlic::context_size * context_of(core) + which;
}

std::byte* priority_of(std::uint32_t line) noexcept {
  return registers + priorities + 4 * std::size_t{line};
}

void write_enable(std::uint32_t line, CoreId core, bool on) noexcept {
  if (context_of(core) == BoardHart::no_context) return;
  std::byte* const word = registers + enables + enables_size * context_of(core) + line / 32 * 4;
  const std::uint32_t bit = 1U << line % 32;
  const auto before = read_register<std::uint32_t>(word);
  write_register<std::uint32_t>(word, on ? before | bit : before & ~bit);
}

}  // namespace

Result<void> start() noexcept {
  const std::size_t contexts = context_count();
  const Physical begin = board().plic.registers.begin;
  context_registers =
      TRY(map_device(begin + BoardPlic::first_context, contexts * BoardPlic::context_size));
  registers = TRY(map_device(begin, enables + contexts * enables_size));
  for (std::uint32_t line = 1; line <= board().plic.lines; ++line)
    write_register<std::uint32_t>(priority_of(line), 0);
  return {};
}

void enable_hart(CoreId core) noexcept {
  for (std::uint32_t line = 0; line <= board().plic.lines; line += 32)
    write_register<std::uint32_t>(registers + enables + enables_size * context_of(core) + line / 8,
                                  0);
  write_register<std::uint32_t>(own_register(core, threshold_register), 0);
}

std::uint32_t claim() noexcept {
  return read_register<std::uint32_t>(own_register(local().core, claim_register));
}

void complete(std::uint32_t line) noexcept {
  write_register<std::uint32_t>(own_register(local().core, claim_register), line);
}

void open(std::uint32_t line, CoreId core) noexcept {
  constexpr std::uint32_t lowest_priority = 1;
  write_register<std::uint32_t>(priority_of(line), lowest_priority);
  write_enable(line, core, true);
}

// Nobody is between claim and completion, which a line that is not enabled would ignore: detaching
// happens with interrupts off on the core that takes it.
void close(std::uint32_t line) noexcept {
  for (CoreId core = 0; core < started_processors(); ++core) write_enable(line, core, false);
  write_register<std::uint32_t>(priority_of(line), 0);
}

}  // namespace lichen::hal::detail::plic
