#pragma once

#include <cstdint>
#include <span>

#include "bench/load/responses.hpp"

namespace bench::load {

// A blocking connection to 127.0.0.1 with TCP_NODELAY, or -1.
int connect_to(uint16_t port);

// Sends the request on a blocking socket and reads one response; false when that fails or the
// response is not as expected.
bool ask(int socket, std::span<const char> request, Responses& responses);

}  // namespace bench::load
