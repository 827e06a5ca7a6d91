// The few instructions that change from one stack to another, for each processor. Private to hal.
#pragma once

#include <cstddef>
#include <span>

namespace lichen::hal::detail {

// Saves the running flow on its stack, stores in `save` where, and goes on with a flow that was
// saved at `load`.
extern "C" void lichen_switch(void** save, void* load) noexcept;

// Lays down on a stack what lichen_switch() loads to call function(argument), which MUST NOT
// return. Returns where.
void* lay_first_frame(std::span<std::byte> stack, void (*function)(void*) noexcept,
                      void* argument) noexcept;

}  // namespace lichen::hal::detail
