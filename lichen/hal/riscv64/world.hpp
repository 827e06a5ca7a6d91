// The RISC-V world: a board with SBI firmware and a device tree.
#pragma once

#include "lichen/hal/bare/world.hpp"
