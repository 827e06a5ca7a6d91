#include "lichen/sched/reservation.hpp"

#include <algorithm>

#include "lichen/sched/schedule.hpp"

namespace lichen::sched {

namespace {

std::uint64_t count(std::chrono::nanoseconds time) {
  return static_cast<std::uint64_t>(time.count());
}

// a * b / c where the product may need more than 64 bits.
std::uint64_t scale(std::uint64_t a, std::uint64_t b, std::uint64_t c) {
  return static_cast<std::uint64_t>(static_cast<unsigned __int128>(a) * b / c);
}
std::uint64_t scale_up(std::uint64_t a, std::uint64_t b, std::uint64_t c) {
  return static_cast<std::uint64_t>((static_cast<unsigned __int128>(a) * b + (c - 1)) / c);
}

}  // namespace

std::uint64_t Admission::demand_ppm(const ReservationOptions& options) const noexcept {
  const auto deadline = options.deadline.count() ? options.deadline : options.period;
  const std::uint64_t whole = count(deadline) * capacity_;
  return scale_up(count(options.budget) * full_capacity, 1'000'000, whole);
}

bool Admission::admit(std::uint64_t ppm) noexcept {
  std::uint64_t admitted = admitted_ppm_.load(std::memory_order_relaxed);
  do {
    if (ppm > limit_ppm_ || admitted > limit_ppm_ - ppm) return false;
  } while (
      !admitted_ppm_.compare_exchange_weak(admitted, admitted + ppm, std::memory_order_relaxed));
  return true;
}

void BandwidthServer::configure(std::uint64_t period_ns, std::uint64_t budget_ns,
                                std::uint64_t deadline_ns, std::uint64_t jitter_ns) noexcept {
  *this = {};
  period_ = period_ns;
  budget_ = budget_ns;
  deadline_ = deadline_ns;
  jitter_ = jitter_ns;
}

void BandwidthServer::align(std::uint64_t start_ns) noexcept {
  // The period before it is under way; what it has left is good until then.
  aligned_ = true;
  start_ = start_ns - period_;
  number_ = ~std::uint64_t{0};
}

bool BandwidthServer::refresh(std::uint64_t now) noexcept {
  if (now < next_period()) return false;
  const std::uint64_t periods = (now - start_) / period_;
  start_ += periods * period_;
  number_ += periods;
  left_ = budget_;
  return true;
}

void BandwidthServer::wake(std::uint64_t now) noexcept {
  if (!aligned_) align(now);
  refresh(now);
  if (left_ == budget_ && now <= start_ + jitter_) return;
  // What has passed of the period without need is lost: to make up for it before the deadline would
  // take more than the bandwidth that was admitted.
  left_ = now >= deadline() ? 0 : std::min(left_, scale(deadline() - now, budget_, deadline_));
}

std::uint64_t BandwidthServer::take(std::uint64_t ran_ns) noexcept {
  const std::uint64_t taken = std::min(left_, ran_ns);
  left_ -= taken;
  return ran_ns - taken;
}

std::uint64_t BandwidthServer::consume(std::uint64_t ran_ns, std::uint64_t now) noexcept {
  const std::uint64_t began = now - std::min(now, ran_ns);
  refresh(began);
  if (now <= next_period()) return take(ran_ns);
  std::uint64_t excess = take(next_period() - began);
  const std::uint64_t before = number_;
  refresh(now);
  excess += (number_ - before - 1) * (period_ - budget_);
  return excess + take(now - start_);
}

Result<Reservation::Handle> Reservation::create(Schedule& schedule, Group& group,
                                                const ReservationOptions& options) noexcept {
  const auto deadline = options.deadline.count() != 0 ? options.deadline : options.period;
  if (options.period < ReservationOptions::min_period ||
      options.period > ReservationOptions::max_period ||
      options.budget < ReservationOptions::min_budget || options.budget > deadline ||
      deadline > options.period)
    return Error::invalid_argument;

  Registry& registry = schedule.registry();
  const ScheduleParameters& parameters = registry.parameters();
  Admission& admission = schedule.admission();
  const std::uint64_t demand = admission.demand_ppm(options);
  if (!admission.admit(demand)) return Error::limit_reached;
  if (!group.reserve(static_cast<std::uint32_t>(demand))) {
    admission.leave(demand);
    return Error::limit_reached;
  }
  const Result<Reservation*> claimed = registry.claim_reservation();
  if (!claimed) {
    group.unreserve(static_cast<std::uint32_t>(demand));
    admission.leave(demand);
    return claimed.error();
  }

  // Nobody knows the lane's id before we return it.
  Reservation& self = **claimed;
  group.retain();
  self.schedule_ = &schedule;
  self.demand_ppm_ = demand;
  const std::uint64_t slack = count(deadline) * (1'000 - parameters.admission_permille) / 1'000;
  self.server_.configure(count(options.period),
                         scale(count(options.budget), full_capacity, admission.capacity()),
                         count(deadline), std::min(parameters.release_jitter_ns, slack));
  admission.add_budget(self.server_.budget());
  Lane& lane = self.lane_;
  lane.group = &group;
  lane.share = nullptr;
  lane.exhausted = false;
  lane.others_until_ns = 0;
  for (LaneCounter* counter :
       {&lane.run_ns, &lane.picks, &lane.overruns, &lane.throttlings, &lane.boosts})
    counter->reset();
  self.generation_.fetch_add(1, std::memory_order_release);  // lookups find it from now on
  return Handle{&self};
}

void Reservation::retire() noexcept {
  schedule_->admission().leave(demand_ppm_);
  schedule_->admission().remove_budget(server_.budget());
  group().unreserve(static_cast<std::uint32_t>(demand_ppm_));
  release();
}

void Reservation::release() noexcept {
  if (uses_.fetch_sub(1, std::memory_order_acq_rel) != 1) return;
  Group& group = *lane_.group;
  registry_->reservations_.fetch_sub(1, std::memory_order_relaxed);
  generation_.fetch_add(1, std::memory_order_release);
  taken_.store(false, std::memory_order_release);
  group.release();
}

}  // namespace lichen::sched
