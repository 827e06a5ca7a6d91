// What takes the interrupts of devices on a RISC-V board: lines by the PLIC or the APLIC, messages
// by the harts' own files (IMSIC), to which an APLIC may turn its lines, too. Private to this
// folder.
#pragma once

#include <cstddef>
#include <cstdint>

#include "lichen/base/result.hpp"
#include "lichen/hal/riscv64/machine.hpp"
#include "lichen/hal/types.hpp"

namespace lichen::hal::detail {

// The highest number by which a line controller names a hart, and one; 0: it names none.
std::size_t context_count() noexcept;

// RISC-V PLIC specification 1.0.0; a hart's supervisor mode is one of its contexts.
namespace plic {
// Nothing is open. Errors: no_memory.
Result<void> start() noexcept;
void enable_hart(CoreId core) noexcept;
// The line that this hart now serves; 0: none. Until complete() it is not raised again.
std::uint32_t claim() noexcept;
void complete(std::uint32_t line) noexcept;
void open(std::uint32_t line, CoreId core) noexcept;
void close(std::uint32_t line) noexcept;
}  // namespace plic

// AIA 1.0, chapter 4; the domain of supervisor mode.
namespace aplic {
// Nothing is open. Errors: no_memory.
Result<void> start() noexcept;
void enable_hart(CoreId core) noexcept;
// The line that this hart now serves, as long as it is raised; 0: none. Not where it sends
// messages.
std::uint32_t claim() noexcept;
// `identity`: of the message that the line becomes.
void open(std::uint32_t line, CoreId core, std::uint32_t identity) noexcept;
void close(std::uint32_t line) noexcept;
bool is_raised(std::uint32_t line) noexcept;
}  // namespace aplic

// AIA 1.0, chapter 3. Identities are numbered from 1, on each hart for itself.
namespace imsic {
// Errors: no_memory.
Result<void> start() noexcept;
void enable_hart(CoreId core) noexcept;
// The identity that this hart now serves; 0: none. From now on it can come again.
std::uint32_t claim() noexcept;
// Of the board: the same identities are open on all harts.
bool takes(CoreId core, std::uint32_t identity) noexcept;
// As a device does; on any core.
void send(CoreId core, std::uint32_t identity) noexcept;
std::uint64_t address_of(CoreId core) noexcept;
}  // namespace imsic

}  // namespace lichen::hal::detail
