#include "lichen/net/http/parser.hpp"

#include <algorithm>
#include <cstring>

#include "lichen/net/http/scan.hpp"

namespace lichen::net::http {
namespace {

// The least that can be a head: "M / HTTP/1.0\r\n\r\n" or "HTTP/1.0 200\r\n\r\n". Shorter input is
// always incomplete, so that the scanner has a whole block to look at.
constexpr std::size_t least_head = 16;
static_assert(least_head == Scanner::block);

constexpr std::size_t max_method = 32;

std::string_view view(const char* begin, const char* end) noexcept {
  return {begin, static_cast<std::size_t>(end - begin)};
}

std::uint64_t load8(const char* p) noexcept {
  std::uint64_t word;
  std::memcpy(&word, p, sizeof word);
  return word;
}

enum class Step : std::uint8_t { done, incomplete, failed };

// What the fields said about framing, before it is judged as a whole.
struct FramingFields {
  bool has_length = false;
  bool has_coding = false;
  bool chunked = false;  // "chunked" was seen
  bool unknown_coding = false;
  bool after_chunked = false;  // a coding came after "chunked"
  bool close = false;
  bool keep_alive = false;
  bool has_host = false;
  bool expects_continue = false;
  std::string_view host;
};

class HeadParser {
 public:
  HeadParser(std::string_view input, const HeadLimits& limits, bool is_request) noexcept
      : input_{input},
        limits_{std::clamp(limits.size, least_head, Fields::max_head),
                std::min(limits.fields, Fields::capacity)},
        is_request_{is_request},
        scan_{input.data(), input.data() + std::min(input.size(), limits_.size)},
        p_{input.data()} {}

  Parsed request(RequestHead& head) noexcept {
    if (!skip_empty_lines()) return shortage();
    head.fields.reset(input_.data());
    const Step line = request_line(head);
    if (line == Step::incomplete) return shortage(Status::uri_too_long);
    if (line == Step::failed) return {.error = error_};
    const Step rest = fields(head);
    if (rest == Step::incomplete) return shortage();
    if (rest == Step::failed || !judge_request(head)) return {.error = error_};
    return {.size = static_cast<std::size_t>(p_ - scan_.begin())};
  }

  Parsed response(ResponseHead& head) noexcept {
    head.fields.reset(input_.data());
    const Step line = status_line(head);
    if (line == Step::incomplete) return shortage();
    if (line == Step::failed) return {.error = error_};
    const Step rest = fields(head);
    if (rest == Step::incomplete) return shortage();
    if (rest == Step::failed || !judge_framing(head)) return {.error = error_};
    return {.size = static_cast<std::size_t>(p_ - scan_.begin())};
  }

 private:
  // The input ran out: all that there may be of it, or all that has come so far.
  [[nodiscard]] Parsed shortage(
      Status too_large = Status::request_header_fields_too_large) const noexcept {
    if (input_.size() >= limits_.size) return {.error = too_large};
    return {};
  }

  Step fail(Status status = Status::bad_request) noexcept {
    error_ = status;
    return Step::failed;
  }

  [[nodiscard]] std::size_t left() const noexcept {
    return static_cast<std::size_t>(scan_.end() - p_);
  }

  // Over a CRLF, which MUST begin here.
  Step line_end() noexcept {
    if (p_ == scan_.end()) return Step::incomplete;
    if (*p_ != '\r') return fail();
    if (left() < 2) return Step::incomplete;
    if (p_[1] != '\n') return fail();
    p_ += 2;
    return Step::done;
  }

  // False when the input ended before anything else came.
  bool skip_empty_lines() noexcept {
    while (left() >= 2 && p_[0] == '\r' && p_[1] == '\n') p_ += 2;
    return left() > 1 || (left() == 1 && *p_ != '\r');
  }

  Step request_line(RequestHead& head) noexcept {
    const char* method = p_;
    if (left() < sizeof(std::uint64_t)) return Step::incomplete;
    // Little or big endian: both sides are loaded alike.
    const std::uint64_t word = load8(p_);
    static constexpr char get[] = "GET ";
    static constexpr char head_[] = "HEAD ";
    static constexpr char post[] = "POST ";
    if (std::memcmp(&word, get, 4) == 0) {
      head.method = Method::get;
      p_ += 3;
    } else if (std::memcmp(&word, head_, 5) == 0) {
      head.method = Method::head;
      p_ += 4;
    } else if (std::memcmp(&word, post, 5) == 0) {
      head.method = Method::post;
      p_ += 4;
    } else {
      const char* limit = p_ + std::min(left(), max_method + 1);
      while (p_ != limit && is(token_char, *p_)) ++p_;
      if (p_ - method > static_cast<std::ptrdiff_t>(max_method))
        return fail(Status::not_implemented);
      if (p_ == scan_.end()) return Step::incomplete;
      if (*p_ != ' ' || p_ == method) return fail();
      head.method = method_of(view(method, p_));
    }
    head.method_name = view(method, p_);

    const char* target = ++p_;
    p_ = scan_.find_target_end(p_);
    if (p_ == scan_.end()) return Step::incomplete;
    if (*p_ != ' ' || p_ == target) return fail();
    head.target = view(target, p_);
    ++p_;
    if (const Step step = version(head); step != Step::done) return step;
    return line_end();
  }

