// Drives the shared object as packetdrill does, in our own words: calls and packets, no scripts.
#pragma once

#include <arpa/inet.h>
#include <dlfcn.h>
#include <gtest/gtest.h>
#include <netinet/in.h>

#include <array>
#include <cstring>
#include <string>
#include <vector>

#include "lichen/net/wire/wire.hpp"
#include "tests/packetdrill/interface.hpp"

namespace lichen::packetdrill {

namespace wire = net::wire;

struct Seen {
  long long time_us = 0;
  std::vector<std::byte> packet;
  wire::TcpHeader header;
  std::size_t payload = 0;
  bool operator==(const Seen& other) const {
    return time_us == other.time_us && packet == other.packet;
  }
};

class Driver {
 public:
  explicit Driver(const char* flags = nullptr) {
    library_ = ::dlopen(LICHEN_PACKETDRILL_LIBRARY, RTLD_NOW | RTLD_LOCAL);
    EXPECT_NE(library_, nullptr) << ::dlerror();
    if (library_ == nullptr) std::abort();
    reinterpret_cast<Init>(::dlsym(library_, init_name))(flags, &table);
  }
  Driver(const Driver&) = delete;
  Driver& operator=(const Driver&) = delete;
  ~Driver() {
    table.free(table.user);
    ::dlclose(library_);
  }

  // ---- calls
  int socket(int domain = AF_INET) { return table.socket(table.user, domain, SOCK_STREAM, 0); }
  static sockaddr_in address(const char* text, std::uint16_t port) {
    sockaddr_in in{};
    in.sin_family = AF_INET;
    in.sin_port = htons(port);
    ::inet_pton(AF_INET, text, &in.sin_addr);
    return in;
  }
  int bind(int fd, std::uint16_t port) {
    const sockaddr_in in = address(local, port);
    return table.bind(table.user, fd, reinterpret_cast<const sockaddr*>(&in), sizeof in);
  }
  int connect(int fd, std::uint16_t port) {
    const sockaddr_in in = address(remote, port);
    return table.connect(table.user, fd, reinterpret_cast<const sockaddr*>(&in), sizeof in);
  }
  int accept(int fd) { return table.accept(table.user, fd, nullptr, nullptr); }
  ssize_t write(int fd, std::size_t size) {
    const std::vector<std::byte> bytes(size, std::byte{'x'});
    return table.write(table.user, fd, bytes.data(), size);
  }
  ssize_t read(int fd, std::size_t size) {
    std::vector<std::byte> bytes(size);
    return table.read(table.user, fd, bytes.data(), size);
  }
  int close(int fd) { return table.close(table.user, fd); }
  int set_nonblocking(int fd) { return table.fcntl(table.user, fd, 4 /* F_SETFL */, 04000); }
  int option(int fd, int level, int name) {
    int value = -1;
    socklen_t size = sizeof value;
    EXPECT_EQ(table.getsockopt(table.user, fd, level, name, &value, &size), 0);
    return value;
  }
  int set_option(int fd, int level, int name, int value) {
    return table.setsockopt(table.user, fd, level, name, &value, sizeof value);
  }
  void pass_ms(unsigned ms) { table.usleep(table.user, ms * 1'000); }
  long long now_us() {
    timeval time;
    table.gettimeofday(table.user, &time, nullptr);
    return time.tv_sec * 1'000'000LL + time.tv_usec;
  }

  // ---- the wire: of the peer, from `peer_port` to `local_port`
  void send(const wire::TcpHeader& peer, std::size_t payload = 0) {
    wire::TcpHeader header = peer;
    header.from_port = peer_port;
    header.to_port = local_port;
    if (header.window == 0) header.window = 65'535;
    const auto from = *wire::IpAddress::parse(remote);
    const auto to = *wire::IpAddress::parse(local);
    std::vector<std::byte> bytes(wire::TcpHeader::max_size);
    bytes.resize(wire::write(bytes, header));
    const std::size_t head = bytes.size();
    bytes.insert(bytes.end(), payload, std::byte{'y'});
    wire::Sum sum = wire::pseudo_header(from, to, wire::protocol::tcp, bytes.size());
    sum.add(std::span{bytes}.subspan(head));
    wire::seal<wire::TcpHeader>(std::span{bytes}.first(head), sum);
    std::vector<std::byte> packet(wire::Ipv4Header::size);
    wire::write(
        packet,
        wire::Ipv4Header{.protocol = wire::protocol::tcp, .from = from.ipv4(), .to = to.ipv4()},
        bytes.size());
    packet.insert(packet.end(), bytes.begin(), bytes.end());
    EXPECT_EQ(table.netdev_send(table.user, packet.data(), packet.size()), 0);
  }
  Seen receive() {
    std::array<std::byte, 4'096> room;
    std::size_t size = room.size();
    Seen seen;
    EXPECT_EQ(table.netdev_receive(table.user, room.data(), &size, &seen.time_us), 0);
    seen.packet.assign(room.begin(), room.begin() + static_cast<std::ptrdiff_t>(size));
    const auto ipv4 = wire::parse_ipv4(seen.packet, {});
    if (!ipv4) return seen;
    const auto segment = wire::parse_tcp(
        ipv4->payload,
        wire::pseudo_header(ipv4->from, ipv4->to, ipv4->protocol, ipv4->payload.size()));
    EXPECT_TRUE(segment) << "the checksum is wrong";
    if (segment) {
      seen.header = *segment;
      seen.payload = segment->payload.size();
    }
    return seen;
  }

  // A passive opening from the peer's SYN to accept(); the numbers of both ends are 1 then.
  int open(int listener) {
    EXPECT_EQ(set_option(listener, SOL_SOCKET, SO_REUSEADDR, 1), 0);
    EXPECT_EQ(bind(listener, local_port), 0);
    EXPECT_EQ(table.listen(table.user, listener, 1), 0);
    handshake();
    return accept(listener);
  }
  void handshake() {
    wire::TcpHeader syn;
    syn.flags = wire::tcp_flag::syn;
    syn.options.mss = 1'000;
    syn.options.sack_permitted = true;
    syn.options.window_scale = 7;
    send(syn);
    const Seen answer = receive();
    EXPECT_EQ(answer.header.flags, wire::tcp_flag::syn | wire::tcp_flag::ack);
    iss = answer.header.sequence;
    send(ack(1, 1));
  }
  [[nodiscard]] wire::TcpHeader ack(std::uint32_t sequence, std::uint32_t acknowledged,
                                    std::uint8_t flags = wire::tcp_flag::ack) const {
    wire::TcpHeader header;
    header.sequence = sequence;
    header.acknowledgment = iss + acknowledged;
    header.flags = flags;
    header.window = 1'000;
    return header;
  }

  static constexpr const char* local = "192.168.0.1";
  static constexpr const char* remote = "192.0.2.1";
  std::uint16_t local_port = 8'080;
  std::uint16_t peer_port = 40'000;
  std::uint32_t iss = 0;  // ours
  Interface table{};

  [[nodiscard]] void* symbol(const char* name) const { return ::dlsym(library_, name); }

 private:
  void* library_;
};

}  // namespace lichen::packetdrill
