#include "lichen/hal/bare/devices.hpp"
#include "lichen/hal/bare/page_table.hpp"
#include "lichen/hal/bare/platform.hpp"
#include "lichen/hal/hal.hpp"
#include "lichen/hal/riscv64/interrupt_controllers.hpp"

namespace lichen::hal::detail::aplic {

namespace {

// AIA 1.0, 4.5.
enum Register : std::size_t {
  domain = 0x0000,
  first_source = 0x0004,   // a word for each line, from 1 on
  raised_inputs = 0x1D00,  // a bit for each line, when it is read
  set_enable_number = 0x1EDC,
  clear_enables = 0x1F00,  // a bit for each line
  clear_enable_number = 0x1FDC,
  first_target = 0x3004,  // a word for each line, from 1 on
};
enum : std::uint32_t { domain_enabled = 1 << 8, domain_by_messages = 1 << 2 };
enum Source : std::uint32_t {
  inactive = 0,
  on_rising_edge = 4,
  on_falling_edge = 5,
  on_high_level = 6,
  on_low_level = 7,
};
constexpr unsigned target_hart_shift = 18;

// 4.8.1: of each hart, where lines are not turned to messages.
enum HartRegister : std::size_t { delivery = 0x00, threshold = 0x08, claim_register = 0x1C };

constinit std::byte* registers = nullptr;

std::byte* of_line(std::size_t first, std::uint32_t line) noexcept {
  return registers + first + 4 * std::size_t{line - 1};
}

std::uint32_t number_of(CoreId core) noexcept { return board().harts.all()[core].context; }

std::byte* own_register(CoreId core, std::size_t which) noexcept {
  return registers + BoardAplic::first_hart + BoardAplic::hart_size * number_of(core) + which;
}

std::uint32_t source_of(std::uint32_t line) noexcept {
  using enum BoardAplic::Trigger;
  switch (board().aplic.trigger[line]) {
    case rising_edge: return on_rising_edge;
    case falling_edge: return on_falling_edge;
    case low_level: return on_low_level;
    default: return on_high_level;
  }
}

}  // namespace

Result<void> start() noexcept {
  const BoardAplic& controller = board().aplic;
  const std::size_t harts = controller.by_messages ? 0 : context_count();
  registers = TRY(map_device(controller.registers.begin,
                             BoardAplic::first_hart + harts * BoardAplic::hart_size));
  write_register<std::uint32_t>(registers + domain, 0);
  for (std::uint32_t line = 0; line <= controller.lines; line += 32)
    write_register<std::uint32_t>(registers + clear_enables + line / 8, UINT32_MAX);
  for (std::uint32_t line = 1; line <= controller.lines; ++line)
    write_register<std::uint32_t>(of_line(first_source, line), inactive);
  write_register<std::uint32_t>(
      registers + domain, domain_enabled | (controller.by_messages ? domain_by_messages : 0U));
  return {};
}

void enable_hart(CoreId core) noexcept {
  if (board().aplic.by_messages) return;
  write_register<std::uint32_t>(own_register(core, threshold), 0);
  write_register<std::uint32_t>(own_register(core, delivery), 1);
}

std::uint32_t claim() noexcept {
  constexpr unsigned line_shift = 16;
  return read_register<std::uint32_t>(own_register(local().core, claim_register)) >> line_shift;
}

// A source that is inactive has no target.
void open(std::uint32_t line, CoreId core, std::uint32_t identity) noexcept {
  constexpr std::uint32_t highest_priority = 1;
  write_register<std::uint32_t>(of_line(first_source, line), source_of(line));
  write_register<std::uint32_t>(of_line(first_target, line),
                                number_of(core) << target_hart_shift |
                                    (board().aplic.by_messages ? identity : highest_priority));
  write_register<std::uint32_t>(registers + set_enable_number, line);
}

void close(std::uint32_t line) noexcept {
  write_register<std::uint32_t>(registers + clear_enable_number, line);
  write_register<std::uint32_t>(of_line(first_source, line), inactive);
}

bool is_raised(std::uint32_t line) noexcept {
  const auto word = read_register<std::uint32_t>(registers + raised_inputs + line / 32 * 4);
  return (word >> line % 32 & 1) != 0;
}

}  // namespace lichen::hal::detail::aplic
