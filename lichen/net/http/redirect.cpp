#include "lichen/net/http/redirect.hpp"

#include <algorithm>
#include <utility>

#include "lichen/net/http/client.hpp"
#include "lichen/net/http/text.hpp"

namespace lichen::net::http {

bool is_redirect(Status status) noexcept {
  switch (status) {
    case Status::moved_permanently:
    case Status::found:
    case Status::see_other:
    case Status::temporary_redirect:
    case Status::permanent_redirect: return true;
    default: return false;
  }
}

Result<void> Redirect::follow(ClientRequest& request, Status status, std::string_view location) {
  location = location.substr(0, location.find('#'));
  std::string authority{request.authority};
  std::string target;
  const std::size_t colon = location.find(':');
  const bool has_scheme = colon != location.npos && colon < location.find_first_of("/?");
  if (has_scheme && !equals(location.substr(0, colon), "http")) return Error::not_supported;
  std::string_view rest = has_scheme ? location.substr(colon + 1) : location;
  if (rest.starts_with("//")) {
    rest.remove_prefix(2);
    const std::size_t end = std::min(rest.find_first_of("/?"), rest.size());
    authority = rest.substr(0, end);
    rest.remove_prefix(end);
    if (!rest.starts_with('/')) target = "/";
    // Where nobody is, or somebody has a name and a password (RFC 9110 sections 4.2.1, 4.2.4).
    if (authority.empty() || !all(host_char, authority)) return Error::protocol_error;
  } else if (has_scheme) {
    return Error::not_supported;
  } else if (!rest.starts_with('/')) {
    // Relative to the folder of the path, or to the path if it is only a query.
    const std::string_view path = request.target.substr(0, request.target.find('?'));
    target = rest.starts_with('?') || rest.empty() ? path : path.substr(0, path.rfind('/') + 1);
  }
  target += rest;

  // A form that was posted is not posted again, but where the status says so.
  const bool keeps_method =
      status == Status::temporary_redirect || status == Status::permanent_redirect;
  const bool reads = request.method == "GET" || request.method == "HEAD";
  if (!keeps_method && !reads && (status == Status::see_other || request.method == "POST")) {
    request.method = "GET";
    request.content = {};
    request.body = nullptr;
  }
  if (request.body) return Error::not_supported;
  if (authority != request.authority) {
    std::vector<Field> kept;
    for (const Field field : request.fields)
      if (!equals(field.name, "Authorization") && !equals(field.name, "Cookie"))
        kept.push_back(field);
    fields_ = std::move(kept);
    request.fields = fields_;
  }
  authority_ = std::move(authority);
  target_ = std::move(target);
  request.authority = authority_;
  request.target = target_;
  return {};
}

}  // namespace lichen::net::http
