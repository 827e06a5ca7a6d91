// Memory and buffers for tests of connections.
#pragma once

#include <cstddef>
#include <cstdlib>
#include <cstring>
#include <span>

#include "lichen/net/tcp/connection.hpp"

namespace lichen::net::tcp {

// Counts what it gives; can be told to have no more.
class TestMemory final : public Memory {
 public:
  void* allocate(std::size_t size) noexcept override {
    if (refuses) return nullptr;
    ++calls;
    used += size;
    return std::malloc(size);
  }
  void free(void* memory, std::size_t size) noexcept override {
    used -= size;
    std::free(memory);
  }

  bool refuses = false;
  std::size_t calls = 0;
  std::size_t used = 0;
};

// Buffers as a driver would lend them, each in memory of its own, so that sanitizers see misuse.
class TestBuffers final : public io::BufferOwner {
 public:
  io::Buffer make(std::span<const std::byte> bytes, std::size_t room = 0) {
    ++lent;
    const std::size_t size = bytes.size() + room;
    auto* memory = static_cast<std::byte*>(std::malloc(size == 0 ? 1 : size));
    if (!bytes.empty()) std::memcpy(memory, bytes.data(), bytes.size());
    return io::Buffer{*this, {memory, size}, bytes.size()};
  }
  void give_back(std::span<std::byte> whole) noexcept override {
    --lent;
    std::free(whole.data());
  }

  std::size_t lent = 0;
};

// The pools of one stack.
struct TestPools {
  explicit TestPools(Memory& memory, std::size_t most = 100'000, const Output* output = nullptr,
                     std::size_t bytes_most = std::size_t{1} << 30)
      : flights{memory, most},
        pieces{memory, most, bytes_most},
        blocks{memory, most},
        chunks{memory, most, output} {}

  Pool<Flight> flights;
  PiecePool pieces;
  BlockPool blocks;
  ChunkPool chunks;  // goes before the blocks in it
};

}  // namespace lichen::net::tcp
