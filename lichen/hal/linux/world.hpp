// The linux world: a machine inside a process.
#pragma once

#include "lichen/hal/context.hpp"
#include "lichen/hal/linux/console.hpp"
#include "lichen/hal/linux/cores.hpp"
#include "lichen/hal/linux/faults.hpp"
#include "lichen/hal/linux/host_call.hpp"
#include "lichen/hal/linux/interrupts.hpp"
#include "lichen/hal/linux/pages.hpp"
#include "lichen/hal/linux/stacks.hpp"
#include "lichen/hal/linux/time.hpp"
#include "lichen/hal/linux/urgency.hpp"
