// Message heads. The parser's answer does not depend on where the input was cut, and what it has
// understood means the same when it is written down and parsed again.
#include <cstdint>
#include <string>
#include <vector>

#include "lichen/net/http/head_writer.hpp"
#include "lichen/net/http/parser.hpp"
#include "tests/fuzz/check.hpp"

using namespace lichen::net::http;

namespace {

struct RequestTraits {
  using Head = RequestHead;
  static Parsed parse(std::string_view input, Head& head, const HeadLimits& limits) {
    return parse_request(input, head, limits);
  }
  static void write_first_line(HeadWriter& writer, const Head& head) {
    writer.request(head.method_name, head.target);
  }
  static void compare(const Head& a, const Head& b) {
    CHECK(a.method == b.method && a.method_name == b.method_name && a.target == b.target);
    CHECK(a.form == b.form && a.path == b.path && a.query == b.query && a.host == b.host);
  }
};

struct ResponseTraits {
  using Head = ResponseHead;
  static Parsed parse(std::string_view input, Head& head, const HeadLimits& limits) {
    return parse_response(input, head, limits);
  }
  static void write_first_line(HeadWriter& writer, const Head& head) { writer.status(head.status); }
  static void compare(const Head& a, const Head& b) { CHECK(a.status == b.status); }
};

template <class Traits>
void check(std::string_view input, const HeadLimits& limits) {
  const Exact exact{input};
  typename Traits::Head head;
  const Parsed whole = Traits::parse(exact.view(), head, limits);
  CHECK(!(whole.complete() && whole.failed()));

  Parsed before;
  for (std::size_t size = 0; size < input.size(); size += 1 + size / 64) {
    const Exact prefix{input.substr(0, size)};
    typename Traits::Head scratch;
    const Parsed now = Traits::parse(prefix.view(), scratch, limits);
    CHECK(before.incomplete() || now == before);
    CHECK(now.incomplete() || now == whole);
    CHECK(!now.complete() || now.size <= size);
    before = now;
  }
  if (!whole.complete()) return;
  CHECK(whole.size <= limits.size && head.fields.size() <= limits.fields);
  CHECK(exact.view().substr(0, whole.size).ends_with("\r\n\r\n"));

  std::vector<char> storage(whole.size + 64 + 4 * head.fields.size());
  HeadWriter writer{storage};
  Traits::write_first_line(writer, head);
  for (const Field field : head.fields) writer.field(field.name, field.value);
  writer.finish();
  CHECK(writer.ok());
  typename Traits::Head again;
  const Parsed rewritten = Traits::parse(writer.text(), again, {.size = Fields::max_head});
  // The version is not written, and a head of 1.0 may lack a host.
  if (head.minor_version == 0 || writer.text().size() > Fields::max_head) return;
  CHECK(rewritten.size == writer.text().size());
  Traits::compare(head, again);
  CHECK(again.framing == head.framing && again.content_length == head.content_length);
  CHECK(again.keep_alive == head.keep_alive && again.upgrade == head.upgrade);
  CHECK(again.fields.size() == head.fields.size());
  auto other = again.fields.begin();
  for (const Field field : head.fields) {
    const Field same = *other;
    CHECK(same.name == field.name && same.value == field.value);
    ++other;
  }
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  const std::string_view input{reinterpret_cast<const char*>(data), size};
  for (const HeadLimits limits : {HeadLimits{}, HeadLimits{.size = 128, .fields = 4}}) {
    check<RequestTraits>(input, limits);
    check<ResponseTraits>(input, limits);
  }
  return 0;
}
