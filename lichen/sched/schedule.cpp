#include "lichen/sched/schedule.hpp"

#include <algorithm>
#include <bit>
#include <new>
#include <utility>

namespace lichen::sched {

namespace {

template <std::size_t... I>
std::array<FairQueue, sizeof...(I)> fair_queues(const ScheduleParameters& parameters,
                                                std::index_sequence<I...>) {
  return {((void)I, FairQueue{parameters})...};
}

std::uint64_t later(std::uint64_t since, std::uint64_t ns) noexcept {
  return ns > Schedule::never - since ? Schedule::never : since + ns;
}

}  // namespace

Schedule::Schedule(Registry& registry, std::uint32_t core, std::uint32_t capacity) noexcept
    : clutch_{registry.parameters()},
      buckets_{fair_queues(registry.parameters(), std::make_index_sequence<bucket_count>{})},
      registry_{registry},
      core_{core},
      admission_{capacity, registry.parameters().admission_permille},
      frame_balance_{registry.parameters().admission_permille} {
  set_up(default_local_, registry.default_group());
  registry.schedules_[core].store(this, std::memory_order_release);
}

Schedule::~Schedule() {
  settle(0);
  registry_.schedules_[core_].store(nullptr, std::memory_order_release);
  while (Lane* lane = frames_.pop()) end_use(*lane);
  while (Lane* lane = exhausted_.pop()) end_use(*lane);
  while (claims_.pop_front()) {
  }
  while (guaranteed_.pop()) {
  }
  while (throttled_.pop()) {
  }
  drain(default_local_);
  for (auto& place : locals_) {
    LocalChunk* chunk = place.load(std::memory_order_relaxed);
    if (!chunk) continue;
    for (auto& entry : *chunk) {
      LocalGroup* local = entry.load(std::memory_order_relaxed);
      if (local) drain(*local);
      delete local;
    }
    delete chunk;
  }
}

// Takes out of the order whatever a machine that stops has left there.
void Schedule::drain(LocalGroup& local) noexcept {
  for (Share& share : local.shares) {
    while (share.lanes.pop_front()) {
    }
    if (share.node.is_linked()) share.queue->erase(share);
  }
}

// --- the order -------------------------------------------------------------------------------

void Schedule::insert(Lane& lane, std::uint64_t now) noexcept {
  settle(now);
  last_now_ = now;
  if (lane.kind == LaneKind::frame) {
    lane.reservation->retain();
    lane.reservation->server_.wake(now);
  }
  link(lane, now);
}

void Schedule::remove(Lane& lane, std::uint64_t now) noexcept {
  settle(now);
  unlink(lane);
  lane.state = LaneState::idle;
  if (lane.kind == LaneKind::frame) end_use(lane);
}

void Schedule::end_use(Lane& lane) noexcept {
  lane.exhausted = lane.in_frames = lane.in_exhausted = false;
  lane.reservation->release();
}

// A lone lane goes to its place in the order; one that runs is charged what it ran alone.
void Schedule::settle(std::uint64_t now) noexcept {
  if (!alone_) return;
  if (lone_)
    put_in_order(*std::exchange(lone_, nullptr), 0, now, true);
  else
    catch_up(now);
  alone_ = false;
}

void Schedule::catch_up(std::uint64_t now) noexcept {
  if (alone_ns_ != 0) account_fair(*running_, std::exchange(alone_ns_, 0), now);
}

void Schedule::link(Lane& lane, std::uint64_t now) noexcept {
  if (lane.kind == LaneKind::event) {
    event_ready_ = true;
    lane.state = LaneState::ready;
    ++ready_;
    return;
  }
  if (lane.kind == LaneKind::frame) {
    const BandwidthServer& server = lane.reservation->server_;
    lane.exhausted = server.exhausted();
    if (!lane.exhausted) {
      frames_.push(lane);
      lane.in_frames = true;
      lane.state = LaneState::ready;
      ++ready_;
      return;
    }
    exhausted_.push(lane);
    lane.in_exhausted = true;
    comeback_ = std::min(comeback_, lane.comeback());
  }
  link_fair(lane, now);
}

void Schedule::link_fair(Lane& lane, std::uint64_t now) noexcept {
  Share& share = *lane.share;
  LocalGroup& local = *share.local;
  share.lanes.push_back(lane);
  if (local.throttled) {
    lane.state = LaneState::throttled;
    return;
  }
  lane.state = LaneState::ready;
  if (!share.queue) join(share, now);
  if (!share.runs && !share.node.is_linked()) queue(share, now);
  count_ready(local, 1);
}

void Schedule::unlink(Lane& lane) noexcept {
  if (lane.kind == LaneKind::event) {
    event_ready_ = false;
    --ready_;
    return;
  }
  if (std::exchange(lane.in_frames, false)) {
    frames_.erase(lane);
    --ready_;
    return;
  }
  if (std::exchange(lane.in_exhausted, false)) {
    exhausted_.erase(lane);
    update_comeback();
  }
  Share& share = *lane.share;
  lane.member.unlink();
  if (lane.state == LaneState::throttled) return;
  count_gone(*share.local, 1);
  if (share.lanes.empty() && !share.runs) {
    unqueue(share);
    leave(share);
  }
}

void Schedule::count_ready(LocalGroup& local, std::uint32_t lanes) noexcept {
  ready_ += lanes;
  local.ready += lanes;
  if (local.guarantee_permille != 0 && local.ready != 0 && !local.owed.is_linked()) {
    local.owed_at = owed_at(local);
    guaranteed_.push(local);
  }
}

void Schedule::count_gone(LocalGroup& local, std::uint32_t lanes) noexcept {
  ready_ -= lanes;
  local.ready -= lanes;
  if (local.ready == 0 && local.owed.is_linked()) guaranteed_.erase(local);
}

void Schedule::queue(Share& share, std::uint64_t now) noexcept {
  share.queue->push(share);
  clutch_.add(bucket_of(share), now);
}

void Schedule::unqueue(Share& share) noexcept {
  share.queue->erase(share);
  if (share.queue->empty()) clutch_.remove(bucket_of(share));
}

void Schedule::join(Share& share, std::uint64_t now) noexcept {
  LocalGroup& local = *share.local;
  buckets_[bucket_of(share)].join(share);
  if (local.active++ == 0 && local.guarantee_permille != 0) {
    claims_.push_back(local);
    local.group->guarantee_begin(now);
  }
}

void Schedule::leave(Share& share) noexcept {
  LocalGroup& local = *share.local;
  share.queue->leave(share);
  if (--local.active != 0 || !local.claim.is_linked()) return;
  local.claim.unlink();
  local.group->guarantee_end();
}

// --- running ---------------------------------------------------------------------------------

Lane* Schedule::begin(Lane& lane, Right right) noexcept {
  running_ = &lane;
  right_ = right;
  paid_until_ = 0;
  lane.state = LaneState::running;
  lane.picks.add(1);
  picks_.add(1);
  return &lane;
}

Lane* Schedule::pick_in_order(std::uint64_t now) noexcept {
  last_now_ = now;
  if (changed_words_.load(std::memory_order_relaxed) != 0) [[unlikely]]
    take_changes(now);
  if (comeback_ <= now) bring_back(now);
  if (event_ready_) {
    event_ready_ = false;
    --ready_;
    return begin(event_, Right::event);
  }
  if (!frame_balance_.holds())
    if (Lane* lane = pick_frame(now)) return lane;
  if (Lane* lane = pick_fair(now)) return lane;
  return pick_frame(now);
}

Lane* Schedule::pick_frame(std::uint64_t now) noexcept {
  Lane* lane = first_frame(now);
  if (!lane) return nullptr;
  if (clutch_.empty()) frame_balance_.no_fair_work();
  frames_.pop();
  lane->in_frames = false;
  --ready_;
  return begin(*lane, Right::frame);
}

// The frame lane with the earliest deadline; null: none. One that has waited into its next period
// has the deadline of that.
Lane* Schedule::first_frame(std::uint64_t now) noexcept {
  Lane* lane = frames_.top();
  while (lane && lane->comeback() <= now) {
    frames_.pop();
    lane->reservation->server_.refresh(now);
    frames_.push(*lane);
    lane = frames_.top();
  }
  return lane;
}

Lane* Schedule::pick_fair(std::uint64_t now) noexcept {
  for (;;) {
    Share* share = nullptr;
    Right right = Right::bucket;
    if (LocalGroup* local = guaranteed_.empty() ? nullptr : owed(now)) {
      right = Right::guarantee;
      share = local->shares.data();
      while (share->lanes.empty()) ++share;
      clutch_.run_besides(bucket_of(*share), now);
      unqueue(*share);
      owed_left_ = owed_ns(*local, now);
    } else {
      if (clutch_.empty()) return nullptr;
      const bool in_window = clutch_.in_window();
      const unsigned bucket = clutch_.select(now);
      if (!in_window && clutch_.in_window()) windows_.add(1);
      share = static_cast<Share*>(buckets_[bucket].pop());
      if (buckets_[bucket].empty()) clutch_.remove(bucket);
    }
    LocalGroup& local = *share->local;
    if (local.limited && !take_chunk(local, now)) {
      throttle(local, now);
      clutch_.rest();
      continue;
    }
    Lane& lane = *share->lanes.pop_front();
    if (std::exchange(lane.in_exhausted, false)) {
      exhausted_.erase(lane);
      update_comeback();
    }
    count_gone(local, 1);
    share->runs = true;
    if (right == Right::guarantee) guaranteed_picks_.add(1);
    begin(lane, right);
    alone_ = ready_ == 0 && comeback_ == never && lane.kind == LaneKind::fair && !local.limited &&
             local.guarantee_permille == 0;
    return &lane;
  }
}

void Schedule::put_in_order(Lane& running, std::uint64_t ran_ns, std::uint64_t now,
                            bool still_ready) noexcept {
  last_now_ = now;
  alone_ = false;
  account(running, unpaid(ran_ns, now) + std::exchange(alone_ns_, 0), now, still_ready);
  if (running.share && std::exchange(running.share->runs, false))
    return_chunk(*running.share->local);
  if (still_ready) {
    if (running.kind == LaneKind::frame) running.reservation->server_.refresh(now);
    link(running, now);
  } else {
    running.state = LaneState::idle;
  }
  // A reservation that is given back may at once be another core's.
  Share* const share = running.share;
  if (!still_ready && running.kind == LaneKind::frame) end_use(running);
  if (share) rest(*share, now);
  clutch_.rest();
  running_ = nullptr;
  right_ = Right::none;
}

// Nobody of the share runs: it waits, or no longer competes.
void Schedule::rest(Share& share, std::uint64_t now) noexcept {
  if (!share.queue || share.node.is_linked()) return;
  if (share.lanes.empty())
    leave(share);
  else
    queue(share, now);
}

// Of the time that ended now, what is not charged yet.
std::uint64_t Schedule::unpaid(std::uint64_t ran_ns, std::uint64_t now) const noexcept {
  return std::min(ran_ns, now - std::min(now, paid_until_));
}

void Schedule::charge(Lane& running, std::uint64_t ran_ns, std::uint64_t now) noexcept {
  account(running, unpaid(ran_ns, now) + std::exchange(alone_ns_, 0), now, true);
  paid_until_ = std::max(paid_until_, now);
  if (right_ == Right::event) return;
  if (right_ == Right::frame) {
    running.reservation->server_.refresh(now);
    if (!running.reservation->server_.exhausted()) {
      rest(*running.share, now);
      return;
    }
    fall(running, now);
  }
  Share& share = *running.share;
  LocalGroup& local = *share.local;
  if (local.limited && local.chunk_left == 0) take_chunk(local, now);
  if (right_ == Right::guarantee) {
    if (owed_left_ != 0) return;
    right_ = Right::bucket;
  }
  // If its bucket would be selected again it goes on by that right.
  const unsigned bucket = bucket_of(share);
  Clutch trial = clutch_;
  trial.add(bucket, now);
  if (trial.select(now) != bucket) return;
  clutch_ = trial;
  if (buckets_[bucket].empty()) clutch_.remove(bucket);
}

void Schedule::account(Lane& lane, std::uint64_t ran_ns, std::uint64_t now, bool goes_on) noexcept {
  if (lane.kind == LaneKind::event) {
    lane.run_ns.add(ran_ns);
    band_ns_[event_band].add(ran_ns);
    return;
  }
  if (right_ != Right::frame) {
    account_fair(lane, ran_ns, now);
    return;
  }
  BandwidthServer& server = lane.reservation->server_;
  const std::uint64_t excess = server.consume(ran_ns, now);
  const bool overrun = excess != 0 || (goes_on && server.exhausted());
  const std::uint64_t within = ran_ns - excess;
  if (clutch_.empty())
    frame_balance_.no_fair_work();
  else
    frame_balance_.frames_ran(within, admission_.budgets_ns());
  lane.run_ns.add(within);
  band_ns_[frame_band].add(within);
  lane.group->count_frame(within, overrun);
  if (!overrun) return;

  // The rest is fair time; the bucket does not notice.
  lane.overruns.add(1);
  overruns_.add(1);
  if (excess == 0) return;
  Share& share = *lane.share;
  const bool queued = share.node.is_linked();
  if (queued) share.queue->erase(share);
  if (!share.queue && !share.local->throttled) join(share, now);
  account_fair(lane, excess, now);
  if (queued) share.queue->push(share);
}

// A frame lane that runs on although its budget is used up is one of its fair class from here on.
void Schedule::fall(Lane& running, std::uint64_t now) noexcept {
  Share& share = *running.share;
  running.exhausted = true;
  clutch_.run_besides(bucket_of(share), now);
  if (share.node.is_linked())
    unqueue(share);
  else if (!share.queue)
    join(share, now);
  share.runs = true;
  right_ = Right::bucket;
}

void Schedule::account_fair(Lane& lane, std::uint64_t ran_ns, std::uint64_t now) noexcept {
  Share& share = *lane.share;
  LocalGroup& local = *share.local;
  lane.run_ns.add(ran_ns);
  share.run_ns.add(ran_ns);
  band_ns_[first_bucket_band + bucket_of(share)].add(ran_ns);
  if (share.queue) share.queue->charge(share, ran_ns);
  clutch_.charge(ran_ns, now);
  frame_balance_.fair_ran(ran_ns);
  if (local.guarantee_permille != 0) {
    pay_guarantee(local, ran_ns, now);
    owed_left_ -= std::min(owed_left_, ran_ns);
  }
  if (local.limited) {
    const ScheduleParameters& parameters = registry_.parameters();
    // A chunk is good for the period in which it was taken.
    const std::uint64_t period = parameters.limit_period_ns;
    const std::uint64_t boundary = now / period * period;
    if (boundary != local.chunk_taken_at / period * period) {
      const std::uint64_t after = std::min(ran_ns, now - boundary);
      ran_ns -= after;
      if (after != 0) local.group->limit_overdraw(after, now, parameters);
      if (ran_ns > local.chunk_left)
        local.group->limit_overdraw(ran_ns - local.chunk_left, now, parameters);
      local.chunk_left = 0;
    } else if (ran_ns > local.chunk_left) {
      local.group->limit_overdraw(ran_ns - local.chunk_left, now, parameters);
      local.chunk_left = 0;
    } else {
      local.chunk_left -= ran_ns;
    }
  }
}

// --- decisions -------------------------------------------------------------------------------

bool Schedule::overtaken(const Lane& running, std::uint64_t since, std::uint64_t now) noexcept {
  if (alone_) return false;
  const std::uint64_t ran = now - std::min(now, since);
  if (would_switch(running, unpaid(ran, now), now)) return true;
  charge(*running_, ran, now);
  return false;
}

bool Schedule::would_switch(const Lane& running, std::uint64_t ran, std::uint64_t now) noexcept {
  if (changed_words_.load(std::memory_order_relaxed) != 0) [[unlikely]] {
    unpaid_ns_ = ran;
    take_changes(now);
    ran = std::exchange(unpaid_ns_, 0);
  }
  if (comeback_ <= now) bring_back(now);
  if (right_ == Right::event) return false;
  if (event_ready_) return true;

  const Lane* frame = first_frame(now);
  if (right_ == Right::frame) {
    BandwidthServer server = running.reservation->server_;
    server.consume(ran, now);
    server.refresh(now);
    if (!server.exhausted()) {
      if (!clutch_.empty() && frame_balance_.would_hold(ran, admission_.budgets_ns())) return true;
      return frame && frame->frame_deadline() < server.deadline();
    }
  }
  if ((frame && !frame_balance_.would_hold_still(ran)) ||
      (ready_ != 0 && running.exhausted && running.comeback() <= now))
    return true;

  const Share& share = *running.share;
  LocalGroup& local = *share.local;
  if (share.runs && local.limited) {
    const ScheduleParameters& parameters = registry_.parameters();
    const std::uint64_t period = parameters.limit_period_ns;
    if (now / period != local.chunk_taken_at / period) return true;
    if (ran >= local.chunk_left)
      local.chunk_left += local.group->limit_take(parameters.limit_chunk_ns, now, parameters);
    if (ran >= local.chunk_left) return true;
  }
  if (right_ == Right::guarantee && ran < owed_left_) return false;
  if (!guaranteed_.empty()) {
    const LocalGroup* first = owed(now);
    if (first && first != &local) return true;
  }
  if (ready_ == 0) return false;

  const unsigned bucket = bucket_of(share);
  if (!clutch_.empty()) {
    Clutch trial = clutch_;
    trial.charge(ran, now);
    trial.add(bucket, now);
    if (trial.select(now) != bucket) return true;
  }
  if (!share.runs) return !buckets_[bucket].empty();  // its budget ends only now
  if (!share.lanes.empty() && buckets_[bucket].request_left(share) <= ran) return true;
  return buckets_[bucket].yields(share, ran);
}

bool Schedule::more_urgent(const Lane& candidate, const Lane& running) const noexcept {
  if (candidate.state != LaneState::ready || right_ == Right::event) return false;
  if (candidate.kind == LaneKind::event) return true;
  if (candidate.in_frames)
    return right_ == Right::frame ? candidate.frame_deadline() < running.frame_deadline()
                                  : !frame_balance_.holds();
  return right_ == Right::bucket && clutch_.goes_before_running(bucket_of(*candidate.share));
}

std::uint64_t Schedule::next_decision(const Lane& running, std::uint64_t since,
                                      std::uint64_t now) noexcept {
  if (right_ == Right::event) return never;
  since = std::max(since, paid_until_);
  std::uint64_t at = comeback_;
  if (right_ == Right::frame) {
    if (ready_ != 0) at = std::min(at, since + running.reservation->server_.budget_left());
    if (!frames_.empty()) at = std::min(at, running.comeback());  // its deadline moves
    if (!clutch_.empty())
      at = std::min(at, later(since, frame_balance_.until_it_holds(admission_.budgets_ns())));
    return std::max(at, now);
  }
  if (!frames_.empty()) at = std::min(at, since + frame_balance_.until_it_ends());
  const Share& share = *running.share;
  const LocalGroup& local = *share.local;
  if (local.limited) {
    const std::uint64_t period = registry_.parameters().limit_period_ns;
    at = std::min({at, since + local.chunk_left, (now / period + 1) * period});
  }
  if (ready_ != 0) {
    if (running.exhausted) at = std::min(at, running.comeback());
    if (right_ == Right::guarantee) {
      at = std::min(at, since + owed_left_);
    } else {
      const FairQueue& bucket = buckets_[bucket_of(share)];
      at = std::min(at, clutch_.next_change(since));
      if (!bucket.empty() || !share.lanes.empty())
        at = std::min(at, since + bucket.request_left(share));
      if (const LocalGroup* first = guaranteed_.top(); first && first != &local)
        at = std::min(at, std::max(first->owed_at, owed_at(*first)));
    }
  }
  return std::max(at, now);
}

std::uint64_t Schedule::next_event(std::uint64_t now) noexcept {
  if (!empty()) return now;
  return std::max(comeback_, now);
}

// --- watching --------------------------------------------------------------------------------

ScheduleStatistics Schedule::statistics() const noexcept {
  ScheduleStatistics sum{.picks = picks_.get(),
                         .overruns = overruns_.get(),
                         .throttlings = throttlings_.get(),
                         .guaranteed_picks = guaranteed_picks_.get(),
                         .windows = windows_.get(),
                         .lanes_missing = lanes_missing_.get()};
  for (unsigned band = 0; band < band_count; ++band) sum.run_ns[band] = band_ns_[band].get();
  return sum;
}

std::int64_t Schedule::lag_ns(const Lane& lane) const noexcept {
  return lane.share && lane.share->queue ? lane.share->queue->lag_ns(*lane.share) : 0;
}

}  // namespace lichen::sched
