#include "lichen/hal/context.hpp"

#include "lichen/hal/hal.hpp"
#include "lichen/hal/processor/switch.hpp"

#if __has_feature(address_sanitizer)
#include <sanitizer/common_interface_defs.h>
#endif
#if __has_feature(thread_sanitizer)
#include <sanitizer/tsan_interface.h>
#endif

namespace lichen::hal {

Context::Context() noexcept = default;

Context::~Context() {
#if __has_feature(thread_sanitizer)
  if (fiber_ && !stack_.empty()) __tsan_destroy_fiber(fiber_);
#endif
}

void Context::make(std::span<std::byte> stack, ContextEntry entry, void* argument) noexcept {
#if __has_feature(thread_sanitizer)
  if (fiber_ && !stack_.empty()) __tsan_destroy_fiber(fiber_);
  fiber_ = __tsan_create_fiber(0);
#endif
  stack_ = stack;
  entry_ = entry;
  argument_ = argument;
  stack_pointer_ = detail::lay_first_frame(stack, &start, this);
}

void Context::finish_switch() noexcept {
#if __has_feature(address_sanitizer)
  const void* bottom = nullptr;
  std::size_t size = 0;
  __sanitizer_finish_switch_fiber(fake_stack_, &bottom, &size);
  // What a context that runs on a thread's own stack needs to come back to it.
  auto* start = static_cast<std::byte*>(const_cast<void*>(bottom));
  if (came_from_->stack_.empty()) came_from_->stack_ = {start, size};
#endif
}

void Context::start(void* self) noexcept {
  auto& context = *static_cast<Context*>(self);
  context.finish_switch();
  context.entry_(context.argument_);
  panic("the entry of a context returned");
}

void switch_to(Context& from, Context& to) noexcept {
  to.came_from_ = &from;
#if __has_feature(address_sanitizer)
  __sanitizer_start_switch_fiber(&from.fake_stack_, to.stack_.data(), to.stack_.size());
#endif
#if __has_feature(thread_sanitizer)
  if (!from.fiber_) from.fiber_ = __tsan_get_current_fiber();
  __tsan_switch_to_fiber(to.fiber_, 0);
#endif
  detail::lichen_switch(&from.stack_pointer_, to.stack_pointer_);
  from.finish_switch();
}

}  // namespace lichen::hal
