#include "lichen/sched/group.hpp"

#include <algorithm>
#include <limits>

#include "lichen/sched/registry.hpp"
#include "lichen/sched/schedule.hpp"

namespace lichen::sched {

namespace {

constexpr auto relaxed = std::memory_order_relaxed;

// Group::limit_used_ holds the period's number above what is used of it.
constexpr unsigned used_bits = 36;  // 68 seconds of processor time
constexpr std::uint64_t used_mask = (std::uint64_t{1} << used_bits) - 1;

std::uint64_t limit_state(std::uint64_t period, std::uint64_t used) {
  return period << used_bits | std::min(used, used_mask);
}

// How many periods `later` is after `earlier`; the numbers wrap.
std::int64_t periods_between(std::uint64_t earlier, std::uint64_t later) {
  return static_cast<std::int64_t>((later - earlier) << used_bits) >> used_bits;
}

}  // namespace

Result<Group::Handle> Group::create(Registry& registry, const GroupOptions& options) noexcept {
  if (options.weight == 0 || options.weight > GroupOptions::max_weight ||
      options.limit_permille > GroupOptions::max_limit_permille ||
      (options.limit_permille != 0 && options.guarantee_permille > options.limit_permille))
    return Error::invalid_argument;
  if (!registry.admit_guarantee(options.guarantee_permille)) return Error::limit_reached;
  const Result<Group*> claimed = registry.claim_group();
  if (!claimed) {
    registry.guaranteed_permille_.fetch_sub(options.guarantee_permille, relaxed);
    return claimed.error();
  }

  // active_cores_ stays: cores may be about to leave the group that was here before.
  Group& self = **claimed;
  self.uses_.store(1, relaxed);
  self.weight_.store(options.weight, relaxed);
  self.guarantee_permille_.store(options.guarantee_permille, relaxed);
  self.limit_permille_.store(options.limit_permille, relaxed);
  self.reserved_ppm_.store(0, relaxed);
  self.foreground_.store(options.foreground, relaxed);
  self.limit_used_.store(0, relaxed);
  self.frame_ns_.store(0, relaxed);
  self.frame_overruns_.store(0, relaxed);
  self.name_size_ =
      static_cast<std::uint8_t>(std::min<std::size_t>(options.name.size(), name_limit));
  std::copy_n(options.name.data(), self.name_size_, self.name_);
  self.generation_.fetch_add(1, std::memory_order_release);  // lookups find it from now on
  return Handle{&self};
}

void Group::release() noexcept {
  if (uses_.fetch_sub(1, std::memory_order_acq_rel) != 1) return;
  registry_->guaranteed_permille_.fetch_sub(guarantee_permille(), relaxed);
  registry_->groups_.fetch_sub(1, relaxed);
  generation_.fetch_add(1, std::memory_order_release);
  taken_.store(false, std::memory_order_release);
}

void Group::set_foreground(bool foreground) noexcept {
  foreground_.store(foreground, relaxed);
  registry_->group_changed(index_);
}

void Group::set_weight(std::uint32_t weight) noexcept {
  weight_.store(std::clamp(weight, 1U, GroupOptions::max_weight), relaxed);
  registry_->group_changed(index_);
}

GroupStatistics Group::statistics() const noexcept {
  GroupStatistics sum{.frame_ns = frame_ns_.load(relaxed),
                      .overruns = frame_overruns_.load(relaxed)};
  const std::uint32_t self = generation();
  for (std::uint32_t core = 0; core < coro::max_cores; ++core) {
    const Schedule* schedule = registry_->schedule(core);
    const LocalGroup* local = schedule ? schedule->local(index_) : nullptr;
    if (!local || local->generation.load(std::memory_order_acquire) != self) continue;
    for (unsigned qos = 0; qos < qos_count; ++qos) {
      const Share& share = local->shares[qos];
      sum.run_ns[qos] += share.run_ns.get();
      sum.picks += share.lane.picks.get();
      sum.boosts += share.lane.boosts.get();
    }
    sum.throttlings += local->throttlings.get();
  }
  return sum;
}

void Group::guarantee_begin(std::uint64_t now) noexcept {
  if (active_cores_.fetch_add(1, relaxed) != 0) return;
  std::uint64_t before = served_until_.load(relaxed);
  while (before < now && !served_until_.compare_exchange_weak(before, now, relaxed)) {
  }
}

void Group::guarantee_end() noexcept { active_cores_.fetch_sub(1, relaxed); }

void Group::guarantee_charge(std::uint64_t ran_ns, std::uint64_t now,
                             std::uint64_t window_ns) noexcept {
  const std::uint64_t earned = ran_ns * 1'000 / guarantee_permille();
  const std::uint64_t forgotten = now - std::min(now, window_ns);
  std::uint64_t before = served_until_.load(relaxed);
  while (
      !served_until_.compare_exchange_weak(before, std::max(before, forgotten) + earned, relaxed)) {
  }
}

// Of fair time: what its reservations may take is theirs.
std::uint64_t Group::limit_budget(const ScheduleParameters& parameters) const noexcept {
  const std::uint64_t ppm = std::uint64_t{limit_permille()} * 1'000 - reserved_ppm_.load(relaxed);
  return parameters.limit_period_ns / 1'000 * ppm / 1'000;
}

std::uint64_t Group::limit_used(std::uint64_t state, std::uint64_t now,
                                const ScheduleParameters& parameters) const noexcept {
  const std::uint64_t used = state & used_mask;
  const std::int64_t periods =
      periods_between(state >> used_bits, now / parameters.limit_period_ns);
  if (periods <= 0) return used;  // the clock of another core may be ahead of ours
  const std::uint64_t budget = limit_budget(parameters);
  if (budget == 0) return used;
  const auto passed = static_cast<std::uint64_t>(periods);
  return used / budget < passed ? 0 : used - passed * budget;
}

std::uint64_t Group::limit_take(std::uint64_t wanted, std::uint64_t now,
                                const ScheduleParameters& parameters) noexcept {
  const std::uint64_t period = now / parameters.limit_period_ns;
  const std::uint64_t budget = limit_budget(parameters);
  std::uint64_t before = limit_used_.load(relaxed);
  for (;;) {
    const std::uint64_t used = limit_used(before, now, parameters);
    if (used >= budget) return 0;
    const std::uint64_t taken = std::min(wanted, budget - used);
    const bool later = periods_between(before >> used_bits, period) > 0;
    if (limit_used_.compare_exchange_weak(
            before, limit_state(later ? period : before >> used_bits, used + taken), relaxed))
      return taken;
  }
}

void Group::limit_return(std::uint64_t unused, std::uint64_t taken_at,
                         const ScheduleParameters& parameters) noexcept {
  const std::uint64_t period = taken_at / parameters.limit_period_ns;
  std::uint64_t before = limit_used_.load(relaxed);
  do {
    if (periods_between(before >> used_bits, period) != 0) return;
  } while (!limit_used_.compare_exchange_weak(before, before - std::min(unused, before & used_mask),
                                              relaxed));
}

void Group::limit_overdraw(std::uint64_t ran_ns, std::uint64_t now,
                           const ScheduleParameters& parameters) noexcept {
  const std::uint64_t period = now / parameters.limit_period_ns;
  std::uint64_t before = limit_used_.load(relaxed);
  std::uint64_t after = 0;
  do {
    const bool later = periods_between(before >> used_bits, period) > 0;
    after = limit_state(later ? period : before >> used_bits,
                        limit_used(before, now, parameters) + ran_ns);
  } while (!limit_used_.compare_exchange_weak(before, after, relaxed));
}

std::uint64_t Group::limit_returns_at(std::uint64_t now,
                                      const ScheduleParameters& parameters) const noexcept {
  const std::uint64_t used = limit_used(limit_used_.load(relaxed), now, parameters);
  const std::uint64_t periods =
      std::max<std::uint64_t>(1, used / std::max<std::uint64_t>(1, limit_budget(parameters)));
  return (now / parameters.limit_period_ns + periods) * parameters.limit_period_ns;
}

bool Group::reserve(std::uint32_t ppm) noexcept {
  // A tenth of a limit stays for the fair work, or that would never run.
  const std::uint64_t limit = limit_permille();
  const std::uint64_t most =
      limit == 0 ? std::numeric_limits<std::uint32_t>::max() : limit * 1'000 * 9 / 10;
  std::uint32_t before = reserved_ppm_.load(relaxed);
  do {
    if (std::uint64_t{before} + ppm > most) return false;
  } while (!reserved_ppm_.compare_exchange_weak(before, before + ppm, relaxed));
  return true;
}

void Group::count_frame(std::uint64_t ran_ns, bool overrun) noexcept {
  frame_ns_.fetch_add(ran_ns, relaxed);
  if (overrun) frame_overruns_.fetch_add(1, relaxed);
}

}  // namespace lichen::sched
