#include <array>

#include "lichen/hal/bare/devices.hpp"
#include "lichen/hal/bare/page_table.hpp"
#include "lichen/hal/bare/platform.hpp"
#include "lichen/hal/hal.hpp"
#include "lichen/hal/riscv64/interrupt_controllers.hpp"

namespace lichen::hal::detail::imsic {

namespace {

// AIA 1.0, 2.1 and 3.8: registers of the file that this hart's supervisor mode has, by way of two.
enum Register : std::uint64_t {
  delivery = 0x70,
  threshold = 0x72,
  first_enables = 0xC0,  // every other one, of 64 identities each
};

void write(std::uint64_t which, std::uint64_t value) noexcept {
  asm volatile("csrw 0x150, %0\n\tcsrw 0x151, %1"  // siselect, sireg
               :
               : "r"(which), "r"(value)
               : "memory");
}

// Where a message is written: the first word of a page.
constinit std::array<std::byte*, BoardTree::most_harts> files{};

}  // namespace

Result<void> start() noexcept {
  const std::span<const BoardHart> harts = board().harts.all();
  for (std::size_t i = 0; i < harts.size(); ++i)
    if (harts[i].messages != 0) files[i] = TRY(map_device(harts[i].messages, page_size));
  return {};
}

void enable_hart(CoreId) noexcept {
  write(delivery, 0);
  const std::uint32_t identities = board().message_identities;
  for (std::uint32_t first = 0; first <= identities; first += 64)
    write(first_enables + first / 32, first == 0 ? ~std::uint64_t{1} : ~std::uint64_t{0});
  write(threshold, 0);
  write(delivery, 1);
}

// QEMU before 9.2 tells a hart that nothing is left even if a message comes in the middle of this:
// whoever writes a register of the file has it look again.
std::uint32_t claim() noexcept {
  std::uint64_t top;
  std::uint64_t next;
  asm volatile("csrrw %0, 0x15c, zero\n\tcsrr %1, 0x15c"  // stopei
               : "=&r"(top), "=r"(next)
               :
               : "memory");
  if (next != 0) write(delivery, 1);
  constexpr unsigned identity_shift = 16;
  return static_cast<std::uint32_t>(top >> identity_shift);
}

bool takes(CoreId core, std::uint32_t identity) noexcept {
  return files[core] && identity <= board().message_identities;
}

void send(CoreId core, std::uint32_t identity) noexcept {
  write_register<std::uint32_t>(files[core], identity);
}

std::uint64_t address_of(CoreId core) noexcept { return board().harts.all()[core].messages; }

}  // namespace lichen::hal::detail::imsic
