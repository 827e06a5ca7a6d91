// No wake is lost between driver and device (virtio 1.2, 2.7.7.2, 2.7.8.2, 2.7.10, 2.7.13.4.1,
// 2.8.10, 2.8.21.3): both run on every schedule in which they are switched at most so often between
// any two accesses to shared memory, apart from where one of them sleeps. Memory orders weaker than
// sequential consistency are not explored; ring_test.cpp has two threads for them.
#include <gtest/gtest.h>

#include <array>
#include <memory>
#include <vector>

#include "lichen/coro/hooks.hpp"
#include "lichen/driver/virtio/packed_ring.hpp"
#include "lichen/driver/virtio/split_ring.hpp"
#include "lichen/driver/virtio/test_ring.hpp"
#include "lichen/hal/context.hpp"

namespace lichen::driver::virtio::test {
namespace {

// Two flows; the schedule says after how many steps they are switched.
class Flows {
 public:
  static inline Flows* current = nullptr;

  struct Side {
    hal::Context context;
    bool rung = false;  // its bell, which stays so until it sleeps
    bool sleeps = false;
    bool done = false;
  };

  void step() {
    if (!running_) return;
    ++steps;
    if (next_switch_ < switches.size() && steps == switches[next_switch_]) {
      ++next_switch_;
      if (Side& other = sides[1 - at_]; can_run(other)) go_to(1 - at_);
    }
  }
  void sleep() {
    Side& self = sides[at_];
    while (!self.rung) {
      self.sleeps = true;
      leave();
    }
    self.sleeps = self.rung = false;
  }
  void ring(unsigned side) { sides[side].rung = true; }

  // False: neither could go on.
  bool run(void (*first)(void*) noexcept, void (*second)(void*) noexcept, void* argument) {
    sides[0].context.make(stacks[0], first, argument);
    sides[1].context.make(stacks[1], second, argument);
    current = this;
    running_ = true;
    switch_to(main_, sides[0].context);
    running_ = false;
    current = nullptr;
    return sides[0].done && sides[1].done;
  }
  // The flow ends.
  void finish() {
    sides[at_].done = true;
    leave();
  }

  std::vector<unsigned> switches;
  unsigned steps = 0;
  std::array<Side, 2> sides;

 private:
  alignas(64) static inline std::array<std::array<std::byte, 64 * 1024>, 2> stacks;
  static bool can_run(const Side& side) { return !side.done && (!side.sleeps || side.rung); }
  void leave() {
    if (can_run(sides[1 - at_])) return go_to(1 - at_);
    if (can_run(sides[at_])) return;
    switch_to(sides[at_].context, main_);
  }
  void go_to(unsigned side) {
    const unsigned from = std::exchange(at_, side);
    switch_to(sides[from].context, sides[side].context);
  }

  hal::Context main_;
  unsigned at_ = 0;
  std::size_t next_switch_ = 0;
  bool running_ = false;
};

constexpr int buffers = 3;

template <class R>
struct Exchange {
  explicit Exchange(bool event_index)
      : options{.size = 2, .event_index = event_index},
        shared{*SharedMemory::allocate(memory, R::memory_size(options))},
        ring{*R::create(shared, options)},
        device{DeviceRing::create(std::is_same_v<R, PackedRing>, options.size, event_index,
                                  ring.addresses())} {}

  static void drive(void* argument) noexcept {
    auto& self = *static_cast<Exchange*>(argument);
    const std::array<Segment, 1> segment{{{self.memory.address(self.payload), 1}}};
    self.ring.interrupts_off();
    for (int added = 0, taken = 0; taken < buffers;) {
      while (added < buffers && self.ring.add({segment, {}}, 0)) {
        ++added;
        if (self.ring.publish()) Flows::current->ring(1);
      }
      const int before = taken;
      while (self.ring.take()) ++taken;
      if (taken != before) continue;
      if (self.ring.interrupts_on(1)) Flows::current->sleep();
      self.ring.interrupts_off();
    }
    Flows::current->finish();
  }
  static void serve(void* argument) noexcept {
    auto& self = *static_cast<Exchange*>(argument);
    for (int done = 0; done < buffers;) {
      self.device->notifications(false);
      while (std::optional<Popped> popped = self.device->pop()) {
        self.device->use(std::array{Done{*std::move(popped)}});
        if (self.device->must_interrupt()) Flows::current->ring(0);
        ++done;
      }
      if (done < buffers && self.device->notifications(true)) Flows::current->sleep();
    }
    Flows::current->finish();
  }

  TestMemory memory;
  std::array<std::byte, 1> payload{};
  RingOptions options;
  SharedMemory shared;
  R ring;
  std::unique_ptr<DeviceRing> device;
};

// One run; how many steps it had, 0 if it came to a standstill.
template <class R>
unsigned run_once(bool event_index, const std::vector<unsigned>& switches) {
  Exchange<R> exchange{event_index};
  Flows flows;
  flows.switches = switches;
  return flows.run(&Exchange<R>::drive, &Exchange<R>::serve, &exchange) ? flows.steps : 0;
}

// Every schedule that begins with these switches and has so many more.
template <class R>
bool explore(bool event_index, std::vector<unsigned>& switches, unsigned more, unsigned& runs) {
  const unsigned steps = run_once<R>(event_index, switches);
  ++runs;
  if (steps == 0) {
    ADD_FAILURE() << "nobody can go on after switches at " << testing::PrintToString(switches);
    return false;
  }
  if (more == 0) return true;
  for (unsigned at = switches.empty() ? 1 : switches.back() + 1; at <= steps; ++at) {
    switches.push_back(at);
    const bool fine = explore<R>(event_index, switches, more - 1, runs);
    switches.pop_back();
    if (!fine) return false;
  }
  return true;
}

template <class R>
void explore_all() {
  for (const bool event_index : {false, true}) {
    std::vector<unsigned> switches;
    unsigned runs = 0;
    EXPECT_TRUE(explore<R>(event_index, switches, 3, runs));
    EXPECT_GT(runs, 10'000U);
  }
}
TEST(Interleaving, LosesNoWakeOnSplitRings) { explore_all<SplitRing>(); }
TEST(Interleaving, LosesNoWakeOnPackedRings) { explore_all<PackedRing>(); }

}  // namespace
}  // namespace lichen::driver::virtio::test

void lichen::coro::hooks::interleave() noexcept {
  if (auto* flows = lichen::driver::virtio::test::Flows::current) flows->step();
}
