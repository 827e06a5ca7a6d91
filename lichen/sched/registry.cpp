#include "lichen/sched/registry.hpp"

#include <bit>
#include <new>

#include "lichen/sched/schedule.hpp"

namespace lichen::sched {

namespace {

// The slot at `index`, in a chunk that is made if there is none yet. Null: no memory.
template <std::uint32_t chunk_size, class Slot, std::size_t chunks>
Slot* slot_at(std::array<std::atomic<Slot*>, chunks>& table, std::uint32_t index) {
  std::atomic<Slot*>& place = table[index / chunk_size];
  Slot* chunk = place.load(std::memory_order_acquire);
  if (!chunk) {
    Slot* fresh = new (std::nothrow) Slot[chunk_size];
    if (!fresh) return nullptr;
    if (place.compare_exchange_strong(chunk, fresh, std::memory_order_acq_rel))
      chunk = fresh;
    else
      delete[] fresh;  // somebody else was faster
  }
  return chunk + index % chunk_size;
}

bool lives(std::uint32_t generation) { return generation & 1; }

bool claim(std::atomic<bool>& taken) {
  return !taken.load(std::memory_order_relaxed) && !taken.exchange(true, std::memory_order_acquire);
}

}  // namespace

Registry::Registry(const ScheduleParameters& parameters) noexcept : parameters_{parameters} {
  group_chunks_[0].store(default_chunk_.data(), std::memory_order_relaxed);
  // Lives as long as the registry. Its slot is there, so this cannot fail.
  (void)Group::create(*this, {.name = "default", .foreground = true})->release();
}

Registry::~Registry() {
  for (std::size_t i = 1; i < group_chunks_.size(); ++i)
    delete[] group_chunks_[i].load(std::memory_order_relaxed);
  for (auto& chunk : reservation_chunks_) delete[] chunk.load(std::memory_order_relaxed);
}

Group* Registry::group_at(std::uint32_t index) noexcept {
  if (index >= max_groups) return nullptr;
  Group* chunk = group_chunks_[index / chunk_size].load(std::memory_order_acquire);
  if (!chunk) return nullptr;
  Group& group = chunk[index % chunk_size];
  return lives(group.generation()) ? &group : nullptr;
}

Group* Registry::group_of(LaneId lane) noexcept {
  if (lane == coro::event_lane) return nullptr;
  if (lane < first_reservation_lane) return group_at((lane - 1U) / qos_count);
  Reservation* reservation = reservation_of(lane);
  return reservation ? &reservation->group() : nullptr;
}

Reservation* Registry::reservation_of(LaneId lane) noexcept {
  if (lane < first_reservation_lane) return nullptr;
  const std::uint32_t index = lane - first_reservation_lane;
  if (index >= max_reservations) return nullptr;
  Reservation* chunk = reservation_chunks_[index / chunk_size].load(std::memory_order_acquire);
  if (!chunk) return nullptr;
  Reservation& reservation = chunk[index % chunk_size];
  return lives(reservation.generation_.load(std::memory_order_acquire)) ? &reservation : nullptr;
}

Result<Group*> Registry::claim_group() noexcept {
  for (std::uint32_t index = 0; index < max_groups; ++index) {
    Group* group = slot_at<chunk_size>(group_chunks_, index);
    if (!group) return Error::no_memory;
    if (!claim(group->taken_)) continue;
    group->registry_ = this;
    group->index_ = index;
    groups_.fetch_add(1, std::memory_order_relaxed);
    return group;
  }
  return Error::limit_reached;
}

Result<Reservation*> Registry::claim_reservation() noexcept {
  for (std::uint32_t index = 0; index < max_reservations; ++index) {
    Reservation* reservation = slot_at<chunk_size>(reservation_chunks_, index);
    if (!reservation) return Error::no_memory;
    if (!claim(reservation->taken_)) continue;
    reservation->registry_ = this;
    reservation->index_ = index;
    reservation->uses_.store(1, std::memory_order_relaxed);
    Lane& lane = reservation->lane_;
    lane.id = static_cast<LaneId>(first_reservation_lane + index);
    lane.kind = LaneKind::frame;
    lane.reservation = reservation;
    reservations_.fetch_add(1, std::memory_order_relaxed);
    return reservation;
  }
  return Error::limit_reached;
}

bool Registry::admit_guarantee(std::uint32_t permille) noexcept {
  const std::uint32_t most = parameters_.guarantee_total_permille;
  std::uint32_t before = guaranteed_permille_.load(std::memory_order_relaxed);
  do {
    if (permille > most || before > most - permille) return false;
  } while (!guaranteed_permille_.compare_exchange_weak(before, before + permille,
                                                       std::memory_order_relaxed));
  return true;
}

void Registry::group_changed(std::uint32_t index) noexcept {
  for (auto& place : schedules_)
    if (Schedule* schedule = place.load(std::memory_order_acquire)) schedule->group_changed(index);
}

}  // namespace lichen::sched
