// ProtoWriter: appends protocol buffer messages to a string (protobuf.dev, "Encoding").
#pragma once

#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>

// Runs seldom, and is made small.
#pragma clang attribute push(__attribute__((minsize)), apply_to = function)

namespace lichen::sched {

class ProtoWriter {
 public:
  explicit ProtoWriter(std::string& out) noexcept : out_{out} {}

  ProtoWriter& number(unsigned field, std::uint64_t value) {
    varint(field << 3 | varint_type);
    varint(value);
    return *this;
  }
  ProtoWriter& fixed(unsigned field, std::uint64_t value) {
    varint(field << 3 | fixed64_type);
    for (unsigned byte = 0; byte < 8; ++byte) out_ += static_cast<char>(value >> (8 * byte) & 0xff);
    return *this;
  }
  ProtoWriter& text(unsigned field, std::string_view value) {
    varint(field << 3 | bytes_type);
    varint(value.size());
    out_ += value;
    return *this;
  }
  // A message in the message: what write(*this) appends, below 2 MiB.
  template <class Write>
  ProtoWriter& message(unsigned field, Write&& write) {
    varint(field << 3 | bytes_type);
    // Room for its size, which need not be written in the shortest way.
    const std::size_t at = out_.size();
    out_.append(size_bytes, '\0');
    write(*this);
    const std::size_t size = out_.size() - at - size_bytes;
    for (std::size_t i = 0; i < size_bytes; ++i) {
      const std::size_t more = i + 1 < size_bytes ? 0x80 : 0;
      out_[at + i] = static_cast<char>((size >> (7 * i) & 0x7f) | more);
    }
    return *this;
  }

 private:
  static constexpr unsigned varint_type = 0, fixed64_type = 1, bytes_type = 2;
  static constexpr std::size_t size_bytes = 3;

  void varint(std::uint64_t value) {
    for (; value >= 0x80; value >>= 7) out_ += static_cast<char>(value | 0x80);
    out_ += static_cast<char>(value);
  }

  std::string& out_;
};

}  // namespace lichen::sched

#pragma clang attribute pop
