// Redirects (RFC 9110 section 15.4), as far as plain HTTP goes.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "lichen/base/result.hpp"
#include "lichen/net/http/fields.hpp"
#include "lichen/net/http/status.hpp"

namespace lichen::net::http {

struct ClientRequest;

// One that a client can follow without asking anybody.
[[nodiscard]] bool is_redirect(Status status) noexcept;

// Keeps the texts that a redirected request refers to.
class Redirect {
 public:
  // Makes of `request` the one that follows a response with this status and Location.
  // Error::not_supported for another scheme, and for a body that was read and cannot be sent again;
  // Error::protocol_error for a server that has no such name.
  // Credentials (Authorization, Cookie) do not go to another server.
  Result<void> follow(ClientRequest& request, Status status, std::string_view location);

 private:
  std::string authority_;
  std::string target_;
  std::vector<Field> fields_;
};

}  // namespace lichen::net::http
