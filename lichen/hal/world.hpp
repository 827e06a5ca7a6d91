// The world this build is for. The only place that chooses; the build sets exactly one of the macros.
#pragma once

#if defined(LICHEN_WORLD_LINUX)
#include "lichen/hal/linux/context.hpp"
#include "lichen/hal/linux/machine.hpp"
#else
#error "no world chosen: build with CMake, which defines LICHEN_WORLD_LINUX"
#endif
