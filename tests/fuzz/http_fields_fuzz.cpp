// What stands in single fields and in the target: ranges, entity tags, dates, paths, queries,
// lists.
#include <algorithm>
#include <cstdint>
#include <string>
#include <vector>

#include "lichen/net/http/conditional.hpp"
#include "lichen/net/http/date.hpp"
#include "lichen/net/http/media_type.hpp"
#include "lichen/net/http/range.hpp"
#include "lichen/net/http/target.hpp"
#include "lichen/net/http/text.hpp"
#include "tests/fuzz/check.hpp"

using namespace lichen;
using namespace lichen::net::http;

namespace {

void check_range(std::string_view value, std::uint64_t size) {
  const RangeSet set = RangeSet::parse(value, size);
  CHECK((set.outcome() == RangeSet::Outcome::partial) == !set.ranges().empty());
  std::string same = "bytes=";
  for (const ByteRange range : set.ranges()) {
    CHECK(range.first <= range.last && range.last < size);
    for (const ByteRange other : set.ranges())
      CHECK(&other == &range || range == other || range.last < other.first ||
            other.last < range.first);
    same += std::to_string(range.first) + "-" + std::to_string(range.last) + ",";
  }
  if (set.ranges().empty()) return;
  const RangeSet again = RangeSet::parse(same, size);
  CHECK(std::ranges::equal(again.ranges(), set.ranges()));
}

void check_path(std::string_view text) {
  std::vector<char> into(text.size());
  const auto decoded = decode_path(text, into);
  if (!decoded) return;
  const std::string_view path = decoded->relative;
  CHECK(!path.starts_with('/') && !path.ends_with('/') && path.find("//") == path.npos);
  CHECK(path.find('\\') == path.npos && path.find('\0') == path.npos);
  for (std::size_t begin = 0; begin < path.size();) {
    const std::size_t end = std::min(path.find('/', begin), path.size());
    CHECK(path.substr(begin, end - begin) != "." && path.substr(begin, end - begin) != "..");
    begin = end + 1;
  }
  // A path that is safe stays as it is.
  std::string plain = "/";
  for (const char c : path) {
    if (c == '%')
      plain += "%25";
    else
      plain += c;
  }
  std::vector<char> more(plain.size());
  const auto again = decode_path(plain, more);
  CHECK(again && again->relative == path);
}

void check_date(std::string_view text) {
  const auto moment = parse_date(text);
  if (moment) CHECK(parse_date(DateText{*moment}.text()) == moment);
}

void check_lists(std::string_view text) {
  if (const auto tag = EntityTag::parse(text)) CHECK(tag->weakly_equals(*tag));
  std::size_t elements = 0;
  std::string_view list = text;
  for (auto element = next_element(list); !element.empty(); element = next_element(list)) {
    CHECK(element.data() >= text.data() &&
          element.data() + element.size() <= text.data() + text.size());
    CHECK(trim(element) == element);
    ++elements;
  }
  CHECK(elements <= text.size() / 2 + 1);
  std::vector<char> into(text.size());
  std::string_view query = text;
  while (const auto pair = next_pair(query)) {
    const auto name = decode_component(pair->name, into);
    if (!name) continue;
    const std::string wanted{*name};
    CHECK(!find_in_query(text, wanted, into).failed_with(Error::not_found));
  }
}

void check_conditions(std::string_view text) {
  if (text.find('\r') != text.npos) return;
  std::string request = "GET / HTTP/1.1\r\nHost: h\r\n";
  for (const std::string_view name : {"If-Match", "If-None-Match", "If-Range", "If-Modified-Since"})
    request += std::string{name} + ": " + std::string{text} + "\r\n";
  request += "\r\n";
  RequestHead head;
  if (!parse_request(request, head).complete()) return;
  const Validators current{.tag = {.opaque = "\"a\""}, .modified = 784'111'777};
  const Precondition outcome = evaluate(head, current);
  // What satisfies If-Match satisfies If-None-Match too.
  CHECK(outcome != Precondition::proceed);
  (void)range_is_current(head, current, 784'111'800);
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  const Exact exact{{reinterpret_cast<const char*>(data), size}};
  const std::string_view text = exact.view();
  for (const std::uint64_t length :
       {std::uint64_t{0}, std::uint64_t{1}, std::uint64_t{1'000}, ~std::uint64_t{0}})
    check_range(text, length);
  check_path(text);
  check_date(text);
  check_lists(text);
  check_conditions(text);
  CHECK(!media_type(text).empty());
  return 0;
}
