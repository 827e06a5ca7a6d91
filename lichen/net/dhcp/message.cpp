#include "lichen/net/dhcp/message.hpp"

#include <algorithm>

#include "lichen/net/wire/fields.hpp"

// Runs seldom, and is made small.
#pragma clang attribute push(__attribute__((minsize)), apply_to = function)

namespace lichen::net::dhcp {

namespace {

using wire::Drop;

constexpr std::uint32_t magic = 0x63825363;
constexpr std::size_t server_name_at = 44, file_at = 108, magic_at = 236, options_at = 240;

namespace option {
constexpr std::uint8_t pad = 0, mask = 1, router = 3, dns = 6, mtu = 26, wanted = 50, lease = 51,
                       overload = 52, type = 53, server = 54, parameters = 55, largest = 57,
                       renew = 58, rebind = 59, client = 61, end = 255;
}  // namespace option

struct Seen {
  Reply reply;
  bool has_type = false;
  std::uint8_t overload = 0;
};

void take(std::uint8_t code, Bytes value, Seen& seen) noexcept {
  Reply& reply = seen.reply;
  const auto address = [&] { return wire::load_octets<wire::Ipv4Address>(value, 0); };
  const std::size_t size = value.size();
  switch (code) {
    case option::type:
      if (size != 1) return;
      seen.has_type = true;
      reply.type = static_cast<MessageType>(wire::load8(value, 0));
      return;
    case option::overload:
      if (size == 1) seen.overload = wire::load8(value, 0);
      return;
    case option::mask:
      if (size == 4) reply.mask = address();
      return;
    case option::router:
      if (size >= 4) reply.router = address();
      return;
    case option::server:
      if (size == 4) reply.server = address();
      return;
    case option::lease:
      if (size == 4) reply.lease_s = wire::load32(value, 0);
      return;
    case option::renew:
      if (size == 4) reply.renew_s = wire::load32(value, 0);
      return;
    case option::rebind:
      if (size == 4) reply.rebind_s = wire::load32(value, 0);
      return;
    case option::mtu:
      if (size == 2) reply.mtu = wire::load16(value, 0);
      return;
    case option::dns:
      for (std::size_t at = 0; at + 4 <= size; at += 4)
        if (reply.dns_server_count < reply.dns_servers.size())
          reply.dns_servers[reply.dns_server_count++] =
              wire::load_octets<wire::Ipv4Address>(value, at);
      return;
    default: return;
  }
}

// False: an option reaches past its field.
bool read_options(Bytes bytes, Seen& seen) noexcept {
  for (std::size_t at = 0; at < bytes.size();) {
    const std::uint8_t code = wire::load8(bytes, at++);
    if (code == option::pad) continue;
    if (code == option::end) return true;
    if (at == bytes.size()) return false;
    const std::size_t size = wire::load8(bytes, at++);
    if (size > bytes.size() - at) return false;
    take(code, bytes.subspan(at, size), seen);
    at += size;
  }
  return true;
}

class Options {
 public:
  explicit Options(std::span<std::byte> room) noexcept : room_{room} {}

  void add(std::uint8_t code, std::initializer_list<std::uint8_t> value) noexcept {
    wire::store8(room_, at_++, code);
    wire::store8(room_, at_++, static_cast<std::uint8_t>(value.size()));
    for (const std::uint8_t byte : value) wire::store8(room_, at_++, byte);
  }
  void add(std::uint8_t code, const wire::Ipv4Address& address) noexcept {
    const auto& o = address.octets;
    add(code, {o[0], o[1], o[2], o[3]});
  }
  void end() noexcept { wire::store8(room_, at_++, option::end); }

 private:
  std::span<std::byte> room_;
  std::size_t at_ = 0;
};

}  // namespace

wire::Parsed<Reply> parse_reply(Bytes bytes) noexcept {
  if (bytes.size() < options_at) return std::unexpected{Drop::truncated};
  constexpr std::uint8_t reply_operation = 2, ethernet = 1;
  if (wire::load8(bytes, 0) != reply_operation || wire::load8(bytes, 1) != ethernet ||
      wire::load8(bytes, 2) != 6 || wire::load32(bytes, magic_at) != magic)
    return std::unexpected{Drop::bad_version};
  Seen seen;
  seen.reply.transaction = wire::load32(bytes, 4);
  seen.reply.address = wire::load_octets<wire::Ipv4Address>(bytes, 16);
  seen.reply.client = wire::load_octets<wire::MacAddress>(bytes, 28);
  if (!read_options(bytes.subspan(options_at), seen)) return std::unexpected{Drop::bad_option};
  const std::uint8_t overload = seen.overload;
  if ((overload & 1) != 0 && !read_options(bytes.subspan(file_at, magic_at - file_at), seen))
    return std::unexpected{Drop::bad_option};
  if ((overload & 2) != 0 &&
      !read_options(bytes.subspan(server_name_at, file_at - server_name_at), seen))
    return std::unexpected{Drop::bad_option};
  const MessageType type = seen.reply.type;
  if (!seen.has_type || (type != MessageType::offer && type != MessageType::acknowledge &&
                         type != MessageType::refuse))
    return std::unexpected{Drop::bad_value};
  return seen.reply;
}

std::size_t write(std::span<std::byte, request_size> out, const Request& request) noexcept {
  std::ranges::fill(out, std::byte{0});
  wire::store8(out, 0, 1);
  wire::store8(out, 1, 1);
  wire::store8(out, 2, 6);
  wire::store32(out, 4, request.transaction);
  wire::store16(out, 8, request.seconds);
  wire::store16(out, 10, request.broadcast ? 0x8000 : 0);
  wire::store_octets(out, 12, request.current);
  wire::store_octets(out, 28, request.client);
  wire::store32(out, magic_at, magic);
  Options options{out.subspan(options_at)};
  options.add(option::type, {static_cast<std::uint8_t>(request.type)});
  const auto& mac = request.client.octets;
  options.add(option::client, {1, mac[0], mac[1], mac[2], mac[3], mac[4], mac[5]});
  if (request.wanted) options.add(option::wanted, *request.wanted);
  if (request.server) options.add(option::server, *request.server);
  if (request.type == MessageType::discover || request.type == MessageType::request) {
    options.add(option::largest, {1'500 >> 8, 1'500 & 0xff});
    options.add(option::parameters, {option::mask, option::router, option::dns, option::mtu,
                                     option::renew, option::rebind});
  }
  options.end();
  return request_size;
}

}  // namespace lichen::net::dhcp

#pragma clang attribute pop
