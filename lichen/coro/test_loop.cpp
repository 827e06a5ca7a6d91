#include "lichen/coro/test_loop.hpp"

#include <cstdio>

namespace lichen::coro::hooks {

void* allocate_frame(std::size_t size) noexcept {
  if (test::frames_until_failure == 0) return nullptr;
  --test::frames_until_failure;
  ++test::frames_alive;
  return std::malloc(size);
}
void free_frame(void* frame, std::size_t) noexcept {
  --test::frames_alive;
  std::free(frame);
}
void share(Core&) noexcept {}
void make_ready(Core*, Runnable& runnable, Order) noexcept { this_core()->push(runnable); }
void post(Core*, Runnable& runnable) noexcept { this_core()->push(runnable); }
void preempt(Preemption& core) noexcept { core.abandon_suspension(); }
// One lane: nobody is more urgent than anybody.
bool more_urgent(LaneId, LaneId) noexcept { return false; }
void lend(Loan&, Strand&, Lent) noexcept {}
void take_back(Loan&) noexcept {}
bool raise(Strand&, Lent) noexcept { return false; }
LaneId own_lane(const Strand& strand) noexcept { return strand.lane(); }
Lent lent_lane(const Strand& strand) noexcept { return {.lane = strand.lane()}; }
void set_own_lane(Strand& strand, LaneId lane) noexcept { strand.set_lane(lane); }
void post_stop(Core&, Strand& strand) noexcept { handle_stop(strand); }
std::uint64_t now_ns() noexcept { return test::virtual_now_ns; }
void relax(unsigned) noexcept {}
void fatal(const char* message) noexcept {
  std::fprintf(stderr, "fatal: %s\n", message);
  std::abort();
}

}  // namespace lichen::coro::hooks
