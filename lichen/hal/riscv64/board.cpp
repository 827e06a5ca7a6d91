// Power, clocks, timer and harts, most of it through the firmware.
#include <atomic>

#include "lichen/hal/bare/boot.hpp"
#include "lichen/hal/bare/page_entry.hpp"
#include "lichen/hal/bare/platform.hpp"
#include "lichen/hal/hal.hpp"
#include "lichen/hal/riscv64/machine.hpp"
#include "lichen/hal/riscv64/sbi.hpp"

extern "C" {
extern const char lichen_processor_start[];
extern const std::uint64_t lichen_entered;  // entry.S read the clock there
// Where the hart that starts next goes on; read by entry.S.
struct LichenNext {
  std::uint64_t root, thread, stack, core;
};
[[gnu::used]] constinit LichenNext lichen_next{};
}

namespace lichen::hal::detail {

namespace {

constexpr unsigned shift = 32;
constexpr std::uint64_t second = 1'000'000'000;

constinit std::uint64_t began = 0;
constinit std::uint64_t ns_in_ticks = 0;  // ns of 2^32 ticks
constinit std::uint64_t ticks_in_ns = 0;  // ticks of 2^32 ns

constinit volatile std::uint32_t* test_device = nullptr;
constinit std::byte* calendar = nullptr;
constinit std::atomic<unsigned> arrived{0};

std::uint64_t read_time() noexcept {
  std::uint64_t value;
  asm volatile("rdtime %0" : "=r"(value) : : "memory");
  return value;
}

}  // namespace

Result<void> start_clock() noexcept {
  using Wide = unsigned __int128;
  began = lichen_entered;
  const std::uint64_t hertz = board().clock_hertz;
  ns_in_ticks = static_cast<std::uint64_t>((Wide{second} << shift) / hertz);
  ticks_in_ns = static_cast<std::uint64_t>((Wide{hertz} << shift) / second);
  return {};
}

std::uint64_t read_clock_ns() noexcept {
  using Wide = unsigned __int128;
  return static_cast<std::uint64_t>(Wide{read_time() - began} * ns_in_ticks >> shift);
}

void set_timer(std::uint64_t deadline_ns) noexcept {
  using Wide = unsigned __int128;
  // The tick after the moment: earlier would be too early once more.
  const std::uint64_t at =
      deadline_ns == no_deadline
          ? UINT64_MAX
          : began + 1 + static_cast<std::uint64_t>(Wide{deadline_ns} * ticks_in_ns >> shift);
  constexpr std::uintptr_t set = 0;
  if (board().has_timer_register)
    asm volatile("csrw 0x14d, %0" : : "r"(at) : "memory");  // stimecmp
  else
    sbi_call(sbi_time, set, at);
}

Result<void> find_power() noexcept {
  if (board().test_device == 0) return {};
  std::byte* device = TRY(map_device(board().test_device, page_size));
  test_device = reinterpret_cast<volatile std::uint32_t*>(device);
  return {};
}

void end_machine(int status) noexcept {
  mask_interrupts();
  constexpr std::uint32_t pass = 0x5555;
  constexpr std::uint32_t fail = 0x3333;
  if (test_device)
    *test_device = status == 0 ? pass : static_cast<std::uint32_t>(status) << 16 | fail;
  constexpr std::uintptr_t shutdown = 0;
  constexpr std::uintptr_t no_reason = 0;
  constexpr std::uintptr_t system_failure = 1;
  sbi_call(sbi_reset, 0, shutdown, status == 0 ? no_reason : system_failure);
  for (;;) asm volatile("wfi");
}

// goldfish-rtc (QEMU, docs/system and hw/rtc): nanoseconds; the lower half is read first, and keeps
// the upper one.
Result<void> find_calendar() noexcept {
  const BoardRange& where = board().calendar.registers;
  if (where) calendar = TRY(map_device(where.begin, where.size));
  return {};
}

Result<std::int64_t> read_calendar_ns() noexcept {
  if (!calendar) return Error::not_found;
  const std::uint64_t low = read_register<std::uint32_t>(calendar);
  const std::uint64_t high = read_register<std::uint32_t>(calendar + 4);
  return static_cast<std::int64_t>(high << 32 | low);
}

Result<void> fill_with_entropy(std::span<std::byte>) noexcept { return Error::not_supported; }

unsigned processor_count() noexcept { return static_cast<unsigned>(board().harts.all().size()); }

Result<void> start_processor(CoreId core, std::uintptr_t thread_pointer,
                             std::span<std::byte> stack) noexcept {
  lichen_next = {.root = page_table_root(),
                 .thread = thread_pointer,
                 .stack = reinterpret_cast<std::uintptr_t>(stack.data() + stack.size()),
                 .core = core};
  arrived.store(0);
  constexpr std::uintptr_t start = 0;
  const SbiAnswer answer = sbi_call(sbi_harts, start, board().harts.all()[core].id,
                                    physical_of_image(lichen_processor_start), 0);
  if (answer.error != 0) return Error::io_failed;
  for (const std::uint64_t until = now_ns() + second; now_ns() < until; pause())
    if (arrived.load() == core) return {};
  return Error::timed_out;
}

extern "C" [[gnu::used, noreturn]] void lichen_run_processor(std::uint64_t core) noexcept {
  local().core = static_cast<CoreId>(core);
  load_traps(local().core);
  enable_external_interrupts(local().core);
  set_timer(no_deadline);
  arrived.store(local().core);
  serve_cores(local().core);
}

}  // namespace lichen::hal::detail
