// Devices of a machine that is ours: which there are, their registers, their interrupts. What they
// are for is the drivers' business.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <span>

#include "lichen/base/result.hpp"
#include "lichen/hal/types.hpp"

namespace lichen::hal {

// Of physical memory, in bytes.
struct DeviceWindow {
  std::uint64_t address = 0;
  std::uint64_t size = 0;
};

enum class DeviceBus : std::uint8_t {
  virtio_mmio,  // one device, or an empty slot
  pci_express,  // a host bridge; what is behind it has to be asked for
};

// A line of the interrupt controller: a global system interrupt of ACPI, a source of the PLIC.
inline constexpr std::uint32_t no_line = UINT32_MAX;

struct FoundDevice {
  DeviceBus bus{};
  // virtio_mmio: the registers. pci_express: the configuration space (ECAM, PCI Express 5.0, 7.2.2)
  // of the buses from `first_bus` on, 1 MiB each.
  DeviceWindow registers{};
  std::uint32_t line = no_line;  // of virtio_mmio
  std::uint8_t first_bus = 0;
  // pci_express: what pin p (0 is INTA) of device d on the first bus raises is pin_lines[(d + p) %
  // 4]; no_line: nobody has told.
  std::array<std::uint32_t, 4> pin_lines{no_line, no_line, no_line, no_line};
  // pci_express: what the firmware has written into a function's register for that (PCI Local Bus
  // Specification 3.0, 6.2.4) is the line that its pin raises.
  bool lines_are_written = false;
  // pci_express: addresses for functions to which the firmware has given none, the same for the
  // bridge and for us. Empty: it has seen to that itself.
  DeviceWindow memory{};
};

// What the firmware or the command line names. Never changes.
std::span<const FoundDevice> devices() noexcept;

// Registers: uncached, never executable, mapped for good. MUST be called with interrupts on.
// Errors: invalid_argument (nothing, or beyond what can be addressed), no_memory.
Result<std::span<std::byte>> map_device(DeviceWindow window) noexcept;

inline constexpr std::uint64_t no_physical_address = ~std::uint64_t{0};
// Where a device finds the first of these bytes; no_physical_address unless all of them are page
// frames seen through page_region(), or part of the image: others need not be one piece.
std::uint64_t physical_address(std::span<const std::byte> bytes) noexcept;

// Each is one access, naturally aligned. What was written to memory before a register is written is
// seen by the device before that; memory is not read before a register that was read earlier.
template <class T>
T read_register(const std::byte* at) noexcept {
  const T value = *reinterpret_cast<const volatile T*>(at);
#if defined(__riscv)
  asm volatile("fence i, ior" ::: "memory");
#else
  asm volatile("" ::: "memory");  // uncached accesses are never out of order
#endif
  return value;
}
template <class T>
void write_register(std::byte* at, T value) noexcept {
#if defined(__riscv)
  asm volatile("fence iorw, o" ::: "memory");
#else
  asm volatile("" ::: "memory");
#endif
  *reinterpret_cast<volatile T*>(at) = value;
}

// Runs with interrupts off on the core that was named; afterwards that core does not go to sleep
// before it has looked for work once more. It MUST NOT allocate, lock or wait.
using DeviceInterrupt = void (*)(void* context) noexcept;

// From now on the line calls the handler; several may share one, on one core, and each is called.
// The handler MUST make its device lower the line. Errors: invalid_argument (no such line, or a
// core that does not run), busy (the line goes to another core), not_supported (no interrupt
// controller that we know), limit_reached.
Result<void> attach_line(std::uint32_t line, CoreId core, DeviceInterrupt handler,
                         void* context) noexcept;

// What a device writes to raise an interrupt (MSI, MSI-X).
struct Message {
  std::uint64_t address = 0;
  std::uint32_t data = 0;
};
// Errors: invalid_argument (the core), not_supported (nothing takes messages here), limit_reached.
Result<Message> attach_message(CoreId core, DeviceInterrupt handler, void* context) noexcept;

// Takes away all that was attached with this handler and context. The devices MUST have stopped to
// raise it. MUST be called on the core on which the handler runs: then it does not run any more.
void detach_interrupt(DeviceInterrupt handler, void* context) noexcept;

}  // namespace lichen::hal
