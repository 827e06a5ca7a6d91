// Placement: which core does what. A policy answers from numbers alone: it has no clock, no state
// that changes and no machine, so one object serves any number of machines and is tested without
// one. The executor asks it only where work leaves a core anyway: when it wakes an idle core,
// steals, reserves, installs a lane, or is kept by a task. docs/placement.md explains the policies
// and their sources.
#pragma once

#include <array>
#include <cstdint>
#include <span>

#include "lichen/coro/lane.hpp"
#include "lichen/sched/qos.hpp"
#include "lichen/sched/utilisation.hpp"

namespace lichen::sched {

using coro::LaneId;

inline constexpr unsigned no_core = ~0U;

// What a core is kept for. Cores of other roles than `app` run what is pinned to them, their I/O
// and their timers, and take no work that may move; core 0 may not be one of them.
enum class CoreRole : std::uint8_t { app, event, net };

// What is to be placed.
struct Work {
  Qos qos = Qos::user_initiated;
  bool foreground = true;
  std::uint32_t load = 0;  // of the biggest core (Utilisation::full), 0: not known

  // Somebody looks at the screen and waits for it.
  [[nodiscard]] bool urgent() const noexcept { return foreground && qos <= Qos::user_initiated; }
};

// A reservation that is to be placed, see ReservationOptions.
struct FrameWork {
  std::uint64_t budget_ns = 0;  // of the biggest core
  std::uint64_t deadline_ns = 0;
};

// What a policy sees of the machine.
class CoresView {
 public:
  using Mask = std::uint64_t;  // a bit for each core

  virtual ~CoresView() = default;
  [[nodiscard]] virtual std::uint32_t capacity(unsigned core) const noexcept = 0;
  // Of its own time, decayed.
  [[nodiscard]] virtual std::uint32_t utilisation(unsigned core) const noexcept = 0;
  // Promised to reservations, in millionths of its time.
  [[nodiscard]] virtual std::uint64_t admitted_ppm(unsigned core) const noexcept = 0;
  // Batches it offers to others.
  [[nodiscard]] virtual std::size_t offered(unsigned core) const noexcept = 0;
  // Tasks that wait there for their turn, as of its latest look; those of one lane, and what runs,
  // as of its latest look at a task that did not come back.
  [[nodiscard]] virtual std::size_t waiting(unsigned core) const noexcept = 0;
  [[nodiscard]] virtual std::size_t waiting(unsigned core, LaneId lane) const noexcept = 0;

  unsigned count = 0;
  Mask usable = 0;  // takes work that may move: in the lease, and kept for nothing else
  Mask idle = 0;    // of the usable ones

  [[nodiscard]] bool is_usable(unsigned core) const noexcept { return usable >> core & 1; }
  [[nodiscard]] bool is_idle(unsigned core) const noexcept { return idle >> core & 1; }
};

// Whatever it answers is only a proposal as far as idle cores go: they may have found work.
class Placement {
 public:
  using Mask = CoresView::Mask;

  virtual ~Placement() = default;
  [[nodiscard]] virtual const char* name() const noexcept = 0;

  // The idle core that is to take work that `from` has too much of; no_core: it stays.
  [[nodiscard]] virtual unsigned core_to_wake(const CoresView& cores, unsigned from,
                                              const Work& work) const noexcept = 0;
  // Whose offered work a core that has run out of its own takes; no_core: nobody's.
  [[nodiscard]] virtual unsigned victim(const CoresView& cores, unsigned thief) const noexcept;
  // Where part of what waits behind a task that does not come back is to go, though that core is
  // not idle: a core with less of that lane, or with less of all; `core`: it stays.
  [[nodiscard]] virtual unsigned lighter_core(const CoresView& cores, unsigned core,
                                              LaneId lane) const noexcept;
  [[nodiscard]] virtual unsigned lighter_core(const CoresView& cores, unsigned core) const noexcept;
  // Which core gets a reservation; not one of `refused`, which have too little left. no_core: there
  // is none on which it could be in time.
  [[nodiscard]] virtual unsigned core_for_frames(const CoresView& cores, const FrameWork& work,
                                                 Mask refused) const noexcept = 0;
  // Where work that has its turn on `core` had better be; `core`: it stays.
  [[nodiscard]] virtual unsigned better_core(const CoresView& cores, unsigned core,
                                             const Work& work) const noexcept;
  // Whether it wants utilisations, and better_core() to be asked; costs a few nanoseconds each time
  // a lane gets its turn.
  [[nodiscard]] virtual bool moves_work() const noexcept { return false; }

