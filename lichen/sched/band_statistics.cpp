#include "lichen/sched/band_statistics.hpp"

#include <array>
#include <string>

#include "lichen/base/format.hpp"
#include "lichen/coro/scope.hpp"

// Runs seldom, and is made small.
#pragma clang attribute push(__attribute__((minsize)), apply_to = function)

namespace lichen::sched {

namespace {

Task<> count_ready(std::vector<BandStatistics>& bands) {
  std::array<std::uint64_t, band_count> ready{};
  Executor::current().count_ready(ready);
  for (unsigned band = 0; band < band_count; ++band) bands[band].ready += ready[band];
  co_return;
}

// Lanes are numbered by group and class, then come the reservations.
constexpr Qos class_of(LaneId lane) noexcept { return static_cast<Qos>((lane - 1) % qos_count); }

void visit_lane(Machine& machine, LaneId lane, const Group& group, std::string_view name,
                base::FunctionRef<void(const LaneFigures&)> visit) {
  LaneFigures figures{.lane = lane, .group = group.name(), .name = name, .work = {}};
  for (unsigned core = 0; core < machine.cores(); ++core)
    machine.core(core).watch().read_lane(lane, figures.work);
  if (figures.work.tasks > 0) visit(figures);
}

}  // namespace

Task<Result<std::vector<BandStatistics>>> band_statistics(Machine& machine) {
  std::vector<BandStatistics> bands(band_count);
  for (unsigned i = 0; i < machine.cores(); ++i) {
    // One core after the other: they add to the same sums.
    Scope reader;
    reader.spawn(count_ready(bands), &machine.core(i));
    CO_TRY(co_await reader.join());
    const ScheduleStatistics schedule = machine.core(i).schedule().statistics();
    for (unsigned band = 0; band < band_count; ++band) {
      bands[band].run_ns += schedule.run_ns[band];
      machine.core(i).watch().read_band(band, bands[band].work);
    }
  }
  co_return bands;
}

void for_each_lane(Machine& machine, base::FunctionRef<void(const LaneFigures&)> visit) {
  Registry& registry = machine.registry();
  for (std::uint32_t i = 0, left = registry.groups(); left > 0 && i < max_groups; ++i) {
    const Group* group = registry.group_at(i);
    if (!group) continue;
    --left;
    for (unsigned qos = 0; qos < qos_count; ++qos) {
      const LaneId lane = group->lane(static_cast<Qos>(qos));
      visit_lane(machine, lane, *group, name(static_cast<Qos>(qos)), visit);
    }
  }
  for (std::uint32_t i = 0, left = registry.reservations(); left > 0 && i < max_reservations; ++i) {
    const auto lane = static_cast<LaneId>(first_reservation_lane + i);
    const Reservation* reservation = registry.reservation_of(lane);
    if (!reservation) continue;
    --left;
    visit_lane(machine, lane, reservation->group(), "frames", visit);
  }
}

TraceLane describe_lane(Machine& machine, LaneId lane) {
  // Groups are numbered from 1 here: 0 is the runtime itself.
  if (lane == coro::event_lane) return {.group = 0, .group_name = "runtime", .name = "events"};
  Registry& registry = machine.registry();
  if (lane >= first_reservation_lane) {
    const Reservation* reservation = registry.reservation_of(lane);
    if (!reservation) return {.group = max_groups + 1, .group_name = "ended", .name = "frames"};
    const auto number = format<24>("frames {}", lane - first_reservation_lane);
    return {.group = 1 + reservation->group().index(),
            .group_name = std::string{reservation->group().name()},
            .name = std::string{number.view()}};
  }
  const Group* group = registry.group_of(lane);
  const std::string_view qos = name(class_of(lane));
  if (!group) return {.group = max_groups + 1, .group_name = "ended", .name = std::string{qos}};
  return {.group = 1 + group->index(),
          .group_name = std::string{group->name()},
          .name = std::string{qos}};
}

}  // namespace lichen::sched

#pragma clang attribute pop
