// The clock: the time stamp counter. Its rate is told by the processor or a hypervisor, or is
// measured against the interval timer of the first PC.
#include <algorithm>

#include "lichen/hal/bare/platform.hpp"
#include "lichen/hal/hal.hpp"
#include "lichen/hal/x86_64/instructions.hpp"
#include "lichen/hal/x86_64/machine.hpp"

extern "C" const std::uint64_t lichen_entered;  // entry.S read the counter there

namespace lichen::hal::detail {

namespace {

constexpr unsigned shift = 32;
constexpr std::uint64_t second = 1'000'000'000;

constinit std::uint64_t began = 0;
constinit std::uint64_t ns_in_ticks = 0;  // ns of 2^32 ticks
constinit std::uint64_t ticks_in_ns = 0;  // ticks of 2^32 ns

void set_rate(std::uint64_t hertz) noexcept {
  using Wide = unsigned __int128;
  ns_in_ticks = static_cast<std::uint64_t>((Wide{second} << shift) / hertz);
  ticks_in_ns = static_cast<std::uint64_t>((Wide{hertz} << shift) / second);
}

// Intel SDM volume 3, 18.7.3: leaf 0x15 gives crystal clock and ratio. Hypervisors: leaf
// 0x40000010 gives the rate in kHz.
std::uint64_t told_rate() noexcept {
  const Cpuid ratio = cpuid(0x15);
  if (ratio.a != 0 && ratio.b != 0 && ratio.c != 0)
    return std::uint64_t{ratio.c} * ratio.b / ratio.a;
  constexpr std::uint32_t hypervisor = 1U << 31;
  if ((cpuid(1).c & hypervisor) == 0) return 0;
  Cpuid leaf;
  __cpuid(0x4000'0000, leaf.a, leaf.b, leaf.c, leaf.d);
  if (leaf.a < 0x4000'0010) return 0;
  __cpuid(0x4000'0010, leaf.a, leaf.b, leaf.c, leaf.d);
  return std::uint64_t{leaf.a} * 1'000;
}

// Intel 8254: channel 2 counts down with 1,193,182 Hz while its gate is open.
constexpr std::uint64_t interval_hertz = 1'193'182;
constexpr std::uint16_t interval_data = 0x42;
constexpr std::uint16_t interval_command = 0x43;
constexpr std::uint16_t interval_gate = 0x61;

std::uint16_t read_interval() noexcept {
  const std::uint8_t low = in8(interval_data);
  return static_cast<std::uint16_t>(in8(interval_data) << 8 | low);
}

// A moment at which the interval timer has counted on, as nearly as it can be told, and what the
// controller's timer says a moment later.
struct Edge {
  std::uint64_t tsc = 0;
  std::uint64_t unsure = UINT64_MAX;  // ticks in which it lies
  std::uint16_t interval = 0;
  std::uint32_t timer = 0;
  std::uint64_t timer_tsc = 0;
};

Edge find_edge() noexcept {
  Edge edge;
  std::uint64_t before = 0;
  for (bool first = true;; first = false) {
    const std::uint64_t now = read_tsc();
    out8(interval_command, 0x80);  // latch channel 2
    const std::uint64_t after = read_tsc();
    const std::uint16_t interval = read_interval();
    if (!first && interval != edge.interval) {
      edge = {.tsc = before + (after - before) / 2, .unsure = after - before, .interval = interval};
      break;
    }
    edge.interval = interval;
    before = now;
  }
  const std::uint64_t read = read_tsc();
  edge.timer = read_timer_counts();
  edge.timer_tsc = read + (read_tsc() - read) / 2;
  return edge;
}

// Goes on until the rate is known to one part in 2,000, which takes as long as it takes to ask the
// timers; at most 5 ms.
void measure() noexcept {
  constexpr std::uint64_t exact = 2'000;
  constexpr std::uint16_t most_counts = interval_hertz / 200;
  out8(interval_gate, static_cast<std::uint8_t>((in8(interval_gate) & 0xfc) | 1));
  out8(interval_command, 0xb4);  // channel 2, both bytes, rate generator
  out8(interval_data, 0xff);
  out8(interval_data, 0xff);
  Edge first = find_edge();
  for (int i = 0; i < 4; ++i)
    if (const Edge other = find_edge(); other.unsure < first.unsure) first = other;
  Edge last;
  std::uint16_t passed = 0;
  do {
    last = find_edge();
    passed = static_cast<std::uint16_t>(first.interval - last.interval);
  } while ((first.unsure + last.unsure) * exact > last.tsc - first.tsc && passed < most_counts);
  if (ns_in_ticks == 0) set_rate((last.tsc - first.tsc) * interval_hertz / passed);
  using Wide = unsigned __int128;
  const std::uint64_t ticks = last.timer_tsc - first.timer_tsc;
  calibrate_timer(last.timer - first.timer,
                  static_cast<std::uint64_t>(Wide{ticks} * ns_in_ticks >> shift));
}

}  // namespace

Result<void> start_clock() noexcept {
  began = lichen_entered;
  if (const std::uint64_t hertz = told_rate()) set_rate(hertz);
  if (ns_in_ticks != 0 && timer_follows_clock()) return {};
  begin_timer_calibration();
  measure();
  return {};
}

std::uint64_t read_clock_ns() noexcept {
  using Wide = unsigned __int128;
  return static_cast<std::uint64_t>(Wide{read_tsc() - began} * ns_in_ticks >> shift);
}

std::uint64_t clock_ticks(std::uint64_t ns) noexcept {
  using Wide = unsigned __int128;
  return began + static_cast<std::uint64_t>(Wide{ns} * ticks_in_ns >> shift);
}

void spin_for(std::uint64_t ns) noexcept {
  const std::uint64_t until = read_clock_ns() + ns;
  while (read_clock_ns() < until) __builtin_ia32_pause();
}

}  // namespace lichen::hal::detail
