#include "lichen/sched/carriers.hpp"

#include <new>
#include <utility>

namespace lichen::sched {

Carriers::~Carriers() {
  while (Carrier* carrier = free_) {
    free_ = carrier->next_free;
    if (carrier == &first_) continue;
    pool_->give_back(carrier->stack);
    delete carrier;
  }
}

void Carriers::add_free(Carrier& carrier) noexcept {
  carrier.next_free = std::exchange(free_, &carrier);
  ++free_count_;
}

std::size_t Carriers::left(unsigned cores) const noexcept {
  return free_count_ + (pool_ ? pool_->left() / cores : 0);
}

Carrier* Carriers::prepare() noexcept {
  if (free_) {
    Carrier* carrier = free_;
    free_ = carrier->next_free;
    --free_count_;
    return carrier;
  }
  if (!pool_) return nullptr;
  auto stack = pool_->take();
  if (!stack) return nullptr;
  auto* carrier = new (std::nothrow) Carrier;
  if (!carrier) {
    pool_->give_back(*stack);
    return nullptr;
  }
  carrier->stack = *stack;
  carrier->context.make(carrier->stack, loop_, executor_);
  return carrier;
}

void Carriers::set_aside(Carrier& next) noexcept {
  Carrier& mine = *std::exchange(running_, &next);
  hal::switch_to(mine.context, next.context);
}

void Carriers::resume(Carrier& carrier) noexcept {
  Carrier& mine = *std::exchange(running_, &carrier);
  add_free(mine);
  hal::switch_to(mine.context, carrier.context);
}

void Carriers::give_back(Carrier& carrier) noexcept { add_free(carrier); }

void Carriers::finish() noexcept {
  resume(first_);
  __builtin_unreachable();
}

void Carriers::leave_to_first() noexcept {
  Carrier** link = &free_;
  while (*link && *link != &first_) link = &(*link)->next_free;
  if (!*link) hal::panic("a machine ended while a task was set aside");
  *link = first_.next_free;
  --free_count_;
  Carrier& mine = *std::exchange(running_, &first_);
  add_free(mine);
  hal::switch_to(mine.context, first_.context);
  __builtin_unreachable();
}

}  // namespace lichen::sched
