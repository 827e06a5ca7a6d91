// The sim world: a deterministic machine in virtual time, on one thread of a host. The same kernel
// runs on it; what happens is a function of a seed. simulator.hpp says how it is set up and
// watched.
//
// Stacks, pages and the words of the console are those of the linux world, on which it grows.
#pragma once

#include "lichen/hal/context.hpp"
#include "lichen/hal/linux/console.hpp"
#include "lichen/hal/linux/pages.hpp"
#include "lichen/hal/linux/stacks.hpp"
#include "lichen/hal/no_host.hpp"
#include "lichen/hal/sim/cores.hpp"
#include "lichen/hal/sim/interrupts.hpp"
#include "lichen/hal/sim/time.hpp"
