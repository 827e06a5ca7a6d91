// The bytes that come back on one connection, cut into responses and checked.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <string>
#include <string_view>
#include <vector>

namespace bench::load {

// What every response must look like. Shared by all connections of a run.
struct Expectation {
  explicit Expectation(std::string_view echo_message)
      : echo{true}, body{echo_message.begin(), echo_message.end()} {}
  explicit Expectation(int64_t body_bytes) : body_bytes{body_bytes} {}

  bool echo = false;
  int64_t body_bytes = -1;  // -1 until the first HTTP response has told it
  std::vector<char> body;   // echo: the message; HTTP: the first body, which all others must equal
  bool body_known = false;
};

// A stream of responses with Content-Length, or of equal messages when the expectation is an echo.
class Responses {
 public:
  struct Fed {
    uint32_t completed = 0;
    bool valid = true;  // false: the stream makes no sense and its connection MUST be closed
  };

  explicit Responses(Expectation& expectation) : expectation_{&expectation} {}

  Fed feed(std::span<const char> bytes);

 private:
  Fed feed_echo(std::span<const char> bytes);
  bool take_header(std::string_view header);

  Expectation* expectation_;
  std::string header_;  // the part of a header that came so far
  bool in_body_ = false;
  size_t body_at_ = 0;  // bytes of the current body (or message) already seen
};

}  // namespace bench::load
