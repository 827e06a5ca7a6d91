#include "lichen/net/http/range.hpp"

#include <algorithm>
#include <charconv>
#include <cstring>
#include <limits>
#include <optional>

#include "lichen/net/http/text.hpp"

namespace lichen::net::http {
namespace {

// A position of a range. One that no number can hold is behind the end of everything.
std::optional<std::uint64_t> parse_position(std::string_view text) noexcept {
  if (text.empty() || !all(digit_char, text)) return std::nullopt;
  return parse_decimal(text).value_or(std::numeric_limits<std::uint64_t>::max());
}

char* put(char* p, std::string_view text) noexcept {
  std::memcpy(p, text.data(), text.size());
  return p + text.size();
}
char* put(char* p, std::uint64_t number) noexcept { return std::to_chars(p, p + 20, number).ptr; }

}  // namespace

RangeSet RangeSet::parse(std::string_view value, std::uint64_t size) noexcept {
  RangeSet set;
  constexpr std::string_view unit = "bytes=";
  if (value.size() < unit.size() || !equals(value.substr(0, unit.size()), unit)) return set;
  value.remove_prefix(unit.size());

  std::size_t specs = 0;
  for (auto spec = next_element(value); !spec.empty(); spec = next_element(value)) {
    const std::size_t dash = spec.find('-');
    if (dash == spec.npos || ++specs > max_ranges) return {};
    const std::string_view first_text = spec.substr(0, dash);
    const std::string_view last_text = spec.substr(dash + 1);
    if (first_text.empty()) {  // the last so many bytes
      const auto suffix = parse_position(last_text);
      if (!suffix) return {};
      if (*suffix != 0 && size != 0) set.add({size - std::min(*suffix, size), size - 1});
      continue;
    }
    const auto first = parse_position(first_text);
    const auto last =
        last_text.empty() ? std::numeric_limits<std::uint64_t>::max() : parse_position(last_text);
    if (!first || !last || *last < *first) return {};
    if (*first < size) set.add({*first, std::min(*last, size - 1)});
  }
  if (specs == 0) return {};
  set.outcome_ = set.count_ != 0 ? Outcome::partial : Outcome::unsatisfiable;
  return set;
}

void RangeSet::add(ByteRange range) noexcept {
  const auto begins_soon = [](const ByteRange& a, const ByteRange& b) {
    return a.first <= b.last || a.first - b.last <= part_overhead + 1;
  };
  const auto near = [&](const ByteRange& other) {
    return begins_soon(range, other) && begins_soon(other, range);
  };
  // One that joins a range may make it touch others, which it then joins in turn.
  std::size_t place = count_;
  for (std::size_t i = 0; i < count_;) {
    if (!near(ranges_[i])) {
      ++i;
      continue;
    }
    range = {std::min(range.first, ranges_[i].first), std::max(range.last, ranges_[i].last)};
    place = std::min(place, i);
    std::copy(ranges_.begin() + i + 1, ranges_.begin() + count_, ranges_.begin() + i);
    --count_;
    i = 0;
  }
  std::copy_backward(ranges_.begin() + place, ranges_.begin() + count_,
                     ranges_.begin() + count_ + 1);
  ranges_[place] = range;
  ++count_;
}

ContentRange::ContentRange(ByteRange range, std::uint64_t size) noexcept {
  char* p = put(text_.data(), "bytes ");
  p = put(put(put(p, range.first), "-"), range.last);
  p = put(put(p, "/"), size);
  length_ = static_cast<std::size_t>(p - text_.data());
}

ContentRange::ContentRange(std::uint64_t size) noexcept {
  length_ = static_cast<std::size_t>(put(put(text_.data(), "bytes */"), size) - text_.data());
}

Multipart::Multipart(std::array<std::uint64_t, 2> random) noexcept {
  char* p = put(type_.data(), type_prefix);
  for (std::uint64_t word : random)
    for (unsigned i = 0; i < 16; ++i, word >>= 4) *p++ = "0123456789abcdef"[word & 15];
  put(put(put(end_.data(), "\r\n--"), boundary()), "--\r\n");
}

std::string_view Multipart::head(std::span<char> into, ByteRange range, std::uint64_t size,
                                 std::string_view content_type) const noexcept {
  HeadWriter writer{into};
  writer.lines("\r\n--");
  writer.lines(boundary());
  writer.lines("\r\n");
  if (!content_type.empty()) writer.field("Content-Type", content_type);
  writer.trusted_field("Content-Range", ContentRange{range, size}.text());
  writer.finish();
  return writer.ok() ? writer.text() : std::string_view{};
}

std::uint64_t Multipart::length(std::span<const ByteRange> ranges, std::uint64_t size,
                                std::string_view content_type) const noexcept {
  std::array<char, max_part_head> scratch;
  std::uint64_t length = end_.size();
  for (const ByteRange range : ranges)
    length += head(scratch, range, size, content_type).size() + range.size();
  return length;
}

}  // namespace lichen::net::http
