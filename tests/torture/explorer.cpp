#include "tests/torture/explorer.hpp"

#include <algorithm>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <thread>
#include <utility>

namespace lichen::coro::explore {

namespace {
constexpr unsigned char dead = 0xDD;
constexpr std::uint64_t most_steps = 5'000'000;
}  // namespace

Explorer::Explorer(unsigned cores, std::uint64_t seed) noexcept : seed_{seed}, random_{seed} {
  instance_ = this;
  cores_share = true;
  one_in_ = 1 + static_cast<unsigned>(random_.below(12));
  for (unsigned i = 0; i < cores; ++i) cores_.push_back(std::make_unique<ExplorerCore>(*this, i));
}

Explorer::~Explorer() {
  for (const Freed& each : freed_) {
    for (std::size_t i = 0; i < each.size; ++i)
      if (each.block[i] != dead) fail("freed memory was written to");
    std::free(each.block);
  }
  if (alive_ != 0) fail("frames are left");
  cores_share = false;
  instance_ = nullptr;
}

void Explorer::fail(const char* reason) noexcept {
  std::fprintf(stderr, "explorer: %s (cores %u, seed %llu, step %llu)\n", reason, cores(),
               static_cast<unsigned long long>(seed_), static_cast<unsigned long long>(steps_));
  std::abort();
}

Result<void> Explorer::run(Task<Result<void>> main) {
  Result<void> outcome;
  {
    Scope root{Scope::Shielded{}};
    root_ = &root;
    std::vector<std::thread> threads;
    for (auto& core : cores_)
      threads.emplace_back([&core] {
        core->turn_.acquire();
        set_this_core(core.get());
        core->loop();
        set_this_core(nullptr);
        core->explorer_.leave(*core);
      });
    root.start(main);
    cores_.front()->turn_.release();
    finished_.acquire();
    for (auto& thread : threads) thread.join();
    outcome = main.take_result();
  }
  for (auto& core : cores_)
    if (!core->timers().empty()) fail("a timer is left");
  {
    auto ended = std::move(main);
  }
  return outcome;
}

void Explorer::switch_to_another() noexcept {
  auto* self = static_cast<ExplorerCore*>(this_core());
  ExplorerCore& next = *cores_[random_.below(cores_.size())];
  if (&next == self || next.left_) return;
  next.turn_.release();
  self->turn_.acquire();
}

void Explorer::step(bool always) noexcept {
  if (!this_core()) return;
  if (++steps_ > most_steps) fail("it does not come to an end");
  if (always || random_.below(one_in_) == 0) switch_to_another();
}

void Explorer::leave(ExplorerCore& core) noexcept {
  core.left_ = true;
  for (auto& other : cores_)
    if (!other->left_) return other->turn_.release();
  finished_.release();
}

void Explorer::nothing_to_do(ExplorerCore& core) noexcept {
  if (!core.timers().empty() && random_.below(4) == 0)
    now_ns_ = std::max(now_ns_, core.timers().next_deadline());
  const bool timers =
      std::any_of(cores_.begin(), cores_.end(), [](auto& each) { return !each->timers().empty(); });
  if (!timers && ++idle_rounds_ > 1'000) fail("nobody can go on: a wake was lost");
  step(true);
}

void Explorer::post(Core* core, Runnable& runnable) noexcept {
  auto* target = static_cast<ExplorerCore*>(core);
  if (!target) target = cores_[random_.below(cores_.size())].get();
  target->posted_.push_back(&runnable);
}

void Explorer::make_ready(Core& core, Runnable& runnable) noexcept {
  if (runnable.strand && runnable.strand->pinned())
    core.push_pinned(runnable);
  else
    core.push(runnable);
}

void Explorer::post_stop(Core& core, Strand& strand) noexcept {
  static_cast<ExplorerCore&>(core).stops_.push_back(&strand);
}

void* Explorer::allocate(std::size_t size) noexcept {
  ++instance_->alive_;
  return std::malloc(size);
}
void Explorer::free(void* block, std::size_t size) noexcept {
  --instance_->alive_;
  std::memset(block, dead, size);
  instance_->freed_.push_back({static_cast<unsigned char*>(block), size});
}

void ExplorerCore::loop() noexcept {
  while (explorer_.root_->active() != 0) {
    explorer_.step(false);
    explorer_.now_ns_ += explorer_.random_.below(2'000);
    batch_now_ns_ = explorer_.now_ns_;
    timers_.advance(batch_now_ns_);
    take_posted();
    if (Runnable* runnable = pick()) {
      explorer_.idle_rounds_ = 0;
      run(*runnable);
      current_ = nullptr;
    } else {
      explorer_.nothing_to_do(*this);
    }
  }
}

// Some of what others posted, or nothing yet.
bool ExplorerCore::take_posted() noexcept {
  if (explorer_.random_.below(3) == 0) return false;
  for (Runnable* runnable : std::exchange(posted_, {})) Explorer::make_ready(*this, *runnable);
  if (explorer_.random_.below(2) == 0) return true;
  for (Strand* strand : std::exchange(stops_, {})) {
    explorer_.idle_rounds_ = 0;
    handle_stop(*strand);
  }
  return true;
}

Runnable* ExplorerCore::pick() noexcept {
  if (here_.next) return std::exchange(here_.next, nullptr);
  if (!here_.pinned.empty() && explorer_.random_.below(2) == 0) return &here_.pinned.pop_front();
  if (!here_.forks.empty()) return &here_.forks.pop_front();
  if (explorer_.random_.below(3) == 0) {
    ExplorerCore& victim = *explorer_.cores_[explorer_.random_.below(explorer_.cores_.size())];
    if (Runnable* stolen = victim.give_away()) return stolen;
  }
  if (!here_.ready.empty()) return &here_.ready.pop_front();
  return here_.pinned.empty() ? nullptr : &here_.pinned.pop_front();
}

}  // namespace lichen::coro::explore

namespace lichen::coro::hooks {

using explore::Explorer;

void* allocate_frame(std::size_t size) noexcept { return Explorer::allocate(size); }
void free_frame(void* frame, std::size_t size) noexcept { Explorer::free(frame, size); }
void share(Core&) noexcept {}
void make_ready(Core* here, Runnable& runnable, Order) noexcept {
  Core* pinned = runnable.strand ? runnable.strand->pinned() : nullptr;
  if (here && (!pinned || pinned == here))
    Explorer::make_ready(*here, runnable);
  else
    Explorer::current().post(pinned, runnable);
}
void post(Core* core, Runnable& runnable) noexcept { Explorer::current().post(core, runnable); }
void preempt(Preemption& core) noexcept { core.abandon_suspension(); }
// One lane: nobody is more urgent than anybody.
bool more_urgent(LaneId, LaneId) noexcept { return false; }
void lend(Loan&, Strand&, Lent) noexcept {}
void take_back(Loan&) noexcept {}
bool raise(Strand&, Lent) noexcept { return false; }
LaneId own_lane(const Strand& strand) noexcept { return strand.lane(); }
Lent lent_lane(const Strand& strand) noexcept { return {.lane = strand.lane()}; }
void set_own_lane(Strand& strand, LaneId lane) noexcept { strand.set_lane(lane); }
void post_stop(Core& core, Strand& strand) noexcept { Explorer::current().post_stop(core, strand); }
std::uint64_t now_ns() noexcept { return Explorer::current().now_ns(); }
void relax(unsigned) noexcept { Explorer::current().step(true); }
void interleave() noexcept { Explorer::current().step(false); }
void fatal(const char* message) noexcept { Explorer::current().fail(message); }

}  // namespace lichen::coro::hooks
