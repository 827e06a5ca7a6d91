// Name resolution by the host's own means (hosts file, DNS, whatever it is configured for).
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "lichen/base/result.hpp"
#include "lichen/io/address.hpp"

namespace lichen::driver {

// A host that is an address already, "127.0.0.1" or "::1" (brackets allowed).
// Error::invalid_argument for anything else.
Result<io::Address> parse_host(std::string_view host, std::uint16_t port) noexcept;

// getaddrinfo(3): in the order of RFC 6724. Blocks. Error::name_unresolved where there is none.
Result<std::vector<io::Address>> look_up_host(const std::string& host, std::uint16_t port);

}  // namespace lichen::driver
