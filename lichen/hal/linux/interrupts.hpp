// Inside hal/linux: which thread is which core, for signals sent between cores.
#pragma once

namespace lichen::hal {

void enter_core(unsigned core) noexcept;
void leave_core(unsigned core) noexcept;

}  // namespace lichen::hal
