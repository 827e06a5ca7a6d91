// The clock: the time stamp counter. Its rate is told by the processor or a hypervisor, or is
// measured against another timer: the interval timer of the first PC, the HPET, or that of ACPI.
#include <optional>

#include "lichen/hal/bare/devices.hpp"
#include "lichen/hal/bare/page_table.hpp"
#include "lichen/hal/bare/platform.hpp"
#include "lichen/hal/hal.hpp"
#include "lichen/hal/x86_64/acpi.hpp"
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

// What the counter is compared with: something that counts up with a rate that is known.
struct Reference {
  std::uint64_t hertz = 0;
  std::uint32_t mask = 0;  // of what it counts
};
// Yields its count; `taken`: the time stamp just after that was taken.
using Read = std::uint32_t(std::uint64_t& taken) noexcept;

// Intel 8254: channel 2 counts down with 1,193,182 Hz while its gate is open.
constexpr std::uint16_t interval_data = 0x42;
constexpr std::uint16_t interval_command = 0x43;
constexpr std::uint16_t interval_gate = 0x61;

[[gnu::always_inline]] inline std::uint32_t read_interval(std::uint64_t& taken) noexcept {
  out8(interval_command, 0x80);  // latch channel 2
  taken = read_tsc();
  const std::uint8_t low = in8(interval_data);
  return ~static_cast<std::uint32_t>(in8(interval_data) << 8 | low);
}

Reference start_interval() noexcept {
  out8(interval_gate, static_cast<std::uint8_t>((in8(interval_gate) & 0xfc) | 1));
  out8(interval_command, 0xb4);  // channel 2, both bytes, rate generator
  out8(interval_data, 0xff);
  out8(interval_data, 0xff);
  return {.hertz = 1'193'182, .mask = 0xffff};
}

// High Precision Event Timers 1.0a, 2.3: the period in 10^-15 s, a switch, the counter.
constinit const std::byte* event_timer = nullptr;

[[gnu::always_inline]] inline std::uint32_t read_event_timer(std::uint64_t& taken) noexcept {
  constexpr std::size_t counter = 0xf0;
  const auto count = read_register<std::uint32_t>(event_timer + counter);
  taken = read_tsc();
  return count;
}

Reference start_event_timer() noexcept {
  const auto address = field<std::uint64_t>(find_table("HPET"), 44);
  if (address == 0) return {};
  const auto mapped = map_device(address, page_size);
  if (!mapped) return {};
  event_timer = *mapped;
  constexpr std::size_t period = 4;
  constexpr std::size_t configuration = 0x10;
  constexpr std::uint32_t longest_period = 100'000'000;
  const auto femtoseconds = read_register<std::uint32_t>(*mapped + period);
  if (femtoseconds == 0 || femtoseconds > longest_period) return {};
  write_register<std::uint32_t>(*mapped + configuration,
                                read_register<std::uint32_t>(*mapped + configuration) | 1);
  return {.hertz = 1'000'000 * second / femtoseconds, .mask = UINT32_MAX};
}

// The power management timer (ACPI 6.4, 4.8.3.3), of which 24 bits are always there.
constinit std::uint16_t power_timer = 0;

[[gnu::always_inline]] inline std::uint32_t read_power_timer(std::uint64_t& taken) noexcept {
  const std::uint32_t count = in32(power_timer);
  taken = read_tsc();
  return count;
}

Reference find_power_timer() noexcept {
  const Bytes fixed = find_table("FACP");
  power_timer = static_cast<std::uint16_t>(field<std::uint32_t>(fixed, 76));
  constexpr std::uint8_t bytes = 4;
  if (power_timer == 0 || field<std::uint8_t>(fixed, 91) != bytes) return {};
  return {.hertz = 3'579'545, .mask = 0xff'ffff};
}

// A moment at which the reference has counted on, as nearly as it can be told, and what the
// controller's timer says a moment later.
struct Edge {
  std::uint64_t tsc = 0;
  std::uint64_t unsure = UINT64_MAX;  // ticks in which it lies
  std::uint32_t count = 0;
  std::uint32_t timer = 0;
  std::uint64_t timer_tsc = 0;
};

// From here on: what runs once, so it is made small.
#pragma clang attribute push(__attribute__((minsize)), apply_to = function)

// Nothing: it does not count, so it is not there.
template <Read read_count>
std::optional<Edge> find_edge(const Reference& reference) noexcept {
  constexpr int patience = 2'000;  // hundreds of counts of the slowest
  std::uint64_t before = read_tsc();
  std::uint64_t after = 0;
  const std::uint32_t first = read_count(after);
  for (int i = 0; i < patience; ++i) {
    const std::uint64_t now = read_tsc();
    const std::uint32_t count = read_count(after);
    if (((count ^ first) & reference.mask) == 0) {
      before = now;
      continue;
    }
    Edge edge{.tsc = before + (after - before) / 2, .unsure = after - before, .count = count};
    const std::uint64_t read = read_tsc();
    edge.timer = read_timer_counts();
    edge.timer_tsc = read + (read_tsc() - read) / 2;
    return edge;
  }
  return std::nullopt;
}

void set_timer_rate(const Edge& first, const Edge& last) noexcept {
  using Wide = unsigned __int128;
  const std::uint64_t ticks = last.timer_tsc - first.timer_tsc;
  calibrate_timer(last.timer - first.timer,
                  static_cast<std::uint64_t>(Wide{ticks} * ns_in_ticks >> shift));
}

// Goes on until the rate is known to one part in 2,000, which takes as long as it takes to ask the
// timers; at most 5 ms. False: there is no such thing.
template <Read read_count>
bool measure(const Reference& reference) noexcept {
  if (reference.hertz == 0) return false;
  constexpr std::uint64_t exact = 2'000;
  begin_timer_calibration();
  std::optional<Edge> first = find_edge<read_count>(reference);
  if (!first) return false;
  for (int i = 0; i < 4; ++i)
    if (const auto other = find_edge<read_count>(reference); other && other->unsure < first->unsure)
      first = other;
  std::optional<Edge> last;
  std::uint32_t passed = 0;
  do {
    last = find_edge<read_count>(reference);
    if (!last) return false;
    passed = (last->count - first->count) & reference.mask;
  } while ((first->unsure + last->unsure) * exact > last->tsc - first->tsc &&
           passed < reference.hertz / 200);
  if (ns_in_ticks == 0) set_rate((last->tsc - first->tsc) * reference.hertz / passed);
  set_timer_rate(*first, *last);
  return true;
}

// Where the counter's rate is known it is the reference of the controller's timer.
void measure_timer() noexcept {
  constexpr std::uint64_t long_enough = 200'000;
  const auto look = [] {
    const std::uint64_t before = read_tsc();
    const std::uint32_t timer = read_timer_counts();
    return Edge{.timer = timer, .timer_tsc = before + (read_tsc() - before) / 2};
  };
  begin_timer_calibration();
  const Edge first = look();
  spin_for(long_enough);
  set_timer_rate(first, look());
}

}  // namespace

Result<void> start_clock() noexcept {
  began = lichen_entered;
  if (const std::uint64_t hertz = told_rate()) set_rate(hertz);
  if (ns_in_ticks != 0) {
    if (!timer_follows_clock()) measure_timer();
    return {};
  }
  if (measure<read_interval>(start_interval())) return {};
  if (measure<read_event_timer>(start_event_timer())) return {};
  if (measure<read_power_timer>(find_power_timer())) return {};
  return Error::not_supported;
}

#pragma clang attribute pop

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