  Step status_line(ResponseHead& head) noexcept {
    if (const Step step = version(head); step != Step::done) return step;
    if (left() < 4) return Step::incomplete;
    if (p_[0] != ' ' || p_[1] < '1' || p_[1] > '9' || !is(digit_char, p_[2]) ||
        !is(digit_char, p_[3]))
      return fail();
    head.status = static_cast<Status>((p_[1] - '0') * 100 + (p_[2] - '0') * 10 + (p_[3] - '0'));
    p_ += 4;
    if (p_ == scan_.end()) return Step::incomplete;
    // The space MUST be there even before an empty reason, yet not all servers send it.
    const char* reason = p_;
    if (*p_ == ' ') {
      reason = ++p_;
      p_ = scan_.find_value_end(p_);
    }
    head.reason = view(reason, p_);
    return line_end();
  }

  // "HTTP/1.d". Another major version is understood well enough to be refused as such.
  Step version(MessageHead& head) noexcept {
    static constexpr std::string_view text = "HTTP/1.1";
    if (left() >= text.size()) {
      if (std::memcmp(p_, text.data(), text.size() - 1) == 0 && is(digit_char, p_[7])) {
        head.minor_version = p_[7] == '0' ? 0 : 1;
        p_ += text.size();
        return Step::done;
      }
      const bool other_version = std::memcmp(p_, text.data(), 5) == 0 && is(digit_char, p_[5]) &&
                                 p_[6] == '.' && is(digit_char, p_[7]);
      return fail(other_version ? Status::http_version_not_supported : Status::bad_request);
    }
    return Step::incomplete;
  }

  Step fields(MessageHead& head) noexcept {
    for (;;) {
      if (p_ == scan_.end()) return Step::incomplete;
      if (*p_ == '\r') return line_end();

      const char* name = p_;
      p_ = scan_.find_name_end(p_);
      if (p_ != scan_.end() && *p_ != ':') [[unlikely]]
        while (p_ != scan_.end() && is(token_char, *p_)) ++p_;
      if (p_ == scan_.end()) return Step::incomplete;
      if (*p_ != ':' || p_ == name) return fail();
      const std::string_view field_name = view(name, p_);

      do ++p_;
      while (p_ != scan_.end() && is_space(*p_));
      const char* value = p_;
      p_ = scan_.find_value_end(p_);
      const char* value_end = p_;
      if (const Step step = line_end(); step != Step::done) return step;
      while (value_end != value && is_space(value_end[-1])) --value_end;

      if (head.fields.full(limits_.fields)) return fail(Status::request_header_fields_too_large);
      const std::string_view field_value = view(value, value_end);
      head.fields.add(field_name, field_value);
      if (const Step step = look_at(field_name, field_value, head); step != Step::done) return step;
    }
  }

  // `lower_case` is letters and '-'. Setting the bit of lower case turns no other tchar into those.
  template <std::size_t size>
  static bool is_name(std::string_view name, const char (&lower_case)[size]) noexcept {
    static_assert(size - 1 >= 4);
    bool same = true;
    for (std::size_t i = 0; i < size - 1; ++i) same &= (name[i] | 0x20) == lower_case[i];
    return same;
  }

  // Fields that decide about the message or the connection.
  Step look_at(std::string_view name, std::string_view value, MessageHead& head) noexcept {
    switch (name.size()) {
      case 4:
        if (is_request_ && is_name(name, "host")) return host_field(value);
        break;
      case 6:
        if (is_request_ && is_name(name, "expect")) return expect_field(value);
        break;
      case 10:
        if (is_name(name, "connection")) connection_field(value, head);
        break;
      case 14:
        if (is_name(name, "content-length")) return length_field(value, head);
        break;
      case 17:
        if (is_name(name, "transfer-encoding")) coding_field(value);
        break;
      default: break;
    }
    return Step::done;
  }

  Step host_field(std::string_view value) noexcept {
    if (seen_.has_host || (!value.empty() && !all(host_char, value))) return fail();
    seen_.has_host = true;
    seen_.host = value;
    return Step::done;
  }

  Step expect_field(std::string_view value) noexcept {
    if (!equals(value, "100-continue")) return fail(Status::expectation_failed);
    seen_.expects_continue = true;
    return Step::done;
  }

