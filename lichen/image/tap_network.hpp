// The option --net: Lichen's own TCP/IP over a TAP device of the host, instead of the host's
// sockets.
#pragma once

#include <span>
#include <string_view>

#include "lichen/base/result.hpp"
#include "lichen/coro/task.hpp"
#include "lichen/image/host_words.hpp"

namespace lichen::image {

class Host;

// Runs the app in a system whose network is our own over these devices, until it ends. Says what is
// wrong, and what to do about it, when one cannot be used. No more than net::inet::Link::most.
Task<Result<void>> run_over_taps(Host& host, std::span<const TapWish> wishes,
                                 std::span<const std::string_view> arguments);

}  // namespace lichen::image
