#include "lichen/base/core_slot.hpp"

extern "C" {
// `used`: the instruction that reads it is out of sight of optimisation across files.
[[gnu::used]] constinit thread_local void* lichen_core_slot = nullptr;
}

namespace lichen::base {

void set_core_slot(void* word) noexcept { lichen_core_slot = word; }

}  // namespace lichen::base
