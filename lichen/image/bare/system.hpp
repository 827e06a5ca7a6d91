// The outside of a machine without drivers: there is none, and asking for it says so.
#pragma once

#include <memory>

#include "lichen/io/system.hpp"

namespace lichen::image {

std::unique_ptr<io::System> make_bare_system();

}  // namespace lichen::image
