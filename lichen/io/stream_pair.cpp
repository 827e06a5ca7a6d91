#include <algorithm>
#include <atomic>
#include <cstring>
#include <memory>
#include <new>

#include "lichen/coro/event.hpp"
#include "lichen/coro/lock.hpp"
#include "lichen/io/stream.hpp"

namespace lichen::io {

namespace {

// One direction: a ring of bytes between one reader and one writer, on any cores. Each side moves
// its bytes outside the lock, in the part of the ring that is its own, and then says so.
class Lane {
 public:
  Lane(std::unique_ptr<std::byte[]> ring, std::size_t capacity) noexcept
      : ring_{std::move(ring)}, capacity_{capacity} {}

  Task<Result<std::size_t>> read(std::span<std::byte> into) {
    if (reading_.exchange(true, std::memory_order_acquire)) co_return Error::busy;
    Release release{reading_};
    CO_TRY(co_await wait_until_readable());
    const std::size_t size = std::min(into.size(), readable());
    const std::size_t at = begin_ % capacity_;
    const std::size_t straight = std::min(size, capacity_ - at);
    std::memcpy(into.data(), &ring_[at], straight);
    std::memcpy(into.data() + straight, &ring_[0], size - straight);
    {
      coro::SpinGuard guard{lock_};
      begin_ += size;
    }
    writable_.set();
    co_return size;
  }

  Task<Result<Buffer>> receive() {
    if (reading_.exchange(true, std::memory_order_acquire)) co_return Error::busy;
    std::size_t size = 0;
    {
      Release release{reading_};
      CO_TRY(co_await wait_until_readable());
      size = readable();
    }
    if (size == 0) co_return Buffer{};
    Buffer buffer = allocate_buffer(size);
    if (buffer.room().empty()) co_return Error::no_memory;
    buffer.extend(CO_TRY(co_await read(buffer.room())));
    co_return buffer;
  }

  Task<Result<std::size_t>> write(std::span<const std::byte> from) {
    if (writing_.exchange(true, std::memory_order_acquire)) co_return Error::busy;
    Release release{writing_};
    CO_TRY(co_await wait_until_writable());
    const std::size_t size = std::min(from.size(), capacity_ - readable());
    const std::size_t at = end_ % capacity_;
    const std::size_t straight = std::min(size, capacity_ - at);
    std::memcpy(&ring_[at], from.data(), straight);
    std::memcpy(&ring_[0], from.data() + straight, size - straight);
    {
      coro::SpinGuard guard{lock_};
      end_ += size;
    }
    readable_.set();
    co_return size;
  }

  // The writer has written all it will.
  void end() noexcept { finish(ended_, Error{}); }
  // The reader is gone, or the connection is: what is in the ring is lost.
  void cut(Error why) noexcept { finish(cut_, why); }

 private:
  struct Release {
    std::atomic<bool>& taken;
    ~Release() { taken.store(false, std::memory_order_release); }
  };

  [[nodiscard]] std::size_t readable() noexcept {
    coro::SpinGuard guard{lock_};
    return end_ - begin_;
  }

  // Both look and subscribe under the lock: what changes afterwards sets the event afterwards.
  Task<Result<void>> wait_until_readable() {
    for (;;) {
      {
        coro::SpinGuard guard{lock_};
        if (cut_) co_return why_;
        if (end_ != begin_ || ended_) co_return Result<void>{};
        readable_.reset();
      }
      CO_TRY(co_await readable_.wait());
    }
  }
  Task<Result<void>> wait_until_writable() {
    for (;;) {
      {
        coro::SpinGuard guard{lock_};
        if (cut_) co_return why_;
        if (ended_) co_return Error::closed;
        if (end_ - begin_ < capacity_) co_return Result<void>{};
        writable_.reset();
      }
      CO_TRY(co_await writable_.wait());
    }
  }
  void finish(bool& how, Error why) noexcept {
    {
      coro::SpinGuard guard{lock_};
      if (how) return;
      how = true;
      if (why_ == Error{}) why_ = why;
    }
    readable_.set();
    writable_.set();
  }

