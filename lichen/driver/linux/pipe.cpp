#include "lichen/driver/linux/pipe.hpp"

#include <fcntl.h>
#include <poll.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <new>

#include "lichen/base/error_map.hpp"
#include "lichen/io/turn.hpp"

namespace lichen::driver {

namespace {

constexpr std::size_t request_limit = 1U << 30;
constexpr std::uint64_t no_offset = UINT64_MAX;

auto fill(unsigned operation, int fd, const void* bytes, std::size_t size) noexcept {
  return [=](io_uring_sqe& sqe) noexcept {
    sqe.opcode = static_cast<std::uint8_t>(operation);
    sqe.fd = fd;
    sqe.off = no_offset;
    sqe.addr = reinterpret_cast<std::uint64_t>(bytes);
    sqe.len = static_cast<std::uint32_t>(std::min(size, request_limit));
  };
}

}  // namespace

Result<io::System::Pipe> make_host_pipe(UringCore& core) {
  std::array<int, 2> ends;
  if (pipe2(ends.data(), O_CLOEXEC) < 0) return from_errno(errno);
  Descriptor read_end{ends[0]};
  Descriptor write_end{ends[1]};
  io::System::Pipe pipe;
  pipe.reader.reset(new (std::nothrow) HostPipeReader{core, std::move(read_end)});
  pipe.writer.reset(new (std::nothrow) HostPipeWriter{core, std::move(write_end)});
  if (!pipe.reader || !pipe.writer) return Error::no_memory;
  return pipe;
}

Task<Result<std::size_t>> HostPipeReader::read(std::span<std::byte> into) {
  const io::Stay stay = co_await io::StayOn{core_.core()};
  io::Turn turn{reading_};
  if (!turn) co_return Error::busy;
  co_return CO_TRY(
      co_await core_.submit(fill(IORING_OP_READ, fd_.get(), into.data(), into.size())));
}

Task<Result<io::Buffer>> HostPipeReader::receive() {
  const io::Stay stay = co_await io::StayOn{core_.core()};
  io::Turn turn{reading_};
  if (!turn) co_return Error::busy;
  CO_TRY(co_await core_.submit([fd = fd_.get()](io_uring_sqe& sqe) noexcept {
    sqe.opcode = IORING_OP_POLL_ADD;
    sqe.fd = fd;
    sqe.poll32_events = POLLIN;
  }));
  io::Buffer buffer = io::allocate_buffer(buffer_size);
  if (buffer.room().empty()) co_return Error::no_memory;
  const auto room = buffer.room();
  buffer.extend(
      CO_TRY(co_await core_.submit(fill(IORING_OP_READ, fd_.get(), room.data(), room.size()))));
  co_return buffer;
}

Task<Result<std::size_t>> HostPipeWriter::write(std::span<const std::byte> from) {
  const io::Stay stay = co_await io::StayOn{core_.core()};
  io::Turn turn{writing_};
  if (!turn) co_return Error::busy;
  co_return CO_TRY(
      co_await core_.submit(fill(IORING_OP_WRITE, fd_.get(), from.data(), from.size())));
}

}  // namespace lichen::driver
