// Answers of a server, for tests.
#pragma once

#include <initializer_list>
#include <vector>

#include "lichen/net/dns/message.hpp"
#include "lichen/net/wire/fields.hpp"

namespace lichen::net::dns {

class TestMessage {
 public:
  TestMessage(std::uint16_t id, const Question& question, unsigned code = 0) : bytes_(12) {
    wire::store16(bytes_, 0, id);
    wire::store16(bytes_, 2, static_cast<std::uint16_t>(0x8180 | code));
    wire::store16(bytes_, 4, 1);
    put(question.name);
    put16(static_cast<std::uint16_t>(question.kind));
    put16(1);
  }
  TestMessage& address(const Name& name, std::initializer_list<std::uint8_t> octets,
                       std::uint32_t ttl) {
    record(name, octets.size() == 4 ? 1 : 28, ttl, octets.size(), 6);
    for (const std::uint8_t octet : octets) bytes_.push_back(std::byte{octet});
    return *this;
  }
  TestMessage& alias(const Name& name, const Name& target, std::uint32_t ttl) {
    record(name, 5, ttl, target.bytes().size(), 6);
    put(target);
    return *this;
  }
  TestMessage& authority(const Name& zone, std::uint32_t ttl, std::uint32_t minimum) {
    record(zone, 6, ttl, 22, 8);
    for (int i = 0; i < 18; ++i) bytes_.push_back({});
    put16(static_cast<std::uint16_t>(minimum >> 16));
    put16(static_cast<std::uint16_t>(minimum));
    return *this;
  }
  [[nodiscard]] const std::vector<std::byte>& bytes() const { return bytes_; }

  static Name root() {
    std::size_t at = 0;
    const std::byte zero[1]{};
    return *Name::read(zero, at);
  }

 private:
  void record(const Name& name, std::uint16_t type, std::uint32_t ttl, std::size_t size,
              std::size_t counter) {
    wire::store16(bytes_, counter, static_cast<std::uint16_t>(wire::load16(bytes_, counter) + 1));
    put(name);
    put16(type);
    put16(1);
    put16(static_cast<std::uint16_t>(ttl >> 16));
    put16(static_cast<std::uint16_t>(ttl));
    put16(static_cast<std::uint16_t>(size));
  }
  void put(const Name& name) {
    bytes_.insert(bytes_.end(), name.bytes().begin(), name.bytes().end());
  }
  void put16(std::uint16_t value) {
    bytes_.push_back(static_cast<std::byte>(value >> 8));
    bytes_.push_back(static_cast<std::byte>(value));
  }

  std::vector<std::byte> bytes_;
};

}  // namespace lichen::net::dns
