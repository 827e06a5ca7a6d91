// Registry: which group or reservation a lane id means, on the whole machine, and which cores there
// are to be told when a group changes.
//
// Slots come in chunks that are allocated when first needed and freed with the registry, so a
// lookup is two loads on any thread, and a pointer stays valid after its group has ended.
#pragma once

#include <array>
#include <atomic>
#include <cstdint>

#include "lichen/base/result.hpp"
#include "lichen/coro/core.hpp"
#include "lichen/sched/group.hpp"
#include "lichen/sched/parameters.hpp"
#include "lichen/sched/reservation.hpp"

namespace lichen::sched {

// MUST outlive the groups, the reservations and the schedules. With it begins group 0, "default",
// of the foreground.
class Registry {
 public:
  explicit Registry(const ScheduleParameters& parameters = {}) noexcept;
  ~Registry();
  Registry(const Registry&) = delete;
  Registry& operator=(const Registry&) = delete;

  [[nodiscard]] const ScheduleParameters& parameters() const noexcept { return parameters_; }
  [[nodiscard]] Group& default_group() noexcept { return default_chunk_[0]; }

  // The live group or reservation of an id or index; null: none. On any thread, wait-free.
  [[nodiscard]] Group* group_of(LaneId lane) noexcept;
  [[nodiscard]] Group* group_at(std::uint32_t index) noexcept;
  [[nodiscard]] Reservation* reservation_of(LaneId lane) noexcept;
  // The schedule of a core; null: none.
  [[nodiscard]] Schedule* schedule(std::uint32_t core) noexcept {
    return schedules_[core].load(std::memory_order_acquire);
  }

  // How many live now, for who watches the machine.
  [[nodiscard]] std::uint32_t groups() const noexcept {
    return groups_.load(std::memory_order_relaxed);
  }
  [[nodiscard]] std::uint32_t reservations() const noexcept {
    return reservations_.load(std::memory_order_relaxed);
  }

 private:
  friend class Group;
  friend class Reservation;
  friend class Schedule;

  static constexpr std::uint32_t chunk_size = 64;

  Result<Group*> claim_group() noexcept;
  Result<Reservation*> claim_reservation() noexcept;
  bool admit_guarantee(std::uint32_t permille) noexcept;
  void group_changed(std::uint32_t index) noexcept;

  const ScheduleParameters parameters_;
  std::array<Group, chunk_size> default_chunk_;
  std::array<std::atomic<Group*>, max_groups / chunk_size> group_chunks_{};
  std::array<std::atomic<Reservation*>, max_reservations / chunk_size> reservation_chunks_{};
  std::array<std::atomic<Schedule*>, coro::max_cores> schedules_{};
  std::atomic<std::uint32_t> groups_{0};
  std::atomic<std::uint32_t> reservations_{0};
  std::atomic<std::uint32_t> guaranteed_permille_{0};
};

}  // namespace lichen::sched
