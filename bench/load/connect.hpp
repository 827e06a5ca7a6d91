#pragma once

#include <cstdint>
#include <span>

#include "bench/load/responses.hpp"

namespace bench::load {

// A blocking connection to an IPv4 address with TCP_NODELAY, or -1.
int connect_to(uint32_t to, uint16_t port);

// Sends the request on a blocking socket and reads one response; false when that fails or the
// response is not as expected.
bool ask(int socket, std::span<const char> request, Responses& responses);

}  // namespace bench::load
