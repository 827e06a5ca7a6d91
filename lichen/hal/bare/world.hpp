// A machine that is ours alone. What x86-64 and RISC-V have in common is in this folder;
// platform.hpp is what a processor has to offer.
#pragma once

#include "lichen/hal/bare/console.hpp"
#include "lichen/hal/bare/cores.hpp"
#include "lichen/hal/bare/interrupts.hpp"
#include "lichen/hal/bare/pages.hpp"
#include "lichen/hal/bare/stacks.hpp"
#include "lichen/hal/bare/time.hpp"
#include "lichen/hal/context.hpp"
#include "lichen/hal/no_host.hpp"
