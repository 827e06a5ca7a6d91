// Parsers of message heads: HTTP/1.0 and 1.1 (RFC 9112), strict, without a copy.
//
// A parser is given everything that has arrived of a head and either finds all of it, or says that
// more is needed and is later called again with more. Its answer does not depend on where the input
// was cut: once it has found an error or an end, more input does not change it.
//
// Refused on purpose, because two parsers that disagree about them can be played against each other
// (request smuggling): line ends other than CRLF, folded lines, white space before a colon,
// controls in values, more than one Content-Length or Host even when they are equal, Content-Length
// together with Transfer-Encoding, and transfer codings other than a single "chunked".
#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <string_view>

#include "lichen/net/http/fields.hpp"
#include "lichen/net/http/status.hpp"

namespace lichen::net::http {

struct HeadLimits {
  std::size_t size = 16'384;              // bytes of the whole head; at most Fields::max_head
  std::size_t fields = Fields::capacity;  // at most Fields::capacity
};

// What became of a call: a head of `size` bytes, or an error and the status that tells it to the
// client, or, with neither, more input is needed.
struct Parsed {
  std::size_t size = 0;
  Status error = Status::none;

  [[nodiscard]] bool complete() const noexcept { return size != 0; }
  [[nodiscard]] bool failed() const noexcept { return error != Status::none; }
  [[nodiscard]] bool incomplete() const noexcept { return !complete() && !failed(); }

  friend bool operator==(const Parsed&, const Parsed&) noexcept = default;
};

// How the end of a message's content is found (RFC 9112 section 6.3), as far as the head tells.
enum class Framing : std::uint8_t {
  none,    // neither of the fields: no content in a request; in a response it ends with the stream
  length,  // content_length bytes
  chunked,
};

// The form of a request target (RFC 9112 section 3.2).
enum class TargetForm : std::uint8_t { origin, absolute, authority, asterisk };

// Shared by requests and responses.
struct MessageHead {
  std::uint8_t minor_version = 1;  // of HTTP/1; what says 1.2 to 1.9 is treated as 1.1
  Framing framing = Framing::none;
  bool keep_alive = true;            // the connection may serve another message afterwards
  bool upgrade = false;              // Connection lists "upgrade"
  std::uint64_t content_length = 0;  // when framing is length
  Fields fields;
};

// All views are into the input.
struct RequestHead : MessageHead {
  Method method = Method::other;
  TargetForm form = TargetForm::origin;
  bool expects_continue = false;  // Expect: 100-continue, from a client of HTTP/1.1
  std::string_view method_name;
  std::string_view target;  // as sent
  // The path and query of the target, the same for "/a?b" and "http://host/a?b": "/" at least, "*"
  // for the asterisk form, empty for the authority form.
  std::string_view path;
  std::string_view query;  // without the '?'; empty when there is none
  std::string_view host;   // from the target if that has one, else from Host
};

struct ResponseHead : MessageHead {
  Status status = Status::none;
  std::string_view reason;
};

// Empty lines before a request are skipped and counted in its size (RFC 9112 section 2.2).
Parsed parse_request(std::string_view input, RequestHead& head,
                     const HeadLimits& limits = {}) noexcept;

// An error means that the other end is no HTTP/1 server; its status says what a gateway would
// answer.
Parsed parse_response(std::string_view input, ResponseHead& head,
                      const HeadLimits& limits = {}) noexcept;

}  // namespace lichen::net::http
