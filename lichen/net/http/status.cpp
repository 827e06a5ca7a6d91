#include "lichen/net/http/status.hpp"

#include <array>

namespace lichen::net::http {
namespace {

#define LICHEN_HTTP_STATUS(code, reason) \
  StatusText{code, reason, "HTTP/1.1 " #code " " reason "\r\n"}

struct StatusText {
  std::uint16_t code;
  std::string_view reason;
  std::string_view line;
};

constexpr std::array texts{
    LICHEN_HTTP_STATUS(100, "Continue"),
    LICHEN_HTTP_STATUS(101, "Switching Protocols"),
    LICHEN_HTTP_STATUS(200, "OK"),
    LICHEN_HTTP_STATUS(201, "Created"),
    LICHEN_HTTP_STATUS(202, "Accepted"),
    LICHEN_HTTP_STATUS(204, "No Content"),
    LICHEN_HTTP_STATUS(205, "Reset Content"),
    LICHEN_HTTP_STATUS(206, "Partial Content"),
    LICHEN_HTTP_STATUS(301, "Moved Permanently"),
    LICHEN_HTTP_STATUS(302, "Found"),
    LICHEN_HTTP_STATUS(303, "See Other"),
    LICHEN_HTTP_STATUS(304, "Not Modified"),
    LICHEN_HTTP_STATUS(307, "Temporary Redirect"),
    LICHEN_HTTP_STATUS(308, "Permanent Redirect"),
    LICHEN_HTTP_STATUS(400, "Bad Request"),
    LICHEN_HTTP_STATUS(401, "Unauthorized"),
    LICHEN_HTTP_STATUS(403, "Forbidden"),
    LICHEN_HTTP_STATUS(404, "Not Found"),
    LICHEN_HTTP_STATUS(405, "Method Not Allowed"),
    LICHEN_HTTP_STATUS(406, "Not Acceptable"),
    LICHEN_HTTP_STATUS(408, "Request Timeout"),
    LICHEN_HTTP_STATUS(409, "Conflict"),
    LICHEN_HTTP_STATUS(410, "Gone"),
    LICHEN_HTTP_STATUS(411, "Length Required"),
    LICHEN_HTTP_STATUS(412, "Precondition Failed"),
    LICHEN_HTTP_STATUS(413, "Content Too Large"),
    LICHEN_HTTP_STATUS(414, "URI Too Long"),
    LICHEN_HTTP_STATUS(415, "Unsupported Media Type"),
    LICHEN_HTTP_STATUS(416, "Range Not Satisfiable"),
    LICHEN_HTTP_STATUS(417, "Expectation Failed"),
    LICHEN_HTTP_STATUS(421, "Misdirected Request"),
    LICHEN_HTTP_STATUS(422, "Unprocessable Content"),
    LICHEN_HTTP_STATUS(426, "Upgrade Required"),
    LICHEN_HTTP_STATUS(429, "Too Many Requests"),
    LICHEN_HTTP_STATUS(431, "Request Header Fields Too Large"),
    LICHEN_HTTP_STATUS(500, "Internal Server Error"),
    LICHEN_HTTP_STATUS(501, "Not Implemented"),
    LICHEN_HTTP_STATUS(502, "Bad Gateway"),
    LICHEN_HTTP_STATUS(503, "Service Unavailable"),
    LICHEN_HTTP_STATUS(504, "Gateway Timeout"),
    LICHEN_HTTP_STATUS(505, "HTTP Version Not Supported"),
};

#undef LICHEN_HTTP_STATUS

constexpr unsigned first_code = 100;
constexpr unsigned last_code = 599;

// One more than the place of a code in `texts`; zero for a code that is not there.
constexpr auto place_of = [] {
  std::array<std::uint8_t, last_code - first_code + 1> places{};
  for (std::size_t i = 0; i < texts.size(); ++i)
    places[texts[i].code - first_code] = static_cast<std::uint8_t>(i + 1);
  return places;
}();

const StatusText* find(Status status) noexcept {
  if (code(status) < first_code || code(status) > last_code) return nullptr;
  const unsigned place = place_of[code(status) - first_code];
  return place ? &texts[place - 1] : nullptr;
}

constexpr std::array<std::string_view, 10> method_names{
    "GET", "HEAD", "POST", "PUT", "DELETE", "CONNECT", "OPTIONS", "TRACE", "PATCH", ""};

}  // namespace

std::string_view name(Method method) noexcept {
  return method_names[static_cast<unsigned>(method)];
}

std::string_view reason(Status status) noexcept {
  const StatusText* text = find(status);
  return text ? text->reason : std::string_view{};
}

std::string_view status_line(Status status) noexcept {
  const StatusText* text = find(status);
  return text ? text->line : std::string_view{};
}

Status status_of_fault(Error error) noexcept {
  switch (error) {
    case Error::no_memory:
    case Error::limit_reached:
    case Error::busy: return Status::service_unavailable;
    default: return Status::internal_server_error;
  }
}

}  // namespace lichen::net::http
