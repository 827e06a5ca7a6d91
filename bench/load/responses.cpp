#include "bench/load/responses.hpp"

#include <strings.h>

#include <algorithm>
#include <charconv>
#include <cstring>

namespace bench::load {
namespace {

constexpr std::string_view header_end = "\r\n\r\n";
constexpr size_t longest_header = 8192;

// The value of Content-Length, or -1.
int64_t content_length(std::string_view header) {
  constexpr std::string_view name = "content-length:";
  for (size_t at = header.find('\n'); at != header.npos; at = header.find('\n', at + 1)) {
    std::string_view line = header.substr(at + 1);
    if (line.size() <= name.size() || (line[0] | 0x20) != 'c' ||
        strncasecmp(line.data(), name.data(), name.size()) != 0)
      continue;
    line.remove_prefix(name.size());
    while (line.starts_with(' ')) line.remove_prefix(1);
    int64_t value = -1;
    auto [end, error] = std::from_chars(line.begin(), line.end(), value);
    return error == std::errc{} && *end == '\r' ? value : -1;
  }
  return -1;
}

}  // namespace

Responses::Fed Responses::feed(std::span<const char> bytes) {
  if (expectation_->echo) return feed_echo(bytes);
  Fed fed;
  while (!bytes.empty()) {
    if (!in_body_) {
      std::string_view view{bytes.data(), bytes.size()};
      size_t consumed;
      if (header_.empty()) {
        size_t end = view.find(header_end);
        if (end == view.npos) {
          header_ = view;
          fed.valid = header_.size() <= longest_header;
          return fed;
        }
        consumed = end + header_end.size();
        fed.valid = take_header(view.substr(0, consumed));
      } else {
        size_t before = header_.size();
        header_ += view;
        size_t end = header_.find(header_end, before < 3 ? 0 : before - 3);
        if (end == header_.npos) {
          fed.valid = header_.size() <= longest_header;
          return fed;
        }
        consumed = end + header_end.size() - before;
        fed.valid = take_header(std::string_view{header_}.substr(0, before + consumed));
        header_.clear();
      }
      if (!fed.valid) return fed;
      bytes = bytes.subspan(consumed);
    }
    auto length = static_cast<size_t>(expectation_->body_bytes);
    size_t part = std::min(bytes.size(), length - body_at_);
    if (!expectation_->body_known)
      expectation_->body.insert(expectation_->body.end(), bytes.data(), bytes.data() + part);
    else if (part != 0 &&
             std::memcmp(bytes.data(), expectation_->body.data() + body_at_, part) != 0)
      fed.valid = false;
    body_at_ += part;
    bytes = bytes.subspan(part);
    if (body_at_ == length) {
      in_body_ = false;
      body_at_ = 0;
      expectation_->body_known = true;
      ++fed.completed;
    }
    if (!fed.valid) return fed;
  }
  return fed;
}

// Every status but 200, and every length but the expected one, is a mismatch.
bool Responses::take_header(std::string_view header) {
  if (!header.starts_with("HTTP/1.1 200")) return false;
  int64_t length = content_length(header);
  if (expectation_->body_bytes < 0) expectation_->body_bytes = length;
  in_body_ = true;
  return length >= 0 && length == expectation_->body_bytes;
}

Responses::Fed Responses::feed_echo(std::span<const char> bytes) {
  Fed fed;
  const std::vector<char>& message = expectation_->body;
  while (!bytes.empty()) {
    size_t part = std::min(bytes.size(), message.size() - body_at_);
    if (std::memcmp(bytes.data(), message.data() + body_at_, part) != 0) fed.valid = false;
    bytes = bytes.subspan(part);
    body_at_ += part;
    if (body_at_ == message.size()) {
      body_at_ = 0;
      ++fed.completed;
    }
  }
  return fed;
}

}  // namespace bench::load
