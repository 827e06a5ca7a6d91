// Interrupts of devices, by what the board has for them.
#include <algorithm>
#include <array>
#include <atomic>
#include <limits>

#include "lichen/hal/bare/devices.hpp"
#include "lichen/hal/bare/platform.hpp"
#include "lichen/hal/hal.hpp"
#include "lichen/hal/riscv64/interrupt_controllers.hpp"
#include "lichen/hal/riscv64/machine.hpp"

namespace lichen::hal::detail {

namespace {

// Who raises a hart's external interrupt.
enum class Controller : std::uint8_t { none, plic, aplic, imsic };
constinit Controller controller = Controller::none;

// What a line that is open calls, and which line a source is. 0 is no line's number.
constexpr std::uint16_t no_source = std::numeric_limits<std::uint16_t>::max();
static_assert(interrupt_sources <= no_source);
static_assert(BoardAplic::most_lines == BoardPlic::most_lines);
struct Line {
  std::atomic<std::uint16_t> source{no_source};
};
constinit std::array<Line, BoardPlic::most_lines + 1> lines{};
constinit std::array<std::atomic<std::uint16_t>, interrupt_sources> line_of_source{};

// Messages: one identity for each source, and one for what cores tell each other.
constexpr std::uint32_t identity_of(unsigned source) noexcept { return source + 1; }
constexpr std::uint32_t signal_identity = identity_of(interrupt_sources);

bool has_context(CoreId core) noexcept {
  return board().harts.all()[core].context != BoardHart::no_context;
}

bool takes_external(CoreId core) noexcept {
  switch (controller) {
    case Controller::none: return false;
    case Controller::imsic: return imsic::takes(core, 1);
    default: return has_context(core);
  }
}

std::uint32_t line_count() noexcept {
  switch (controller) {
    case Controller::none: return 0;
    case Controller::plic: return board().plic.lines;
    case Controller::aplic: return board().aplic.lines;
    case Controller::imsic: return board().aplic.by_messages ? board().aplic.lines : 0;
  }
}

void call_line(std::uint32_t line, TrapFrame& frame) noexcept {
  if (line >= lines.size()) return;
  const std::uint16_t source = lines[line].source.load(std::memory_order_acquire);
  if (source != no_source) take_device_interrupt(source, frame);
}

// An APLIC sends a message when its line is raised, and not again as long as it stays so: another
// device may have raised it meanwhile (AIA 1.0, 4.9.2).
void take_message(std::uint32_t identity, TrapFrame& frame) noexcept {
  if (identity == 0 || identity > signal_identity) return;
  if (identity == signal_identity) return take_signals(frame);
  const unsigned source = identity - 1;
  take_device_interrupt(source, frame);
  const std::uint16_t line = line_of_source[source].load(std::memory_order_acquire);
  if (line != 0 && aplic::is_raised(line)) imsic::send(local().core, identity);
}

}  // namespace

std::size_t context_count() noexcept {
  std::size_t count = 0;
  for (const BoardHart& hart : board().harts.all())
    if (hart.context != BoardHart::no_context)
      count = std::max<std::size_t>(count, hart.context + 1);
  return count;
}

Result<void> start_interrupt_controller() noexcept {
  const BoardTree& tree = board();
  if (tree.plic.registers) {
    if (context_count() == 0) return {};
    TRY(plic::start());
    controller = Controller::plic;
  } else if (tree.message_identities != 0) {
    TRY(imsic::start());
    if (tree.aplic.by_messages) TRY(aplic::start());
    controller = Controller::imsic;
  } else if (tree.aplic.registers && context_count() != 0) {
    TRY(aplic::start());
    controller = Controller::aplic;
  }
  enable_external_interrupts(0);
  return {};
}

void enable_external_interrupts(CoreId core) noexcept {
  if (!takes_external(core)) return;
  switch (controller) {
    case Controller::none: return;
    case Controller::plic: plic::enable_hart(core); break;
    case Controller::aplic: aplic::enable_hart(core); break;
    case Controller::imsic: imsic::enable_hart(core); break;
  }
  constexpr std::uint64_t external_bit = 1 << 9;
  asm volatile("csrs sie, %0" : : "r"(external_bit) : "memory");
}

// Others that are pending trap again. 0: another core was faster.
void take_external_interrupt(TrapFrame& frame) noexcept {
  switch (controller) {
    case Controller::none: return;
    case Controller::aplic: return call_line(aplic::claim(), frame);
    case Controller::imsic: return take_message(imsic::claim(), frame);
    case Controller::plic:
      if (const std::uint32_t line = plic::claim()) {
        call_line(line, frame);
        // Only now: a line that is raised by its level is low again.
        plic::complete(line);
      }
  }
}

Result<void> open_line(std::uint32_t line, CoreId core, unsigned source) noexcept {
  const std::uint32_t count = line_count();
  if (count == 0 || !takes_external(core) || !has_context(core)) return Error::not_supported;
  if (line == 0 || line > count) return Error::invalid_argument;
  const std::uint32_t identity = identity_of(source);
  if (controller == Controller::imsic && !imsic::takes(core, identity)) return Error::limit_reached;
  lines[line].source.store(static_cast<std::uint16_t>(source), std::memory_order_release);
  if (controller == Controller::plic) {
    plic::open(line, core);
  } else {
    line_of_source[source].store(static_cast<std::uint16_t>(line), std::memory_order_release);
    aplic::open(line, core, identity);
    // It may have been raised already, which no message tells.
    if (controller == Controller::imsic && aplic::is_raised(line)) imsic::send(core, identity);
  }
  return {};
}

void close_line(std::uint32_t line) noexcept {
  if (controller == Controller::plic)
    plic::close(line);
  else
    aplic::close(line);
  const std::uint16_t source = lines[line].source.exchange(no_source);
  if (source != no_source) line_of_source[source].store(0, std::memory_order_release);
}

Result<Message> message_for(CoreId core, unsigned source) noexcept {
  if (controller != Controller::imsic || !takes_external(core)) return Error::not_supported;
  if (!imsic::takes(core, identity_of(source))) return Error::limit_reached;
  return Message{.address = imsic::address_of(core), .data = identity_of(source)};
}

// By a message where that is possible: the firmware need not be asked.
bool send_by_message(CoreId core) noexcept {
  if (controller != Controller::imsic || !imsic::takes(core, signal_identity)) return false;
  imsic::send(core, signal_identity);
  return true;
}

}  // namespace lichen::hal::detail