  const std::unique_ptr<std::byte[]> ring_;
  const std::size_t capacity_;
  coro::SpinLock lock_;
  std::size_t begin_ = 0;  // bytes read so far
  std::size_t end_ = 0;    // bytes written so far
  bool ended_ = false;
  bool cut_ = false;
  Error why_{};
  coro::Event readable_;
  coro::Event writable_;
  std::atomic<bool> reading_{false};
  std::atomic<bool> writing_{false};
};

struct Lanes {
  Lanes(std::unique_ptr<std::byte[]> forth_ring, std::unique_ptr<std::byte[]> back_ring,
        std::size_t capacity) noexcept
      : forth{std::move(forth_ring), capacity}, back{std::move(back_ring), capacity} {}

  Lane forth;
  Lane back;
};

class PairedStream final : public Stream {
 public:
  PairedStream(std::shared_ptr<Lanes> lanes, Lane& in, Lane& out) noexcept
      : lanes_{std::move(lanes)}, in_{in}, out_{out} {}
  ~PairedStream() override {
    out_.end();
    in_.cut(Error::closed);
  }

  Task<Result<std::size_t>> read(std::span<std::byte> into) override {
    co_return co_await in_.read(into);
  }
  Task<Result<Buffer>> receive() override { co_return co_await in_.receive(); }
  Task<Result<std::size_t>> write(std::span<const std::byte> from) override {
    co_return co_await out_.write(from);
  }
  Task<Result<void>> shutdown(Direction direction) override {
    out_.end();
    if (direction == Direction::both) in_.cut(Error::closed);
    co_return Result<void>{};
  }
  void abort() noexcept override {
    out_.cut(Error::connection_reset);
    in_.cut(Error::connection_reset);
  }

 private:
  std::shared_ptr<Lanes> lanes_;
  Lane& in_;
  Lane& out_;
};

class PipeReader final : public Reader {
 public:
  explicit PipeReader(std::shared_ptr<Lane> lane) noexcept : lane_{std::move(lane)} {}
  ~PipeReader() override { lane_->cut(Error::closed); }

  Task<Result<std::size_t>> read(std::span<std::byte> into) override {
    co_return co_await lane_->read(into);
  }
  Task<Result<Buffer>> receive() override { co_return co_await lane_->receive(); }

 private:
  std::shared_ptr<Lane> lane_;
};

class PipeWriter final : public Writer {
 public:
  explicit PipeWriter(std::shared_ptr<Lane> lane) noexcept : lane_{std::move(lane)} {}
  ~PipeWriter() override { lane_->end(); }

  Task<Result<std::size_t>> write(std::span<const std::byte> from) override {
    co_return co_await lane_->write(from);
  }

 private:
  std::shared_ptr<Lane> lane_;
};

}  // namespace

Result<Pipe> make_memory_pipe(std::size_t capacity) {
  if (capacity == 0) return Error::invalid_argument;
  std::unique_ptr<std::byte[]> ring{new (std::nothrow) std::byte[capacity]};
  if (!ring) return Error::no_memory;
  auto lane = std::make_shared<Lane>(std::move(ring), capacity);
  Pipe pipe;
  pipe.reader.reset(new (std::nothrow) PipeReader{lane});
  pipe.writer.reset(new (std::nothrow) PipeWriter{std::move(lane)});
  if (!pipe.reader || !pipe.writer) return Error::no_memory;
  return pipe;
}

Result<StreamPair> make_stream_pair(std::size_t capacity) {
  if (capacity == 0) return Error::invalid_argument;
  std::unique_ptr<std::byte[]> forth{new (std::nothrow) std::byte[capacity]};
  std::unique_ptr<std::byte[]> back{new (std::nothrow) std::byte[capacity]};
  if (!forth || !back) return Error::no_memory;
  auto lanes = std::make_shared<Lanes>(std::move(forth), std::move(back), capacity);
  StreamPair pair;
  pair.first.reset(new (std::nothrow) PairedStream{lanes, lanes->back, lanes->forth});
  pair.second.reset(new (std::nothrow) PairedStream{lanes, lanes->forth, lanes->back});
  if (!pair.first || !pair.second) return Error::no_memory;
  return pair;
}

}  // namespace lichen::io
