// What a core knows of groups: its records of them, their changes, limits and guarantees.
#include <algorithm>
#include <bit>
#include <new>
#include <utility>

#include "lichen/sched/schedule.hpp"

namespace lichen::sched {

// --- records ---------------------------------------------------------------------------------

Lane& Schedule::lane(LaneId id) noexcept {
  if (id == coro::event_lane) return event_;
  if (id >= first_reservation_lane) {
    Reservation* reservation = registry_.reservation_of(id);
    if (!reservation) return fallback(id);
    Lane& lane = reservation->lane_;
    const bool mine = reservation->schedule_ == this;
    if (mine && lane.share) [[likely]]
      return lane;
    LocalGroup* local = local_for(reservation->group().index());
    if (!local) return fallback(id);
    Share& share = local->shares[static_cast<unsigned>(Qos::user_interactive)];
    if (!mine) return share.lane;
    lane.share = &share;
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
  if (moves) pay_where_it_ran(local, now);
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
      share.last = share.elsewhere.last = nullptr;
      share.lane.others_until_ns = 0;
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
    // What it is ahead by in one place waits for it there.
    if (moves) std::swap(static_cast<Progress&>(share), share.elsewhere);
    if (competed[qos]) join(share, now);
    if (queued[qos] && moves) queue(share, now);
    if (queued[qos] && !moves) share.queue->push(share);
    if (!share.runs || !moves) continue;
    // It has had no turn there: it goes on if it would be picked.
    share.deadline = share.runtime;
    clutch_.run_besides(bucket_of(share), now);
  }
  const std::uint32_t ready = std::exchange(local.ready, 0);
  ready_ -= ready;
  count_ready(local, ready);
}

// What the running lane ran before its group moves.
void Schedule::pay_where_it_ran(const LocalGroup& local, std::uint64_t now) noexcept {
  if (unpaid_ns_ == 0 || running_->share->local != &local || !running_->share->runs) return;
  account(*running_, std::exchange(unpaid_ns_, 0), now, true);
  paid_until_ = now;
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

void Schedule::host_took(const Lane& running, std::uint64_t ns, std::uint64_t now) noexcept {
  for (const LocalGroup& local : claims_) {
    // A part of one core that lies on as many as have work of it.
    const std::uint64_t part = ns * local.guarantee_permille / 1'000 / local.group->claimed_cores();
    pay_guarantee(local, part, now);
    if (running.share && running.share->local == &local) owed_left_ -= std::min(owed_left_, part);
  }
}

void Schedule::pay_guarantee(const LocalGroup& local, std::uint64_t ns,
                             std::uint64_t now) noexcept {
  local.group->guarantee_charge(ns, now, guarantee_window(local));
}

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

}  // namespace lichen::sched
