#include "lichen/driver/virtio/net_pair.hpp"

#include <utility>

#include "lichen/base/member.hpp"
#include "lichen/coro/hooks.hpp"
#include "lichen/driver/virtio/net.hpp"
#include "lichen/io/operation.hpp"
#include "lichen/io/turn.hpp"

namespace lichen::driver::virtio {

NetPair::NetPair(NetCard& card, unsigned index, coro::Core& home,
                 std::unique_ptr<NetReceive> receive, std::unique_ptr<NetSend> send) noexcept
    : card_{card},
      index_{index},
      home_{home},
      receive_{std::move(receive)},
      send_{std::move(send)},
      watchdog_{[](coro::Timer& timer) noexcept {
        NetPair& self = *base::holder_of<NetPair, &NetPair::watchdog_>(&timer);
        timer.fired();
        self.watching_ = false;
        self.look_for_stall();
      }} {}

NetPair::~NetPair() { stop_watching(); }

std::array<std::byte, 6> NetPair::address() const noexcept { return card_.address(); }
std::size_t NetPair::mtu() const noexcept { return card_.mtu(); }
io::NetFeatures NetPair::features() const noexcept { return card_.features(); }
const io::Steering* NetPair::steering() const noexcept { return card_.steering(); }

// ---- up and down --------------------------------------------------------------------------------

Result<void> NetPair::enable() noexcept {
  TRY(receive_->enable());
  return send_->enable();
}

// Before DRIVER_OK no buffer is announced (3.1.1.1).
void NetPair::start() noexcept {
  up_ = true;
  receive_->post();
  receive_->news().set();
}

void NetPair::stop() noexcept {
  if (!std::exchange(up_, false)) return;
  stop_watching();
  send_->reclaim().ignore();  // what it had sent before is not lost
  send_->drop_all();
}

bool NetPair::is_up() noexcept {
  if (!up_) return false;
  switch (card_.state()) {
    case NetCard::State::up: return true;
    case NetCard::State::stopping:
    case NetCard::State::resetting: return false;  // it may still read what we have lent
    case NetCard::State::stopped: break;
  }
  stop();
  return false;
}

void NetPair::fault() noexcept {
  if (!up_) return;
  card_.fault();
  is_up();
}

Task<Result<void>> NetPair::come_up() noexcept {
  if (index_ == 0) co_return co_await card_.restart();
  for (;;) {
    receive_->news().reset();
    is_up();
    if (up_) co_return Result<void>{};
    CO_TRY(co_await receive_->news().wait());
  }
}

bool NetPair::deliver() noexcept {
  if (!has_news()) return false;
  const std::uint8_t told = told_.exchange(0, std::memory_order_acquire);
  if (!is_up()) return true;
  if ((told & told_receive) != 0) receive_->news().set();
  if ((told & told_send) != 0) {
    settle_lent();
    if (up_) send_->news().set();
  }
  return true;
}

bool NetPair::prepare_sleep() noexcept {
  if (!up_ || !receive_->has_overlooked_frames()) return true;
  note(told_receive);
  return false;
}

// ---- frames -------------------------------------------------------------------------------------

// What the device has done with lent bytes, or an interrupt when it has done it all.
void NetPair::settle_lent() noexcept {
  while (send_->has_lent()) {
    if (!send_->reclaim()) return fault();
    if (send_->has_lent() && send_->interrupt_when_returned()) return;
  }
  send_->interrupts_off();
  send_->wake_lender();
}

Task<Result<std::size_t>> NetPair::receive(std::span<io::ReceivedFrame> into) {
  const io::Stay stay = co_await io::StayOn{home_};
  io::Turn turn{receiving_};
  if (!turn) co_return Error::busy;
  if (into.empty()) co_return Error::invalid_argument;
  for (unsigned looks = 0;;) {
    if (!is_up()) {
      CO_TRY(co_await come_up());
      continue;
    }
    const Result<std::size_t> taken = receive_->take(into);
    if (!taken) {
      fault();
      continue;
    }
    receive_->post();
    if (*taken != 0) {
      ++full_calls_;
      if (index_ == 0) card_.restart_pause_.forget();
      co_return *taken;
    }
    const Polling& polling = card_.options_.polling;
    if (full_calls_ >= polling.busy_after && looks < polling.looks) {
      ++looks;
      ++looks_;
      co_await yield();
      continue;
    }
    full_calls_ = 0;
    if (!receive_->prepare_wait()) continue;
    if (!is_up()) {  // another core has seen to that, and its news is over
      receive_->end_wait();
      continue;
    }
    ++waits_;
    const Result<void> waited = co_await receive_->news().wait();
    receive_->end_wait();
    CO_TRY(waited);
  }
}

Task<Result<std::size_t>> NetPair::send(std::span<const io::OutgoingFrame> frames) {
  const io::Stay stay = co_await io::StayOn{home_};
  io::Turn turn{sending_};
  if (!turn) co_return Error::busy;
  if (frames.empty()) co_return std::size_t{0};
  if (frames.size() > most_frames) co_return Error::too_large;
  for (;;) {
    if (is_up() && !send_->reclaim()) fault();
    if (!is_up() || !card_.link_is_up()) {
      send_->count_lost(frames.size());
      co_return frames.size();
    }
    const Result<std::size_t> added = send_->add(frames);
    if (added) {
      send_->publish();
      watch();
      settle_lent();
      co_await send_->returned();
      co_return *added;
    }
    if (!added.failed_with(Error::would_block)) co_return added.error();
    send_->news().reset();
    if (!is_up() || !send_->interrupt_when_roomy()) continue;
    const Result<void> waited = co_await send_->news().wait();
    if (up_) send_->interrupts_off();
    CO_TRY(waited);
  }
}

Task<Result<io::LinkState>> NetPair::link_changed(io::LinkState seen) {
  if (index_ != 0) co_return Error::not_supported;
  co_return co_await card_.link_changed(seen);
}

// ---- a device that stops sending ----------------------------------------------------------------

void NetPair::watch() noexcept {
  if (watching_) return;
  returned_ = send_->counters().returned;
  watching_ = true;
  home_.timers().set(watchdog_,
                     coro::hooks::now_ns() + static_cast<std::uint64_t>(stall_time.count()));
}

void NetPair::stop_watching() noexcept {
  if (std::exchange(watching_, false)) watchdog_.cancel();
}

// On its core. Small frames are taken note of when room is wanted only, so here, too.
void NetPair::look_for_stall() noexcept {
  if (!is_up()) return;
  settle_lent();
  if (!up_) return;
  if (!send_->reclaim()) return fault();
  if (send_->in_flight() == 0) return;
  if (send_->counters().returned != returned_) return watch();
  ++stalls_;
  fault();
}

PairCounters NetPair::counters() const noexcept {
  return {.receive = receive_->counters(),
          .send = send_->counters(),
          .waits = waits_,
          .looks = looks_,
          .stalls = stalls_};
}

}  // namespace lichen::driver::virtio
