// The x86-64 world: a PC, or a virtual machine that is less than one.
#pragma once

#include "lichen/hal/bare/world.hpp"
