#include "lichen/net/dns/message.hpp"

#include <algorithm>

#include "lichen/net/wire/fields.hpp"

// Runs seldom, and is made small.
#pragma clang attribute push(__attribute__((minsize)), apply_to = function)

namespace lichen::net::dns {

namespace {

constexpr std::size_t header_size = 12;
constexpr std::uint16_t class_internet = 1;
constexpr std::uint16_t type_alias = 5, type_authority = 6, type_options = 41;
constexpr std::uint16_t is_response = 0x8000, opcode_mask = 0x7800, is_truncated = 0x0200,
                        recursion_desired = 0x0100, code_mask = 0x000f;
constexpr std::uint16_t code_no_error = 0, code_no_name = 3;

struct Record {
  Name name;
  std::uint16_t type = 0;
  std::uint16_t record_class = 0;
  std::uint32_t ttl_s = 0;
  std::size_t data_at = 0;
  std::size_t data_size = 0;
};

std::optional<Record> read_record(Bytes message, std::size_t& at) noexcept {
  const auto name = Name::read(message, at);
  if (!name || message.size() - at < 10) return std::nullopt;
  Record record{*name, wire::load16(message, at), wire::load16(message, at + 2),
                wire::load32(message, at + 4)};
  // RFC 2181 section 8: a time with the topmost bit is none.
  if (record.ttl_s > INT32_MAX) record.ttl_s = 0;
  record.data_size = wire::load16(message, at + 8);
  record.data_at = at + 10;
  if (record.data_size > message.size() - record.data_at) return std::nullopt;
  at = record.data_at + record.data_size;
  return record;
}

// RFC 2308 section 3, 5: the smaller of the record's own time and its last field.
std::optional<std::uint32_t> negative_ttl(Bytes message, const Record& record) noexcept {
  std::size_t at = record.data_at;
  const std::size_t end = record.data_at + record.data_size;
  if (!Name::read(message, at) || !Name::read(message, at)) return std::nullopt;
  if (at > end || end - at != 20) return std::nullopt;
  return std::min(record.ttl_s, wire::load32(message, at + 16));
}

bool add_address(Bytes message, const Record& record, Addresses& addresses) noexcept {
  wire::IpAddress address;
  if (record.type == static_cast<std::uint16_t>(Kind::ipv4)) {
    if (record.data_size != 4) return false;
    address = wire::load_octets<wire::Ipv4Address>(message, record.data_at);
  } else {
    if (record.data_size != 16) return false;
    const auto ipv6 = wire::load_octets<wire::Ipv6Address>(message, record.data_at);
    if (ipv6.is_mapped_ipv4()) return false;
    address = ipv6;
  }
  if (addresses.count < Addresses::most) addresses.list[addresses.count++] = address;
  return true;
}

}  // namespace

std::size_t write_query(std::span<std::byte, most_query> out, std::uint16_t id,
                        const Question& question) noexcept {
  std::ranges::fill(out, std::byte{0});
  wire::store16(out, 0, id);
  wire::store16(out, 2, recursion_desired);
  wire::store16(out, 4, 1);
  wire::store16(out, 10, 1);
  std::size_t at = header_size;
  std::ranges::copy(question.name.bytes(), out.begin() + at);
  at += question.name.bytes().size();
  wire::store16(out, at, static_cast<std::uint16_t>(question.kind));
  wire::store16(out, at + 2, class_internet);
  at += 4;
  // The OPT record (RFC 6891 section 6.1.2): of the root, its class the size.
  wire::store16(out, at + 1, type_options);
  wire::store16(out, at + 3, most_message);
  return at + 11;
}

std::optional<Response> parse_response(Bytes message, std::uint16_t id,
                                       const Question& question) noexcept {
  if (message.size() < header_size || wire::load16(message, 0) != id) return std::nullopt;
  const std::uint16_t flags = wire::load16(message, 2);
  if ((flags & is_response) == 0 || (flags & opcode_mask) != 0) return std::nullopt;
  if (wire::load16(message, 4) != 1) return std::nullopt;
  std::size_t at = header_size;
  const auto asked = Name::read(message, at);
  if (!asked || *asked != question.name || message.size() - at < 4 ||
      wire::load16(message, at) != static_cast<std::uint16_t>(question.kind) ||
      wire::load16(message, at + 2) != class_internet)
    return std::nullopt;
  at += 4;

  Response response;
  if ((flags & is_truncated) != 0) {
    response.outcome = Outcome::truncated;
    return response;
  }
  const std::uint16_t code = flags & code_mask;
  if (code != code_no_error && code != code_no_name) return response;

  const std::size_t answers = at;
  const unsigned answer_count = wire::load16(message, 6);
  // Aliases may stand in any order: each step looks through all answers.
  response.target = question.name;
  std::uint32_t ttl = UINT32_MAX;
  for (;;) {
    std::optional<Name> next;
    at = answers;
    for (unsigned i = 0; i < answer_count; ++i) {
      const auto record = read_record(message, at);
      if (!record) return std::nullopt;
      if (record->record_class != class_internet || record->name != response.target) continue;
      if (record->type == static_cast<std::uint16_t>(question.kind)) {
        if (add_address(message, *record, response.addresses)) ttl = std::min(ttl, record->ttl_s);
      } else if (record->type == type_alias && !next) {
        std::size_t place = record->data_at;
        next = Name::read(message, place);
        if (!next) return std::nullopt;
        ttl = std::min(ttl, record->ttl_s);
      }
    }
    if (response.addresses.count > 0) {
      response.outcome = Outcome::found;
      response.ttl_s = ttl;
      return response;
    }
    if (!next) break;
    if (++response.aliases > most_aliases) return response;  // failed: in a circle, or as good as
    response.target = *next;
  }
  // `at` is behind the answers now. What there is not: for how long?
  const unsigned authority_count = wire::load16(message, 8);
  std::optional<std::uint32_t> negative;
  for (unsigned i = 0; i < authority_count; ++i) {
    const auto record = read_record(message, at);
    if (!record) return std::nullopt;
    if (record->type == type_authority && response.target.is_within(record->name))
      negative = negative_ttl(message, *record);
  }
  if (negative) response.ttl_s = std::min(ttl, *negative);
  if (code == code_no_name)
    response.outcome = Outcome::no_name;
  else if (response.aliases > 0 && !negative) {
    response.outcome = Outcome::alias;
    response.ttl_s = ttl;
  } else {
    response.outcome = Outcome::no_data;
  }
  return response;
}

}  // namespace lichen::net::dns

#pragma clang attribute pop
