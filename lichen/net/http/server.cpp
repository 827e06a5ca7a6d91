#include "lichen/net/http/server.hpp"

#include <memory>
#include <utility>

#include "lichen/base/member.hpp"
#include "lichen/net/http/date.hpp"
#include "lichen/net/http/text.hpp"

namespace lichen::net::http {
namespace {

constexpr std::int64_t second_ns = 1'000'000'000;
// After an accept that failed for want of something: a moment in which some of it may come free.
constexpr Duration accept_pause = std::chrono::milliseconds{50};

}  // namespace

Server::Server(io::Listener& listener, Handler& handler, const io::System& system,
               ServerOptions options) noexcept
    : listener_{listener},
      handler_{handler},
      system_{system},
      options_{options},
      drain_timer_{&drain_over} {}

Task<Result<void>> Server::run() {
  Scope connections{OnError::keep_going};
  Result<void> outcome;
  while (!draining_) {
    if (counters_.open >= options_.max_connections) {
      room_.reset();
      if (outcome = co_await room_.wait(); !outcome) break;
      continue;
    }
    auto accepted = co_await listener_.accept();
    if (accepted) {
      ++counters_.accepted;
      ++counters_.open;
      if (!connections.spawn(serve(std::move(*accepted)), coro::this_core())) --counters_.open;
      continue;
    }
    if (accepted.failed_with(Error::closed)) break;
    if (accepted.failed_with(Error::stopped)) {
      outcome = Error::stopped;
      break;
    }
    // One connection failed, or there is no memory or descriptor for it now: the rest goes on.
    if (outcome = co_await sleep_for(accept_pause); !outcome) break;
  }
  if (!draining_ && outcome) drain(Duration::max());
  (co_await connections.join()).ignore();
  drain_timer_.cancel();
  co_return outcome;
}

Task<> Server::serve(std::unique_ptr<io::Stream> stream) {
  Connection connection{*this, *stream};
  connections_.push_back(connection);
  (co_await connection.run()).ignore();
  connection.place.unlink();
  --counters_.open;
  room_.set();
}

void Server::drain(Duration grace) noexcept {
  if (std::exchange(draining_, true)) return;
  listener_.close();
  room_.set();
  for (Connection& connection : connections_) connection.drain();
  const Deadline deadline = Deadline::after(grace);
  if (deadline != Deadline::never()) coro::this_core()->timers().set(drain_timer_, deadline.ns);
}

void Server::drain_over(coro::Timer& timer) noexcept {
  Server& self = *base::holder_of<Server, &Server::drain_timer_>(&timer);
  timer.fired();
  for (Connection& connection : self.connections_) connection.cut();
}

std::string_view Server::common_lines() noexcept {
  const std::uint64_t now = coro::this_core()->batch_now_ns();
  if (now >= common_until_ns_) [[unlikely]] {
    const std::int64_t wall = system_.wall_clock_ns();
    common_until_ns_ = now + static_cast<std::uint64_t>(second_ns - wall % second_ns);
    now_ = wall / second_ns;
    common_ = FixedString<128>{[&](TextBuffer& text) {
      text.append("Date: ");
      text.append(DateText{now_}.text());
      text.append("\r\n");
      if (options_.name.empty() || options_.name.size() > 64 || !all(value_char, options_.name))
        return;
      text.append("Server: ");
      text.append(options_.name);
      text.append("\r\n");
    }};
  }
  return common_.view();
}

}  // namespace lichen::net::http
