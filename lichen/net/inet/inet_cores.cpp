#include "lichen/net/inet/inet_cores.hpp"

#include <algorithm>
#include <new>
#include <utility>

#include "lichen/coro/scope.hpp"
#include "lichen/io/operation.hpp"

namespace lichen::net::inet {

namespace {

// Whether a flow comes to the same core by whichever of the devices it comes.
bool are_steered_alike(std::span<io::NetDevice* const> queues) noexcept {
  const io::Steering* const first = queues.empty() ? nullptr : queues[0]->steering();
  return first && std::ranges::all_of(queues, [&](const io::NetDevice* queue) {
           const io::Steering* const steering = queue->steering();
           return steering && *steering == *first;
         });
}

}  // namespace

Result<std::unique_ptr<InetCores>> InetCores::create(unsigned cores, const InetOptions& options) {
  auto crossing = TRY(Crossing::create(cores, options.secret));
  std::unique_ptr<InetCores> made{new (std::nothrow) InetCores{std::move(crossing), options}};
  if (!made) return Error::no_memory;
  return made;
}

InetCores::~InetCores() = default;

Result<void> InetCores::add(io::NetDevice& queue) {
  io::NetDevice* const only = &queue;
  return add({&only, 1});
}

Result<void> InetCores::add(std::span<io::NetDevice* const> queues) {
  const unsigned place = cores();
  if (place == crossing_->places()) return Error::limit_reached;
  coro::Core& core = *coro::this_core();
  if (place == 0 && are_steered_alike(queues)) crossing_->steered_by(queues[0]->steering());
  crossing_->join(place, core);
  // One core alone needs nobody.
  Crossing* crossing = crossing_->places() > 1 ? crossing_.get() : nullptr;
  Inet* const leader = place == 0 ? nullptr : inets_[0].get();
  inets_.push_back(TRY(Inet::create(queues, options_, {crossing, place, leader})));
  by_core_[core.index()] = inets_.back().get();
  return {};
}

Task<Result<void>> InetCores::run() {
  if (cores() != crossing_->places()) co_return Error::invalid_state;
  Scope scope;
  for (const auto& inet : inets_) scope.spawn(inet->run(), &inet->home());
  const Result<void> outcome = co_await scope.join();
  // Nobody passes anything on any more; the last wakes arrive before what they wake goes.
  for (unsigned place = 0; place < cores(); ++place) {
    const io::Stay stay = co_await io::StayOn{inets_[place]->home()};
    crossing_->close(place);
    while (crossing_->has_wake(place)) co_await yield();
  }
  co_return outcome;
}

Task<Result<void>> InetCores::up(Duration limit) {
  coro::Core& caller = *coro::this_core();
  CO_TRY(co_await inets_[0]->up(limit));
  // All of them have the address when this returns.
  for (const auto& inet : inets_) {
    const io::Stay stay = co_await io::StayOn{inet->home()};
    if (inet->follows()) inet->follow();
    inet->after(inet->now());
  }
  const io::Stay back = co_await io::StayOn{caller};
  co_return Result<void>{};
}

Inet& InetCores::here() noexcept {
  // A task that is bound to a core may be elsewhere just now, where something of its has been done.
  const coro::Core* core = coro::this_core();
  if (const coro::Core* bound = core->current()->pinned()) core = bound;
  Inet* inet = by_core_[core->index()];
  return inet ? *inet : *inets_[0];
}

Task<Result<std::unique_ptr<io::Listener>>> InetCores::listen(io::Address at,
                                                              io::ListenOptions options) {
  co_return co_await here().listen(at, options);
}
Task<Result<std::unique_ptr<io::Stream>>> InetCores::connect(io::Address to) {
  co_return co_await here().connect(to);
}
Task<Result<std::unique_ptr<io::Datagram>>> InetCores::bind(io::Address at) {
  co_return co_await here().bind(at);
}
Task<Result<std::vector<io::Address>>> InetCores::resolve(std::string_view host,
                                                          std::uint16_t port) {
  co_return co_await inets_[0]->resolve(host, port);
}

}  // namespace lichen::net::inet
