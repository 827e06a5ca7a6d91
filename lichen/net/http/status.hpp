// Methods and status codes (RFC 9110 sections 9 and 15).
#pragma once

#include <cstdint>
#include <string_view>

#include "lichen/base/error.hpp"

namespace lichen::net::http {

enum class Method : std::uint8_t {
  get,
  head,
  post,
  put,
  delete_,
  connect,
  options,
  trace,
  patch,
  other
};

// The method's name; empty for `other`, whose name only the request knows.
std::string_view name(Method method) noexcept;

// Any three-digit code may be cast to a Status; these are the ones this library speaks of.
enum class Status : std::uint16_t {
  none = 0,
  continue_ = 100,
  switching_protocols = 101,
  ok = 200,
  created = 201,
  accepted = 202,
  no_content = 204,
  reset_content = 205,
  partial_content = 206,
  moved_permanently = 301,
  found = 302,
  see_other = 303,
  not_modified = 304,
  temporary_redirect = 307,
  permanent_redirect = 308,
  bad_request = 400,
  unauthorized = 401,
  forbidden = 403,
  not_found = 404,
  method_not_allowed = 405,
  not_acceptable = 406,
  request_timeout = 408,
  conflict = 409,
  gone = 410,
  length_required = 411,
  precondition_failed = 412,
  content_too_large = 413,
  uri_too_long = 414,
  unsupported_media_type = 415,
  range_not_satisfiable = 416,
  expectation_failed = 417,
  misdirected_request = 421,
  unprocessable_content = 422,
  upgrade_required = 426,
  too_many_requests = 429,
  request_header_fields_too_large = 431,
  internal_server_error = 500,
  not_implemented = 501,
  bad_gateway = 502,
  service_unavailable = 503,
  gateway_timeout = 504,
  http_version_not_supported = 505,
};

[[nodiscard]] constexpr unsigned code(Status status) noexcept {
  return static_cast<unsigned>(status);
}
[[nodiscard]] constexpr bool is_informational(Status status) noexcept {
  return code(status) >= 100 && code(status) < 200;
}
// A response with this status never has content (RFC 9110 section 6.4.1).
[[nodiscard]] constexpr bool never_has_body(Status status) noexcept {
  return is_informational(status) || status == Status::no_content || status == Status::not_modified;
}

// What a client is told when we failed: Status::service_unavailable if something has run out, which
// may be there again soon, else Status::internal_server_error.
[[nodiscard]] Status status_of_fault(Error error) noexcept;

// "Not Found"; empty for a code that is not in the list.
std::string_view reason(Status status) noexcept;
// The whole line with which a response of HTTP/1.1 begins, "HTTP/1.1 404 Not Found\r\n"; empty for
// a code that is not in the list.
std::string_view status_line(Status status) noexcept;

}  // namespace lichen::net::http
