// The processor's interrupt controller (Intel SDM volume 3, chapter 10), as x2APIC where there is
// one, and its timer.
#include <algorithm>
#include <atomic>

#include "lichen/hal/bare/page_table.hpp"
#include "lichen/hal/bare/platform.hpp"
#include "lichen/hal/hal.hpp"
#include "lichen/hal/x86_64/instructions.hpp"
#include "lichen/hal/x86_64/machine.hpp"

namespace lichen::hal::detail {

namespace {

constexpr std::uint32_t apic_base_msr = 0x1b;
constexpr std::uint64_t apic_enable = 1 << 11;
constexpr std::uint64_t apic_x2 = 1 << 10;
constexpr std::uint32_t x2apic_registers = 0x800;
constexpr std::uint32_t tsc_deadline_msr = 0x6e0;

enum Register : std::uint32_t {
  end_of_interrupt_register = 0x0b0,
  spurious_vector = 0x0f0,
  command_low = 0x300,
  command_high = 0x310,
  timer_vector = 0x320,
  timer_initial = 0x380,
  timer_current = 0x390,
  timer_divide = 0x3e0,
};
constexpr std::uint32_t software_enable = 1 << 8;
constexpr std::uint32_t masked = 1 << 16;
constexpr std::uint32_t mode_tsc_deadline = 2 << 17;
constexpr std::uint32_t divide_by_one = 0xb;
constexpr std::uint32_t delivery_pending = 1 << 12;

// The two controllers of the first PC, which must be silent.
constexpr std::uint16_t old_controllers[] = {0x21, 0xa1};

constinit volatile std::byte* registers = nullptr;  // null: x2APIC
constinit bool has_tsc_deadline = false;
// Counts of the timer in 2^32 ns.
constinit std::uint64_t counts_in_4s = 0;

constinit std::atomic<unsigned> not_flushed{0};
constinit std::atomic<bool> flush_under_way{false};

void write(std::uint32_t which, std::uint32_t value) noexcept {
  if (registers)
    *reinterpret_cast<volatile std::uint32_t*>(registers + which) = value;
  else
    write_msr(x2apic_registers + (which >> 4), value);
}

std::uint32_t read(std::uint32_t which) noexcept {
  if (registers) return *reinterpret_cast<volatile std::uint32_t*>(registers + which);
  return static_cast<std::uint32_t>(read_msr(x2apic_registers + (which >> 4)));
}

void send_vector(CoreId core, std::uint32_t vector) noexcept {
  constexpr std::uint32_t assert_level = 1 << 14;
  // What the other core is to find is written before it is told.
  std::atomic_thread_fence(std::memory_order_seq_cst);
  send_command(processor_numbers()[core], assert_level | vector);
}

}  // namespace

Result<void> start_interrupt_controller() noexcept {
  for (const std::uint16_t port : old_controllers) out8(port, 0xff);
  const Cpuid features = cpuid(1);
  constexpr std::uint32_t x2apic = 1U << 21;
  constexpr std::uint32_t tsc_deadline = 1U << 24;
  has_tsc_deadline = (features.c & tsc_deadline) != 0;
  if ((features.c & x2apic) == 0) {
    const Physical at = read_msr(apic_base_msr) & 0x000f'ffff'ffff'f000;
    registers = TRY(map_device(at, page_size));
  }
  enable_interrupt_controller();
  return {};
}

void enable_interrupt_controller() noexcept {
  write_msr(apic_base_msr, read_msr(apic_base_msr) | apic_enable | (registers ? 0 : apic_x2));
  write(spurious_vector, software_enable | vector_spurious);
  write(timer_divide, divide_by_one);
  write(timer_vector, vector_timer | (has_tsc_deadline ? mode_tsc_deadline : 0));
}

void acknowledge_interrupt() noexcept { write(end_of_interrupt_register, 0); }

void send_command(std::uint32_t processor, std::uint32_t command) noexcept {
  if (!registers) {
    write_msr(x2apic_registers + (command_low >> 4), std::uint64_t{processor} << 32 | command);
    return;
  }
  // Two writes, between which no handler may send.
  std::uint64_t flags;
  asm volatile("pushfq\n\tpopq %0\n\tcli" : "=r"(flags) : : "memory");
  while ((read(command_low) & delivery_pending) != 0) __builtin_ia32_pause();
  write(command_high, processor << 24);
  write(command_low, command);
  asm volatile("pushq %0\n\tpopfq" : : "r"(flags) : "memory", "cc");
}

void send_signal(CoreId core, Signal signal) noexcept {
  send_vector(core, signal == Signal::preempt ? vector_preempt : vector_wake);
}

void flush_everywhere() noexcept {
  flush_translations();
  const unsigned count = started_processors();
  if (count == 1) return;
  while (flush_under_way.exchange(true, std::memory_order_acquire)) pause();
  const CoreId self = this_core();
  not_flushed.store(count - 1);
  for (CoreId core = 0; core < count; ++core)
    if (core != self) send_vector(core, vector_flush);
  while (not_flushed.load() != 0) pause();
  flush_under_way.store(false, std::memory_order_release);
}

void answer_flush() noexcept {
  flush_translations();
  not_flushed.fetch_sub(1);
}

bool timer_follows_clock() noexcept { return has_tsc_deadline; }

void begin_timer_calibration() noexcept {
  write(timer_vector, masked | vector_timer);
  write(timer_initial, UINT32_MAX);
}

std::uint32_t read_timer_counts() noexcept { return UINT32_MAX - read(timer_current); }

void calibrate_timer(std::uint32_t counts, std::uint64_t ns) noexcept {
  counts_in_4s = (std::uint64_t{counts} << 32) / ns;
  write(timer_initial, 0);
  write(timer_vector, vector_timer | (has_tsc_deadline ? mode_tsc_deadline : 0));
}

void set_timer(std::uint64_t deadline_ns) noexcept {
  if (has_tsc_deadline) {
    // Zero would disarm.
    const std::uint64_t at =
        deadline_ns == no_deadline ? 0 : std::max<std::uint64_t>(clock_ticks(deadline_ns), 1);
    return write_msr(tsc_deadline_msr, at);
  }
  if (deadline_ns == no_deadline) return write(timer_initial, 0);
  const std::uint64_t now = now_ns();
  constexpr std::uint64_t longest = 1'000'000'000;
  const std::uint64_t ns = std::min(deadline_ns > now ? deadline_ns - now : 0, longest);
  const std::uint64_t counts = (ns * counts_in_4s >> 32) + 1;
  write(timer_initial, static_cast<std::uint32_t>(std::min<std::uint64_t>(counts, UINT32_MAX)));
}

}  // namespace lichen::hal::detail
