#include "apps/site/record.hpp"

#include <algorithm>
#include <cstdint>
#include <vector>

#include "lichen/coro/select.hpp"
#include "lichen/sched/band_statistics.hpp"
#include "lichen/sched/machine.hpp"
#include "lichen/sched/perfetto.hpp"

// Runs seldom, and is made small.
#pragma clang attribute push(__attribute__((minsize)), apply_to = function)

namespace lichen::site {

namespace {

using namespace std::chrono_literals;

constexpr std::size_t most_events = 1'000'000;  // of a core
// Steps that a core takes without looking at anything else: well below a millisecond each.
constexpr std::size_t read_step = 4'096;
constexpr std::size_t write_step = 500;
constexpr Duration drain_pause = 20ms;

// The rings of all cores, which are on as long as it lives.
class Recording {
 public:
  Recording() = default;
  Recording(const Recording&) = delete;
  Recording& operator=(const Recording&) = delete;
  ~Recording() {
    for (std::size_t core = 0; core < places_.size(); ++core) ring(core).stop();
  }

  Result<void> start() {
    const unsigned cores = sched::Machine::current().cores();
    while (places_.size() < cores) {
      const auto place = ring(places_.size()).start();
      if (!place) return place.error();
      places_.push_back(*place);
    }
    snapshots_.resize(cores);
    return {};
  }
  // Takes some of what has been recorded on a core; false when that is all.
  bool take_some(std::size_t core) {
    sched::TraceSnapshot piece = ring(core).read(places_[core], read_step);
    places_[core] += piece.lost + piece.events.size();
    sched::TraceSnapshot& all = snapshots_[core];
    if (piece.lost > 0) {
      // What is before a gap cannot be told from what is after it.
      all.lost += all.events.size() + piece.lost;
      all.events.clear();
    }
    if (all.events.size() >= most_events) {
      all.lost += all.events.size();
      all.events.clear();
    }
    all.events.insert(all.events.end(), piece.events.begin(), piece.events.end());
    return piece.events.size() == read_step;
  }
  [[nodiscard]] const std::vector<sched::TraceSnapshot>& snapshots() const noexcept {
    return snapshots_;
  }

 private:
  static sched::TraceRing& ring(std::size_t core) noexcept {
    return sched::Machine::current().core(static_cast<unsigned>(core)).trace();
  }

  std::vector<std::uint64_t> places_;
  std::vector<sched::TraceSnapshot> snapshots_;
};

}  // namespace

Task<Result<std::string>> record_trace(Duration duration, Event& enough) {
  auto& machine = sched::Machine::current();
  Recording recording;
  CO_TRY(recording.start());
  const Deadline end = Deadline::after(duration);
  for (bool more = true; more;) {
    const Deadline next = std::min(end, Deadline::after(drain_pause));
    CO_TRY(co_await select(enough.wait(), sleep_until(next)));
    more = !enough.is_set() && next < end;
    for (unsigned core = 0; core < machine.cores(); ++core)
      while (recording.take_some(core)) co_await yield();
  }
  auto describe = [&machine](sched::LaneId lane) { return sched::describe_lane(machine, lane); };
  sched::PerfettoWriter writer{recording.snapshots(), describe};
  while (writer.write_some(write_step)) co_await yield();
  co_return writer.take();
}

}  // namespace lichen::site

#pragma clang attribute pop
