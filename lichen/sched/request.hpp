// Request<T>: a message that carries with it on whose behalf it is to be done.
#pragma once

#include <coroutine>
#include <utility>

#include "lichen/sched/machine.hpp"
#include "lichen/sched/place.hpp"

namespace lichen::sched {

// Made by the asker, anywhere a T would be sent. The server does the work in the asker's lane: as
// urgently as if the asker did it, and charged to the asker's app.
//
//   Channel<Request<Query>> queries{16};
//   co_await queries.send(Request{query});                    // the asker
//
//   auto request = CO_TRY(co_await queries.receive());        // the server
//   const auto on_behalf = co_await request.adopt();
//   answer(request.value);
template <class T>
struct Request {
  explicit Request(T what) noexcept : value{std::move(what)}, lane{Machine::lane_of_caller()} {}

  T value;
  LaneId lane;

  // Ends with the block; the server is back in its own lane from its next wake on. MUST be a local
  // of the task that adopts.
  class [[nodiscard]] OnBehalf {
   public:
    explicit OnBehalf(coro::Strand& strand, LaneId own) noexcept : strand_{&strand}, own_{own} {}
    OnBehalf(OnBehalf&& other) noexcept
        : strand_{std::exchange(other.strand_, nullptr)}, own_{other.own_} {}
    OnBehalf& operator=(OnBehalf&&) = delete;
    ~OnBehalf() {
      if (strand_) coro::change_lane(*strand_, own_);
    }

   private:
    coro::Strand* strand_;
    LaneId own_;
  };

  class Adopt {
   public:
    explicit Adopt(LaneId lane) noexcept : lane_{lane} {}
    [[nodiscard]] bool await_ready() noexcept {
      strand_ = coro::this_core()->current();
      own_ = coro::own_lane(*strand_);
      return own_ == lane_;
    }
    template <class Promise>
    void await_suspend(std::coroutine_handle<Promise> handle) const noexcept {
      Enter{lane_}.await_suspend(handle);
    }
    [[nodiscard]] OnBehalf await_resume() const noexcept { return OnBehalf{*strand_, own_}; }

   private:
    LaneId lane_;
    coro::Strand* strand_ = nullptr;
    LaneId own_ = coro::default_lane;
  };
  [[nodiscard]] Adopt adopt() const noexcept { return Adopt{lane}; }
};

}  // namespace lichen::sched
