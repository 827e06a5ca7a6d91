#include "lichen/sched/schedule.hpp"

#include <algorithm>
#include <bit>
#include <new>
#include <utility>

namespace lichen::sched {

namespace {

unsigned bucket_of(const Share& share) {
  return sched::bucket_of(share.local->foreground, share.lane.qos);
}

}  // namespace

template <std::size_t... I>
static std::array<FairQueue, sizeof...(I)> fair_queues(const ScheduleParameters& parameters,
                                                       std::index_sequence<I...>) {
  return {((void)I, FairQueue{parameters})...};
}

Schedule::Schedule(Registry& registry, std::uint32_t core, std::uint32_t capacity) noexcept
    : clutch_{registry.parameters()},
      buckets_{fair_queues(registry.parameters(), std::make_index_sequence<bucket_count>{})},
      registry_{registry},
      core_{core},
      admission_{capacity, registry.parameters().admission_permille} {
  set_up(default_local_, registry.default_group());
  registry.schedules_[core].store(this, std::memory_order_release);
}

Schedule::~Schedule() {
  settle(0);
  registry_.schedules_[core_].store(nullptr, std::memory_order_release);
  while (Lane* lane = frames_.pop()) end_use(*lane);
  while (Lane* lane = exhausted_.pop()) end_use(*lane);
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

// --- records ---------------------------------------------------------------------------------

Lane& Schedule::lane(LaneId id) noexcept {
  if (id == coro::event_lane) return event_;
  if (id >= first_reservation_lane) {
    Reservation* reservation = registry_.reservation_of(id);
    if (!reservation || reservation->schedule_ != this) return fallback(id);
    Lane& lane = reservation->lane_;
    if (!lane.share) {
      LocalGroup* local = local_for(reservation->group().index());
      if (!local) return fallback(id);
      lane.share = &local->shares[static_cast<unsigned>(Qos::user_interactive)];
    }
    return lane;
  }
  LocalGroup* local = local_for((id - 1U) / qos_count);
  return local ? local->shares[(id - 1U) % qos_count].lane : fallback(id);
}

Lane& Schedule::fallback(LaneId id) noexcept {
  lanes_missing_.add(1);
  const unsigned qos = id < first_reservation_lane ? (id - 1U) % qos_count
                                                   : static_cast<unsigned>(Qos::user_initiated);
  return default_local_.shares[qos].lane;
}

LocalGroup* Schedule::local_for(std::uint32_t index) noexcept {
  if (index == 0) return &default_local_;
  if (index >= max_groups) return nullptr;
  auto& place = locals_[index / group_chunk];
  LocalChunk* chunk = place.load(std::memory_order_relaxed);
  LocalGroup* local =
      chunk ? (*chunk)[index % group_chunk].load(std::memory_order_relaxed) : nullptr;
  if (local && local->generation.load(std::memory_order_relaxed) == local->group->generation())
      [[likely]]
    return local;

  Group* group = registry_.group_at(index);
  if (!group) return nullptr;
  if (local) {
    refresh(*local, last_now_);
    return local;
  }
  if (!chunk) {
    chunk = new (std::nothrow) LocalChunk{};
    if (!chunk) return nullptr;
    place.store(chunk, std::memory_order_release);
  }
  local = new (std::nothrow) LocalGroup;
  if (!local) return nullptr;
  set_up(*local, *group);
  (*chunk)[index % group_chunk].store(local, std::memory_order_release);
  return local;
}

void Schedule::set_up(LocalGroup& local, Group& group) noexcept {
  local.group = &group;
  for (unsigned qos = 0; qos < qos_count; ++qos) {
    Share& share = local.shares[qos];
    share.local = &local;
    share.lane.id = group.lane(static_cast<Qos>(qos));
    share.lane.kind = LaneKind::fair;
    share.lane.qos = static_cast<Qos>(qos);
    share.lane.group = &group;
    share.lane.share = &share;
  }
  refresh(local, last_now_);
}

const LocalGroup* Schedule::local(std::uint32_t group_index) const noexcept {
  if (group_index == 0) return &default_local_;
  const LocalChunk* chunk = locals_[group_index / group_chunk].load(std::memory_order_acquire);
  return chunk ? (*chunk)[group_index % group_chunk].load(std::memory_order_acquire) : nullptr;
}

// Takes over what the group says of itself. Whatever competes moves, with its tasks, at once.
void Schedule::refresh(LocalGroup& local, std::uint64_t now) noexcept {
  Group& group = *local.group;
  const bool foreground = group.foreground();
  const std::uint32_t weight = group.weight();
  const std::uint32_t generation = group.generation();
  const bool renewed = local.generation.load(std::memory_order_relaxed) != generation;
  // If it stays in its buckets, they do not notice.
  const bool moves = local.foreground != foreground;
  // Said again, or taken back before it was seen: nobody may begin a new request by that.
  if (!renewed && !moves && local.shares[0].weight == weight) return;
  if (!renewed && !moves) return reweigh(local, weight);
  bool competed[qos_count];
  bool queued[qos_count];
  for (unsigned qos = 0; qos < qos_count; ++qos) {
    Share& share = local.shares[qos];
    queued[qos] = share.node.is_linked();
    competed[qos] = share.queue != nullptr;
    if (queued[qos] && moves) unqueue(share);
    if (queued[qos] && !moves) share.queue->erase(share);
    if (competed[qos]) leave(share);
  }
  if (local.owed.is_linked()) guaranteed_.erase(local);

  if (renewed) {
    for (Share& share : local.shares) {
      share.last = nullptr;
      for (LaneCounter* counter : {&share.run_ns, &share.lane.run_ns, &share.lane.picks,
                                   &share.lane.throttlings, &share.lane.boosts})
        counter->reset();
    }
    local.throttlings.reset();
    local.generation.store(generation, std::memory_order_release);
  }
  local.foreground = foreground;
  local.limited = group.limit_permille() != 0;
  local.guarantee_permille = group.guarantee_permille();

  for (unsigned qos = 0; qos < qos_count; ++qos) {
    Share& share = local.shares[qos];
    FairQueue::set_weight(share, weight);
    if (competed[qos]) join(share, now);
    if (queued[qos] && moves) queue(share, now);
    if (queued[qos] && !moves) share.queue->push(share);
    if (share.runs && moves) clutch_.run_besides(bucket_of(share), now);
  }
  const std::uint32_t ready = std::exchange(local.ready, 0);
  ready_ -= ready;
  count_ready(local, ready);
}

void Schedule::reweigh(LocalGroup& local, std::uint32_t weight) noexcept {
  for (Share& share : local.shares) {
    const bool queued = share.node.is_linked();
    if (queued) share.queue->erase(share);
    if (share.queue)
      share.queue->change_weight(share, weight);
    else
      FairQueue::set_weight(share, weight);
    if (queued) share.queue->push(share);
  }
}

void Schedule::group_changed(std::uint32_t index) noexcept {
  // The reader takes the word's bit first.
  changed_[index / 64].fetch_or(std::uint64_t{1} << index % 64, std::memory_order_release);
  changed_words_.fetch_or(std::uint64_t{1} << index / 64, std::memory_order_release);
}

void Schedule::take_changes(std::uint64_t now) noexcept {
  std::uint64_t words = changed_words_.exchange(0, std::memory_order_acquire);
  for (; words != 0; words &= words - 1) {
    const auto word = static_cast<std::uint32_t>(std::countr_zero(words));
    std::uint64_t bits = changed_[word].exchange(0, std::memory_order_acquire);
    for (; bits != 0; bits &= bits - 1) {
      const std::uint32_t index = word * 64 + static_cast<std::uint32_t>(std::countr_zero(bits));
      // One that never had work here, or whose slot has another group now, has nothing to move.
      auto* local = const_cast<LocalGroup*>(this->local(index));
      if (local && local->generation.load(std::memory_order_relaxed) == local->group->generation())
        refresh(*local, now);
    }
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
    local.guaranteed = true;
    local.group->guarantee_begin(now);
  }
}

void Schedule::leave(Share& share) noexcept {
  LocalGroup& local = *share.local;
  share.queue->leave(share);
  if (--local.active == 0 && std::exchange(local.guaranteed, false)) local.group->guarantee_end();
}

// --- limits ----------------------------------------------------------------------------------

bool Schedule::take_chunk(LocalGroup& local, std::uint64_t now) noexcept {
  const ScheduleParameters& parameters = registry_.parameters();
  local.chunk_left = local.group->limit_take(parameters.limit_chunk_ns, now, parameters);
  local.chunk_taken_at = now;
  return local.chunk_left != 0;
}

void Schedule::return_chunk(LocalGroup& local) noexcept {
  if (const std::uint64_t unused = std::exchange(local.chunk_left, 0))
    local.group->limit_return(unused, local.chunk_taken_at, registry_.parameters());
}

// Its fair lanes leave the order until the limit has something for them again.
void Schedule::throttle(LocalGroup& local, std::uint64_t now) noexcept {
  count_gone(local, local.ready);
  for (Share& share : local.shares) {
    if (share.node.is_linked()) unqueue(share);
    if (share.queue) leave(share);
    for (Lane& lane : share.lanes) {
      lane.state = LaneState::throttled;
      lane.throttlings.add(1);
    }
  }
  local.throttled = true;
  local.throttlings.add(1);
  throttlings_.add(1);
  local.returns_at = local.group->limit_returns_at(now, registry_.parameters());
  throttled_.push(local);
  comeback_ = std::min(comeback_, local.returns_at);
}

void Schedule::bring_back(std::uint64_t now) noexcept {
  for (LocalGroup* local = throttled_.top(); local && local->returns_at <= now;
       local = throttled_.top()) {
    throttled_.pop();
    local->throttled = false;
    for (Share& share : local->shares) {
      if (share.lanes.empty()) continue;
      std::uint32_t lanes = 0;
      for (Lane& lane : share.lanes) {
        lane.state = LaneState::ready;
        ++lanes;
      }
      join(share, now);
      queue(share, now);
      count_ready(*local, lanes);
    }
  }
  for (Lane* lane = exhausted_.top(); lane && lane->comeback() <= now; lane = exhausted_.top()) {
    unlink(*lane);
    lane->reservation->server_.refresh(now);
    link(*lane, now);
  }
  update_comeback();
}

void Schedule::update_comeback() noexcept {
  const LocalGroup* local = throttled_.top();
  const Lane* lane = exhausted_.top();
  comeback_ = std::min(local ? local->returns_at : never, lane ? lane->comeback() : never);
}

// --- guarantees ------------------------------------------------------------------------------

std::uint64_t Schedule::owed_at(const LocalGroup& local) const noexcept {
  return local.group->served_until() +
         registry_.parameters().guarantee_slice_ns * 1'000 / local.guarantee_permille;
}

// Long enough for a small guarantee to come to a slice.
std::uint64_t Schedule::guarantee_window(const LocalGroup& local) const noexcept {
  const ScheduleParameters& parameters = registry_.parameters();
  return std::max(parameters.guarantee_window_ns,
                  parameters.guarantee_slice_ns * 2'000 / local.guarantee_permille);
}

std::uint64_t Schedule::owed_ns(const LocalGroup& local, std::uint64_t now) const noexcept {
  const std::uint64_t served = local.group->served_until();
  if (served >= now) return 0;
  return std::min(now - served, guarantee_window(local)) * local.guarantee_permille / 1'000;
}

// The group that is owed longest. Other cores serve the same groups, so what we remember of each is
// too early at worst.
LocalGroup* Schedule::owed(std::uint64_t now) noexcept {
  for (LocalGroup* local = guaranteed_.top(); local && local->owed_at <= now;
       local = guaranteed_.top()) {
    const std::uint64_t at = owed_at(*local);
    if (at <= now) return local;
    guaranteed_.pop();
    local->owed_at = at;
    guaranteed_.push(*local);
  }
  return nullptr;
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
  if (Lane* lane = first_frame(now)) {
    frames_.pop();
    lane->in_frames = false;
    --ready_;
    return begin(*lane, Right::frame);
  }
  return pick_fair(now);
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
    if (running.kind == LaneKind::frame) end_use(running);
  }
  if (running.share) rest(*running.share, now);
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
  if (local.guarantee_permille != 0) {
    local.group->guarantee_charge(ran_ns, now, guarantee_window(local));
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
  if (changed_words_.load(std::memory_order_relaxed) != 0) [[unlikely]]
    take_changes(now);
  if (comeback_ <= now) bring_back(now);
  if (right_ == Right::event) return false;
  if (event_ready_) return true;

  const Lane* frame = first_frame(now);
  if (right_ == Right::frame) {
    BandwidthServer server = running.reservation->server_;
    server.consume(ran, now);
    server.refresh(now);
    if (!server.exhausted()) return frame && frame->frame_deadline() < server.deadline();
  }
  if (frame || (ready_ != 0 && running.exhausted && running.comeback() <= now)) return true;

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
    return right_ != Right::frame || candidate.frame_deadline() < running.frame_deadline();
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
    return std::max(at, now);
  }
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
