// BodyReader: the content of a message, without its transfer coding, as a stream that pulls what it
// needs.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <string_view>

#include "lichen/io/stream.hpp"
#include "lichen/net/http/chunked.hpp"
#include "lichen/net/http/input.hpp"
#include "lichen/net/http/parser.hpp"

namespace lichen::net::http {

// How a body ends.
enum class BodyEnd : std::uint8_t { empty, length, chunked, stream };

// Reads from the connection only what it is asked for, so a handler that does not read holds back
// the client. Errors, after which nothing more can be read:
//   protocol_error   the chunked coding is broken
//   end_of_stream    the stream ended first
//   too_large        more content than the limit
//   timed_out        no progress in time
class BodyReader final : public io::Reader {
 public:
  class Owner {
   public:
    // Called before each wait for more of the body.
    virtual Task<Result<void>> before_wait() = 0;

   protected:
    ~Owner() = default;
  };

  BodyReader(Input& input, Owner* owner) noexcept : input_{input}, owner_{owner} {}

  // Starts on the body of the next message.
  void start(BodyEnd end, std::uint64_t length, std::uint64_t limit) noexcept;

  Task<Result<std::size_t>> read(std::span<std::byte> into) override;
  // Lends a piece without a copy. Valid until the next call.
  Task<Result<io::Buffer>> receive() override;
  // All the rest of it into `into`. Error::too_large when it does not fit.
  Task<Result<std::string_view>> read_all(std::span<char> into);
  // Skips what is left, if that is at most so many bytes as far as can be known; else
  // Error::too_large.
  Task<Result<void>> skip(std::uint64_t limit);

  [[nodiscard]] bool at_end() const noexcept { return at_end_ && piece_.empty(); }
  // What went wrong, if something did.
  [[nodiscard]] Error error() const noexcept { return error_; }
  // Whether the rest of the connection still makes sense.
  [[nodiscard]] bool failed() const noexcept { return error_ != Error{}; }
  // Whether anything was taken, or asked for, of the body.
  [[nodiscard]] bool untouched() const noexcept { return untouched_; }

 private:
  // The next piece into piece_; empty at the end.
  Task<Result<void>> next_piece();
  Result<void> fail(Error error) noexcept {
    error_ = error;
    return error;
  }

  Input& input_;
  Owner* owner_;
  BodyEnd end_ = BodyEnd::empty;
  bool at_end_ = true;
  bool untouched_ = true;
  Error error_{};
  std::uint64_t left_ = 0;   // of a body of known length
  std::uint64_t limit_ = 0;  // how much more content is accepted
  std::string_view piece_;   // decoded and not taken
  ChunkedDecoder decoder_;
};

}  // namespace lichen::net::http
