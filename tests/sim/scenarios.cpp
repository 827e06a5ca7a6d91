#include <algorithm>
#include <array>

#include "tests/sim/scenario.hpp"

namespace lichen::tests {

std::uint64_t World::total_capacity() const noexcept {
  std::uint64_t sum = 0;
  for (const auto& core : options.cores) sum += core.capacity;
  return sum;
}

std::uint32_t World::least_capacity() const noexcept {
  std::uint32_t least = hal::sim::full_capacity;
  for (const auto& core : options.cores) least = std::min(least, core.capacity);
  return least;
}

std::span<const Scenario> scenarios() noexcept {
  using enum Scenario::Machine;
  static constexpr std::array all{
      Scenario{"trees", "trees of scopes: every task runs once, and ends before its parent", trees},
      Scenario{"forks", "divide and conquer: forks, the largest stolen first", forks},
      Scenario{"moves", "tasks that move, and tasks that are pinned", moves},
      Scenario{"wakes", "a core at which nothing is less urgent is woken without an interrupt",
               wakes},
      Scenario{"pairs", "two tasks that wait for each other: no wake is lost", pairs},
      Scenario{"channels", "senders and receivers: order, and no message lost", channels},
      Scenario{"selects",
               "selects over channels, events and time: what is not first does not happen",
               selects},
      Scenario{"locks", "mutexes and semaphores, with time limits", locks},
      Scenario{"timers", "sleeps that are not early and not late", timers},
      Scenario{"stops", "stop requests reach whatever waits", stops},
      Scenario{"hogs", "work on cores of unequal speed: none idles while there is some", hogs,
               calm},
      Scenario{"streams", "byte streams from core to core", streams},
      Scenario{"hurries", "urgent tasks beside hogs that never come back", hurries},
      Scenario{"alarms", "timers that are set beside tasks that never come back", alarms, equal},
      Scenario{"equals", "equals from other cores beside one that has computed alone for long",
               equals, equal},
      Scenario{"turns", "short tasks beside one of their lane that never comes back", turns, equal},
      Scenario{"storms", "all of the above, preempted at any step", storms, wild, true},
      Scenario{"shares", "weights of 1 to 3: shares of 1 to 3", shares, equal},
      Scenario{"shares_anywhere", "the same, where the tasks were not placed", shares_anywhere,
               equal},
      Scenario{"robbed_shares", "the same of what a host leaves that takes the cores in turn",
               robbed_shares, equal},
      Scenario{"robbed_guarantee", "a guarantee is a part of what such a host leaves",
               robbed_guarantee, equal},
      Scenario{"blocked_shares", "who waits in the host with a core has had it", blocked_shares,
               equal},
      Scenario{"starving", "hogs in every bucket: none waits longer than its latency", starving,
               equal},
      Scenario{"sleepers", "many hogs in every bucket, on any core: who sleeps wakes soon",
               sleepers, equal},
      Scenario{"switches", "apps that go to the foreground and back", switches, equal},
      Scenario{"frames", "reserved frames beside hogs: none is late", frames, equal},
      Scenario{"frames_beside_calls", "frames beside code that is seldom to be left",
               frames_beside_calls, equal},
      Scenario{"robbed_frames", "what the host takes is not taken from a frame's budget",
               robbed_frames, robbed},
      Scenario{"outranking_frames", "frames that go before the host's other work are in time",
               outranking_frames, outranked},
      Scenario{"frames_on_a_tenth", "frames leave others a part of a core that is taken away",
               frames_on_a_tenth, equal},
      Scenario{"late_reasons", "why frames are late: each reason is made to happen, and told",
               late_reasons, equal},
      Scenario{"inherit", "mutexes and services are as urgent as who waits for them", inherit,
               equal},
      Scenario{"chains", "what is inherited is passed on to whom the heir waits for", chains,
               equal},
      Scenario{"leases", "cores that come and go: nothing is lost", leases},
      Scenario{"devices", "interrupts of devices beside tasks that never come back", devices,
               equal},
      Scenario{"watched", "watched tasks: each turn, wait and move is counted, and no time is lost",
               watched},
      Scenario{"lost_wake", "broken: an event that loses wakes", lost_wake, wild, false, true},
      Scenario{"torn_count", "broken: a counter without atomic steps", torn_count, wild, false,
               true},
  };
  return all;
}

}  // namespace lichen::tests
