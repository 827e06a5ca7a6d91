// The contracts of byte streams. Host sockets, pipes, our own TCP and TLS all look like this.
#pragma once

#include <cstddef>
#include <memory>
#include <span>

#include "lichen/base/result.hpp"
#include "lichen/coro/task.hpp"
#include "lichen/io/address.hpp"
#include "lichen/io/buffer.hpp"

namespace lichen::io {

// At most one read and one write may be in progress on a stream at a time; a second one of the same
// direction fails with Error::busy. Every wait ends with Error::stopped when the task is stopped
// and then no byte is lost: what was not delivered is delivered by the next call.
class Reader {
 public:
  virtual ~Reader() = default;
  // Waits for at least one byte. Returns the number of bytes read, 0 at the end of the stream.
  // `into` MUST NOT be empty.
  virtual Task<Result<std::size_t>> read(std::span<std::byte> into) = 0;
  // Waits for bytes and lends them without a copy where the source can. Empty at the end.
  // Holds no memory while it waits, so it is the call of choice for a stream that idles.
  virtual Task<Result<Buffer>> receive() = 0;
  // Fills `into` whole; Error::end_of_stream when the stream ends first.
  Task<Result<void>> read_exact(std::span<std::byte> into);
};

class Writer {
 public:
  virtual ~Writer() = default;
  // Writes at least one byte of `from`, returns how many. `from` MUST NOT be empty and stays
  // borrowed until the call completes.
  virtual Task<Result<std::size_t>> write(std::span<const std::byte> from) = 0;
  // Writes everything, in order. On an error an unknown prefix has been written.
  virtual Task<Result<void>> write_all(std::span<const std::byte> from);
  // The same for several pieces (gather); implementations send them together.
  virtual Task<Result<void>> write_pieces(std::span<const std::span<const std::byte>> pieces);
};

// What shutdown() ends: our sending (the peer sees the end of the stream), or both directions.
enum class Direction : unsigned char { send, both };

// Destroying a stream closes it and may be done while nothing waits on it.
class Stream : public Reader, public Writer {
 public:
  virtual Task<Result<void>> shutdown(Direction direction) = 0;
  // Cuts the connection at once: waiting calls fail, the peer sees a reset where the medium has
  // one.
  virtual void abort() noexcept = 0;
  [[nodiscard]] virtual Address peer() const { return {}; }
};

class Listener {
 public:
  virtual ~Listener() = default;
  // Waits for the next connection. Error::closed after close().
  virtual Task<Result<std::unique_ptr<Stream>>> accept() = 0;
  [[nodiscard]] virtual Address local() const = 0;
  // Stops accepting; a waiting accept() ends with Error::closed. Connections not yet accepted are
  // cut.
  virtual void close() noexcept = 0;
};

// Two streams joined back to back, in memory, with `capacity` bytes of buffer each way: for tests,
// and for parts of one program that talk through a stream.
struct StreamPair {
  std::unique_ptr<Stream> first;
  std::unique_ptr<Stream> second;
};
Result<StreamPair> make_stream_pair(std::size_t capacity);

// One way only, between any two tasks. When the writer is destroyed the reader still gets what was
// written, and then the end; when the reader is, writing fails with Error::closed.
struct Pipe {
  std::unique_ptr<Reader> reader;
  std::unique_ptr<Writer> writer;
};
Result<Pipe> make_memory_pipe(std::size_t capacity);

}  // namespace lichen::io