  void connection_field(std::string_view value, MessageHead& head) noexcept {
    seen_.close |= has_token(value, "close");
    seen_.keep_alive |= has_token(value, "keep-alive");
    head.upgrade |= has_token(value, "upgrade");
  }

  Step length_field(std::string_view value, MessageHead& head) noexcept {
    if (seen_.has_length || value.empty() || !all(digit_char, value)) return fail();
    const auto length = parse_decimal(value);
    if (!length) return fail(Status::content_too_large);
    seen_.has_length = true;
    head.content_length = *length;
    return Step::done;
  }

  void coding_field(std::string_view value) noexcept {
    seen_.has_coding = true;
    for (auto coding = next_element(value); !coding.empty(); coding = next_element(value)) {
      seen_.after_chunked |= seen_.chunked;
      if (equals(coding, "chunked"))
        seen_.chunked = true;
      else
        seen_.unknown_coding = true;
    }
  }

  // RFC 9112 section 6.3.
  bool judge_framing(MessageHead& head) noexcept {
    head.keep_alive = head.minor_version == 0 ? seen_.keep_alive && !seen_.close : !seen_.close;
    if (seen_.has_coding) [[unlikely]] {
      error_ = Status::bad_request;
      if (seen_.has_length || head.minor_version == 0 || seen_.after_chunked) return false;
      if (seen_.unknown_coding) {
        error_ = Status::not_implemented;
        return false;
      }
      if (!seen_.chunked) return false;  // an empty list
      head.framing = Framing::chunked;
    } else {
      head.framing = seen_.has_length ? Framing::length : Framing::none;
    }
    return true;
  }

  bool judge_request(RequestHead& head) noexcept {
    error_ = Status::bad_request;
    if (!seen_.has_host && head.minor_version != 0) return false;
    head.host = seen_.host;
    head.expects_continue = seen_.expects_continue && head.minor_version != 0;
    if (head.target.front() == '/' && head.method != Method::connect) [[likely]] {
      head.form = TargetForm::origin;
      split_query(head, head.target);
    } else if (!judge_target(head)) {
      return false;
    }
    return judge_framing(head);
  }

  // The forms of a target that do not begin with a path (RFC 9112 sections 3.2.2 to 3.2.4).
  static bool judge_target(RequestHead& head) noexcept {
    const std::string_view target = head.target;
    if (head.method == Method::connect) {
      const std::size_t colon = target.rfind(':');
      head.form = TargetForm::authority;
      head.host = target;
      return all(host_char, target) && colon != target.npos && colon != 0 &&
             parse_decimal(target.substr(colon + 1)).value_or(65'536) < 65'536;
    }
    if (target == "*") {
      head.form = TargetForm::asterisk;
      head.path = target;
      return head.method == Method::options;
    }
    const std::size_t scheme = target.find("://");
    if (scheme == target.npos) return false;
    if (!equals(target.substr(0, scheme), "http") && !equals(target.substr(0, scheme), "https"))
      return false;
    const std::string_view rest = target.substr(scheme + 3);
    const std::size_t path = std::min(rest.find_first_of("/?"), rest.size());
    head.form = TargetForm::absolute;
    head.host = rest.substr(0, path);
    split_query(head, rest.substr(path));
    return !head.host.empty() && all(host_char, head.host);
  }

  static void split_query(RequestHead& head, std::string_view target) noexcept {
    const auto* mark = static_cast<const char*>(std::memchr(target.data(), '?', target.size()));
    const std::size_t path = mark ? static_cast<std::size_t>(mark - target.data()) : target.size();
    head.path = path != 0 ? target.substr(0, path) : "/";
    head.query = mark ? target.substr(path + 1) : std::string_view{};
  }

  static Method method_of(std::string_view name) noexcept {
    for (unsigned i = 0; i < static_cast<unsigned>(Method::other); ++i)
      if (http::name(static_cast<Method>(i)) == name) return static_cast<Method>(i);
    return Method::other;
  }

  const std::string_view input_;
  const HeadLimits limits_;
  const bool is_request_;
  Scanner scan_;
  const char* p_;
  FramingFields seen_;
  Status error_ = Status::none;
};

void reset(MessageHead& head) noexcept {
  head.upgrade = false;
  head.content_length = 0;
}

}  // namespace

Parsed parse_request(std::string_view input, RequestHead& head, const HeadLimits& limits) noexcept {
  if (input.size() < least_head) return {};
  reset(head);
  return HeadParser{input, limits, true}.request(head);
}

Parsed parse_response(std::string_view input, ResponseHead& head,
                      const HeadLimits& limits) noexcept {
  if (input.size() < least_head) return {};
  reset(head);
  return HeadParser{input, limits, false}.response(head);
}

}  // namespace lichen::net::http
