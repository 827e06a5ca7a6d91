#include "lichen/sched/watch.hpp"

#include <bit>
#include <new>
#include <span>

#include "lichen/base/sort.hpp"
#include "lichen/sched/group.hpp"
#include "lichen/sched/trace_ring.hpp"

namespace lichen::sched {

void WorkFigures::merge(const WorkFigures& other) noexcept {
  wait.merge(other.wait);
  run.merge(other.run);
  tasks += other.tasks;
  preemptions += other.preemptions;
  frames += other.frames;
  missed += other.missed;
}

void WorkWatch::read_into(WorkFigures& sum) const noexcept {
  wait.read_into(sum.wait);
  run.read_into(sum.run);
  sum.tasks += tasks.get();
  sum.preemptions += preemptions.get();
  sum.frames += frames.get();
  sum.missed += missed.get();
}

void WorkWatch::reset() noexcept {
  wait.reset();
  run.reset();
  for (LaneCounter* counter : {&tasks, &preemptions, &frames, &missed}) counter->reset();
}

Watch::~Watch() {
  for (auto& slot : chunks_) {
    Chunk* chunk = slot.load(std::memory_order_relaxed);
    if (!chunk) continue;
    for (auto& lane : *chunk) delete lane.load(std::memory_order_relaxed);
    delete chunk;
  }
}

Watch::LaneWatch* Watch::find(LaneId lane) const noexcept {
  const Chunk* chunk = chunks_[lane / chunk_size].load(std::memory_order_acquire);
  return chunk ? (*chunk)[lane % chunk_size].load(std::memory_order_acquire) : nullptr;
}

Watch::LaneWatch* Watch::of(const Lane& lane) noexcept {
  LaneWatch* watch = find(lane.id);
  if (!watch) [[unlikely]] {
    auto& slot = chunks_[lane.id / chunk_size];
    Chunk* chunk = slot.load(std::memory_order_relaxed);
    if (!chunk) {
      chunk = new (std::nothrow) Chunk{};
      if (!chunk) return nullptr;
      slot.store(chunk, std::memory_order_release);
    }
    watch = new (std::nothrow) LaneWatch;
    if (!watch) return nullptr;
    watch->generation = lane.group ? lane.group->generation() : 0;
    (*chunk)[lane.id % chunk_size].store(watch, std::memory_order_release);
  }
  if (lane.group && watch->generation != lane.group->generation()) [[unlikely]] {
    watch->generation = lane.group->generation();
    watch->reset();
  }
  return watch;
}

void Watch::forget(LaneId lane) noexcept {
  if (LaneWatch* watch = find(lane)) watch->reset();
}

void Watch::read_lane(LaneId lane, WorkFigures& sum) const noexcept {
  if (const LaneWatch* watch = find(lane)) watch->read_into(sum);
}

void Watch::ready(const Lane& lane, std::uint64_t now) noexcept {
  if (LaneWatch* watch = of(lane)) watch->ready_since = now;
}

void Watch::begin(const Lane& lane, unsigned band, std::size_t waiting,
                  std::uint64_t now) noexcept {
  lane_ = of(lane);
  band_ = band;
  samples_ = lane.kind != LaneKind::frame;
  began_ns_ = batch_ns_ = now;
  tasks_ = 0;
  if (lane_ && lane_->ready_since) {
    if (samples_) record_wait(now - lane_->ready_since);
    lane_->ready_since = 0;
  }
  begin_to_follow(waiting, now);
}

void Watch::end(std::uint64_t tasks, std::uint64_t now) noexcept {
  if (tasks_ + tasks >= followed_at_) follow(tasks, 0, now);
  count(tasks);
  followed_at_ = 0;
  const std::uint64_t ran_ns = now - began_ns_;
  bands_[band_].run.record(ran_ns);
  if (lane_) lane_->run.record(ran_ns);
}

void Watch::record_wait(std::uint64_t ns) noexcept {
  bands_[band_].wait.record(ns);
  if (lane_) lane_->wait.record(ns);
}

void Watch::begin_to_follow(std::size_t waiting, std::uint64_t now) noexcept {
  follows_ = samples_ && waiting > 0;
  followed_since_ = now;
  followed_at_ = follows_ ? tasks_ + waiting : 0;
}

// The followed task began in the batch before this moment, after some of that batch's tasks: each
// is taken to have run equally long.
void Watch::follow(std::uint64_t tasks, std::size_t waiting, std::uint64_t now) noexcept {
  if (follows_) {
    const std::uint64_t before_it = followed_at_ - 1 - tasks_;
    const std::uint64_t in_batch = (now - batch_ns_) * before_it / tasks;
    record_wait(batch_ns_ - followed_since_ + in_batch);
    follows_ = false;
    followed_since_ = now;
    followed_at_ = 0;
  }
  if (waiting > 0 && now - followed_since_ >= follow_pause_ns) {
    tasks_ += tasks;
    begin_to_follow(waiting, now);
    tasks_ -= tasks;
  }
}

Watch::Place& Watch::place_of(const std::source_location& where) noexcept {
  const std::uint64_t name = argument_of(where);
  // The name is an address; a simulated run must not depend on those.
  const std::uint64_t line = std::uint64_t{where.line()} << 16 | where.column();
  const auto first = static_cast<std::size_t>(line * 0x9E3779B97F4A7C15 >> 40);
  for (std::size_t i = 0; i < places; ++i) {
    Place& place = places_[(first + i) % places];
    const std::uint64_t there = place.where.load(std::memory_order_relaxed);
    if (there == name) return place;
    if (there == 0) {
      place.where.store(name, std::memory_order_relaxed);
      return place;
    }
  }
  return places_[places];
}

namespace {

void raise(LaneCounter& counter, std::uint64_t to) noexcept {
  if (to > counter.get()) counter.add(to - counter.get());
}

}  // namespace

void Watch::preempted(const std::source_location& spawned_at, std::uint64_t ran_ns) noexcept {
  bands_[band_].preemptions.add(1);
  if (lane_) lane_->preemptions.add(1);
  Place& place = place_of(spawned_at);
  place.preemptions.add(1);
  raise(place.longest_run_ns, ran_ns);
}

void Watch::resumed(const std::source_location& spawned_at, std::uint64_t aside_ns) noexcept {
  Place& place = place_of(spawned_at);
  place.aside_ns.add(aside_ns);
  raise(place.longest_aside_ns, aside_ns);
}

void Watch::frame_began(const Lane& lane, std::uint64_t late_ns, std::uint64_t left_out) noexcept {
  LaneWatch* watch = of(lane);
  for (WorkWatch* into : {&bands_[frame_band], static_cast<WorkWatch*>(watch)}) {
    if (!into) continue;
    into->wait.record(late_ns);
    into->frames.add(1 + left_out);
    into->missed.add(left_out);
  }
}

void Watch::frame_missed(const Lane& lane) noexcept {
  bands_[frame_band].missed.add(1);
  if (LaneWatch* watch = of(lane)) watch->missed.add(1);
}

std::vector<PreemptedTasks> Watch::preempted_tasks() const {
  std::vector<PreemptedTasks> tasks;
  for (const Place& place : places_) {
    if (place.preemptions.get() == 0) continue;
    tasks.push_back({.spawned_at = location_of(place.where.load(std::memory_order_relaxed)),
                     .preemptions = place.preemptions.get(),
                     .longest_run_ns = place.longest_run_ns.get(),
                     .longest_aside_ns = place.longest_aside_ns.get(),
                     .aside_ns = place.aside_ns.get()});
  }
  base::sort(std::span{tasks}, [](const PreemptedTasks& a, const PreemptedTasks& b) {
    const bool a_known = a.spawned_at.line() != 0, b_known = b.spawned_at.line() != 0;
    return a_known != b_known ? a_known : a.preemptions > b.preemptions;
  });
  return tasks;
}

}  // namespace lichen::sched
