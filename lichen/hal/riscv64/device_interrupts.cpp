// Interrupts of devices.
#include "lichen/hal/bare/platform.hpp"

namespace lichen::hal::detail {

Result<void> open_line(std::uint32_t, CoreId, unsigned) noexcept { return Error::not_supported; }
void close_line(std::uint32_t) noexcept {}
Result<Message> message_for(CoreId, unsigned) noexcept { return Error::not_supported; }

}  // namespace lichen::hal::detail
