#include "lichen/sched/placement.hpp"

#include <algorithm>
#include <bit>

#include "lichen/sched/reservation.hpp"

namespace lichen::sched {

namespace {

using Mask = CoresView::Mask;

// --- masks ---

// Calls visit(core) for each core of the mask, lowest first.
template <class Visit>
void for_each(Mask mask, Visit visit) {
  for (; mask != 0; mask &= mask - 1) visit(static_cast<unsigned>(std::countr_zero(mask)));
}

// The core of the mask for which key(core) is least, the first of equals; no_core: the mask is
// empty.
template <class Key>
unsigned least(Mask mask, Key key) {
  unsigned best = no_core;
  decltype(key(0)) best_key{};
  for_each(mask, [&](unsigned core) {
    if (const auto each = key(core); best == no_core || each < best_key) {
      best = core;
      best_key = each;
    }
  });
  return best;
}

// The usable core with the least count; `core` itself unless that is less by two tasks at least.
template <class Count>
unsigned lightest(const CoresView& cores, unsigned core, Count count) {
  const unsigned best = least(cores.usable, count);
  return best == no_core || count(best) + 1 >= count(core) ? core : best;
}

unsigned lowest(Mask mask) noexcept {
  return mask ? static_cast<unsigned>(std::countr_zero(mask)) : no_core;
}

Mask bit(unsigned core) noexcept { return Mask{1} << core; }

// Of the time until the deadline, in millionths.
std::uint64_t demand_ppm(const CoresView& cores, unsigned core, const FrameWork& work) noexcept {
  const auto scaled = static_cast<unsigned __int128>(work.budget_ns) * full_capacity * 1'000'000;
  const auto whole = static_cast<unsigned __int128>(work.deadline_ns) * cores.capacity(core);
  return static_cast<std::uint64_t>(scaled / std::max<unsigned __int128>(whole, 1));
}

bool in_time(const CoresView& cores, unsigned core, const FrameWork& work) noexcept {
  return demand_ppm(cores, core, work) <= 1'000'000;
}

// Load of the biggest core, as utilisation of this one.
std::uint64_t load_on(const CoresView& cores, unsigned core, std::uint32_t load) noexcept {
  return std::uint64_t{load} * full_capacity / cores.capacity(core);
}

}  // namespace

// --- Placement ---

// From the one with most to give; ties go to the next in turn.
unsigned Placement::victim(const CoresView& cores, unsigned thief) const noexcept {
  unsigned busiest = no_core;
  std::size_t most_offered = 0;
  for (unsigned i = 1; i < cores.count; ++i) {
    const unsigned other = thief + i < cores.count ? thief + i : thief + i - cores.count;
    if (const std::size_t offered = cores.offered(other); offered > most_offered) {
      most_offered = offered;
      busiest = other;
    }
  }
  return busiest;
}

unsigned Placement::lighter_core(const CoresView&, unsigned core, LaneId) const noexcept {
  return core;
}

unsigned Placement::lighter_core(const CoresView&, unsigned core) const noexcept { return core; }

unsigned Placement::better_core(const CoresView&, unsigned core, const Work&) const noexcept {
  return core;
}

unsigned Placement::heir(const CoresView& cores, unsigned leaver, const Work& work) const noexcept {
  const Mask others = cores.usable & ~bit(leaver);
  if (const unsigned idle = core_to_wake(cores, leaver, work); idle != no_core) return idle;
  return least(others, [&](unsigned core) { return cores.utilisation(core); });
}

// --- Spread ---

unsigned Spread::core_to_wake(const CoresView& cores, unsigned, const Work&) const noexcept {
  return lowest(cores.idle);
}

unsigned Spread::lighter_core(const CoresView& cores, unsigned core, LaneId lane) const noexcept {
  return lightest(cores, core, [&](unsigned each) { return cores.waiting(each, lane); });
}

unsigned Spread::lighter_core(const CoresView& cores, unsigned core) const noexcept {
  return lightest(cores, core, [&](unsigned each) { return cores.waiting(each); });
}

unsigned Spread::core_for_frames(const CoresView& cores, const FrameWork& work,
                                 Mask refused) const noexcept {
  const unsigned core = least(cores.usable & ~refused, [&](unsigned each) {
    // Those on which it could not be in time come last, so that there is somebody to refuse it.
    return cores.admitted_ppm(each) + (in_time(cores, each, work) ? 0 : std::uint64_t{1} << 62);
  });
  return core;
}

// --- Pack ---

unsigned Pack::core_to_wake(const CoresView& cores, unsigned from, const Work&) const noexcept {
  // A core before it in the order has room for sure; one behind it is wanted when it is full.
  const unsigned first = lowest(cores.idle);
  if (first == no_core || first < from) return first;
  return cores.is_usable(from) && cores.utilisation(from) < full_ ? no_core : first;
}

// Cores behind it in the order give it what they have; those before it only when they are full.
unsigned Pack::victim(const CoresView& cores, unsigned thief) const noexcept {
  unsigned last = no_core;
  for (unsigned other = 0; other < cores.count; ++other)
    if (other != thief && cores.offered(other) > 0 &&
        (other > thief || !cores.is_usable(other) || cores.utilisation(other) >= full_))
      last = other;
  return last;
}

unsigned Pack::core_for_frames(const CoresView& cores, const FrameWork& work,
                               Mask refused) const noexcept {
  Mask fitting = 0;
  for_each(cores.usable & ~refused, [&](unsigned core) {
    if (in_time(cores, core, work)) fitting |= bit(core);
  });
  return lowest(fitting);
}

unsigned Pack::better_core(const CoresView& cores, unsigned core, const Work& work) const noexcept {
  for (unsigned other = 0; other < core; ++other)
    if (cores.is_usable(other) &&
        cores.utilisation(other) + load_on(cores, other, work.load) < full_)
      return other;
  return core;
}

// --- EnergyAware ---

EnergyAware::EnergyAware(std::span<const CorePower> power, const Parameters& parameters) noexcept
    : parameters_{parameters} {
  for (std::size_t i = 0; i < power_.size(); ++i) power_[i] = power[std::min(i, power.size() - 1)];
}

std::uint64_t EnergyAware::cost(const CoresView& cores, unsigned core) const noexcept {
  const CorePower& power = power_[core];
  const std::uint64_t more = power.busy - std::min(power.busy, power.idle);
  return more * full_capacity / cores.capacity(core);
}

bool EnergyAware::has_room(const CoresView& cores, unsigned core,
                           std::uint32_t load) const noexcept {
  return cores.utilisation(core) + load_on(cores, core, load) <= parameters_.full;
}

// Of equally cheap ones the one with most room.
unsigned EnergyAware::cheapest_with_room(const CoresView& cores, Mask among,
                                         std::uint32_t load) const noexcept {
  Mask roomy = 0;
  for_each(among, [&](unsigned core) {
    if (has_room(cores, core, load)) roomy |= bit(core);
  });
  return least(roomy,
               [&](unsigned core) { return cost(cores, core) << 16 | cores.utilisation(core); });
}

unsigned EnergyAware::core_to_wake(const CoresView& cores, unsigned from,
                                   const Work& work) const noexcept {
  // Somebody waits for it: the fastest that is free.
  if (work.urgent())
    return least(cores.idle, [&](unsigned core) {
      return std::uint64_t{full_capacity - std::min(cores.capacity(core), full_capacity)} << 16 |
             cores.utilisation(core);
    });
  const unsigned cheapest = cheapest_with_room(cores, cores.idle, work.load);
  if (cheapest == no_core) return lowest(cores.idle);
  // A dearer one is woken when no cheap one has room, the one that asks included.
  if (cores.is_usable(from) && cost(cores, cheapest) > cost(cores, from) &&
      cores.utilisation(from) < parameters_.full)
    return no_core;
  return cheapest;
}

unsigned EnergyAware::victim(const CoresView& cores, unsigned thief) const noexcept {
  unsigned busiest = no_core;
  std::size_t most_offered = 0;
  for (unsigned i = 1; i < cores.count; ++i) {
    const unsigned other = thief + i < cores.count ? thief + i : thief + i - cores.count;
    const std::size_t offered = cores.offered(other);
    if (offered <= most_offered) continue;
    // What a cheap core can do itself is not done by a dear one.
    if (cores.is_usable(other) && cost(cores, other) < cost(cores, thief) &&
        cores.utilisation(other) < parameters_.full)
      continue;
    most_offered = offered;
    busiest = other;
  }
  return busiest;
}

unsigned EnergyAware::core_for_frames(const CoresView& cores, const FrameWork& work,
                                      Mask refused) const noexcept {
  const Mask open = cores.usable & ~refused;
  Mask fitting = 0;
  for_each(open, [&](unsigned core) {
    if (demand_ppm(cores, core, work) <= std::uint64_t{parameters_.frame_fit_permille} * 1'000)
      fitting |= bit(core);
  });
  const unsigned core = least(
      fitting, [&](unsigned each) { return cost(cores, each) << 32 | cores.admitted_ppm(each); });
  if (core != no_core) return core;
  // It fits nowhere well: the fastest one that can be in time at all.
  Mask possible = 0;
  for_each(open, [&](unsigned each) {
    if (in_time(cores, each, work)) possible |= bit(each);
  });
  return least(possible, [&](unsigned each) {
    return std::uint64_t{full_capacity - std::min(cores.capacity(each), full_capacity)} << 32 |
           cores.admitted_ppm(each);
  });
}

unsigned EnergyAware::better_core(const CoresView& cores, unsigned core,
                                  const Work& work) const noexcept {
  if (work.urgent()) {
    const unsigned fast = core_to_wake(cores, core, work);
    return fast != no_core && cores.capacity(fast) > cores.capacity(core) ? fast : core;
  }
  const unsigned cheap = cheapest_with_room(cores, cores.usable & ~bit(core), work.load);
  return cheap != no_core && cost(cores, cheap) < cost(cores, core) ? cheap : core;
}

const Placement& default_placement() noexcept {
  static constinit const Spread spread;
  return spread;
}

}  // namespace lichen::sched
