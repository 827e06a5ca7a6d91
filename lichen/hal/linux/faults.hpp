// Faults: what the running flow did that the processor does not go on after.
#pragma once

#include "lichen/base/result.hpp"
#include "lichen/hal/types.hpp"

namespace lichen::hal {

// The handler may say what happened; when it returns the host ends the process as it would have
// without it, with a core dump where it makes them. Null gives the faults back to the host. A
// handler that the program, or its sanitizer, has for a signal stays in its place.
Result<void> register_fault_handler(FaultHandler handler) noexcept;

}  // namespace lichen::hal