  // A core that takes what one that has left the lease still has; there is always one.
  [[nodiscard]] virtual unsigned heir(const CoresView& cores, unsigned leaver,
                                      const Work& work) const noexcept;
};

// As many cores as there is work for: least latency. The default.
class Spread : public Placement {
 public:
  [[nodiscard]] const char* name() const noexcept override { return "spread"; }
  [[nodiscard]] unsigned core_to_wake(const CoresView& cores, unsigned from,
                                      const Work& work) const noexcept override;
  [[nodiscard]] unsigned lighter_core(const CoresView& cores, unsigned core,
                                      LaneId lane) const noexcept override;
  [[nodiscard]] unsigned lighter_core(const CoresView& cores,
                                      unsigned core) const noexcept override;
  [[nodiscard]] unsigned core_for_frames(const CoresView& cores, const FrameWork& work,
                                         Mask refused) const noexcept override;
};

// As few cores as do the work, in their order: what is queued is tasks that wait for each other on
// one core, whose caches they share, while the other cores sleep deeply or belong to somebody else.
class Pack : public Placement {
 public:
  // A core is full from here on, and the next one is taken.
  explicit Pack(std::uint32_t full = Utilisation::full * 8 / 10) noexcept : full_{full} {}

  [[nodiscard]] const char* name() const noexcept override { return "pack"; }
  [[nodiscard]] unsigned core_to_wake(const CoresView& cores, unsigned from,
                                      const Work& work) const noexcept override;
  [[nodiscard]] unsigned victim(const CoresView& cores, unsigned thief) const noexcept override;
  [[nodiscard]] unsigned core_for_frames(const CoresView& cores, const FrameWork& work,
                                         Mask refused) const noexcept override;
  [[nodiscard]] unsigned better_core(const CoresView& cores, unsigned core,
                                     const Work& work) const noexcept override;
  [[nodiscard]] bool moves_work() const noexcept override { return true; }

 private:
  std::uint32_t full_;
};

// Milliwatts.
struct CorePower {
  std::uint32_t busy = 1'000;
  std::uint32_t idle = 50;
};

// The least energy that does the work in time: each piece goes to the core on which it costs least
// among those that are fast enough and have room. Urgent work prefers big cores. Once the cheap
// cores are full the next ones are taken, and nothing waits for energy's sake.
class EnergyAware : public Placement {
 public:
  struct Parameters {
    // A core has no more room from here on (Linux leaves 20 % as well).
    std::uint32_t full = Utilisation::full * 8 / 10;
    // A frame task fits a core if it needs no more of the time until its deadline than this there:
    // the rest is for what else the core does, and for frames that cost more than was said.
    std::uint32_t frame_fit_permille = 450;
  };

  // Cores beyond the end of `power` have that of the last one; it MUST NOT be empty.
  explicit EnergyAware(std::span<const CorePower> power) noexcept
      : EnergyAware{power, Parameters{}} {}
  EnergyAware(std::span<const CorePower> power, const Parameters& parameters) noexcept;

  [[nodiscard]] const char* name() const noexcept override { return "energy-aware"; }
  [[nodiscard]] unsigned core_to_wake(const CoresView& cores, unsigned from,
                                      const Work& work) const noexcept override;
  [[nodiscard]] unsigned victim(const CoresView& cores, unsigned thief) const noexcept override;
  [[nodiscard]] unsigned core_for_frames(const CoresView& cores, const FrameWork& work,
                                         Mask refused) const noexcept override;
  [[nodiscard]] unsigned better_core(const CoresView& cores, unsigned core,
                                     const Work& work) const noexcept override;
  [[nodiscard]] bool moves_work() const noexcept override { return true; }

  // What a piece of work costs there beyond a core that sleeps: picojoules for each nanosecond of
  // the biggest core.
  [[nodiscard]] std::uint64_t cost(const CoresView& cores, unsigned core) const noexcept;

 private:
  [[nodiscard]] bool has_room(const CoresView& cores, unsigned core,
                              std::uint32_t load) const noexcept;
  [[nodiscard]] unsigned cheapest_with_room(const CoresView& cores, CoresView::Mask among,
                                            std::uint32_t load) const noexcept;

  std::array<CorePower, 64> power_;
  Parameters parameters_;
};

// Spread; what a machine uses that was told nothing.
const Placement& default_placement() noexcept;

}  // namespace lichen::sched
