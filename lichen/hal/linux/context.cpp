#include "lichen/hal/linux/context.hpp"

#include <sys/mman.h>

#include <array>
#include <atomic>
#include <bit>
#include <cstdint>
#include <mutex>
#include <new>
#include <utility>
#include <vector>

#include "lichen/base/bits.hpp"
#include "lichen/hal/linux/console.hpp"
#include "lichen/hal/types.hpp"

#if __has_feature(address_sanitizer)
#include <sanitizer/common_interface_defs.h>
#endif
#if __has_feature(thread_sanitizer)
#include <sanitizer/tsan_interface.h>
#endif

// void lichen_switch(void** save, void* load): what the System V x86-64 ABI (section 3.2.1) has a
// callee preserve goes onto the old stack and comes from the new one: rbx, rbp, r12 to r15, the
// control bits of mxcsr and of the x87. lichen_start is where a new stack begins: r12 holds the
// function, r13 its argument.
#if defined(__x86_64__)
asm(R"(
.text
.globl lichen_switch
.hidden lichen_switch
.type lichen_switch, @function
.p2align 4
lichen_switch:
  .cfi_startproc
  pushq %rbp
  pushq %rbx
  pushq %r12
  pushq %r13
  pushq %r14
  pushq %r15
  subq $8, %rsp
  stmxcsr (%rsp)
  fnstcw 4(%rsp)
  movq %rsp, (%rdi)
  movq %rsi, %rsp
  ldmxcsr (%rsp)
  fldcw 4(%rsp)
  addq $8, %rsp
  popq %r15
  popq %r14
  popq %r13
  popq %r12
  popq %rbx
  popq %rbp
  ret
  .cfi_endproc
.size lichen_switch, .-lichen_switch

.globl lichen_start
.hidden lichen_start
.type lichen_start, @function
.p2align 4
lichen_start:
  .cfi_startproc
  .cfi_undefined %rip
  movq %r13, %rdi
  call *%r12
  ud2
  .cfi_endproc
.size lichen_start, .-lichen_start
)");
#else
#error "contexts are not written for this processor yet"
#endif

extern "C" {
void lichen_switch(void** save, void* load) noexcept;
void lichen_start() noexcept;
}

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
  const auto end = reinterpret_cast<std::uintptr_t>(stack.data() + stack.size());
  // Sixteen-aligned at the call in lichen_start, as the ABI wants.
  auto* frame = reinterpret_cast<std::uintptr_t*>(base::align_down(end, 16)) - 10;
  constexpr std::uint32_t mxcsr = 0x1f80;  // all exceptions masked, round to nearest
  constexpr std::uint32_t x87 = 0x037f;    // the same, extended precision
  frame[0] = std::uint64_t{x87} << 32 | mxcsr;
  frame[1] = frame[2] = 0;                              // r15, r14
  frame[3] = reinterpret_cast<std::uintptr_t>(this);    // r13
  frame[4] = reinterpret_cast<std::uintptr_t>(&start);  // r12
  frame[5] = frame[6] = 0;                              // rbx, rbp
  frame[7] = reinterpret_cast<std::uintptr_t>(&lichen_start);
  frame[8] = frame[9] = 0;
  stack_pointer_ = frame;
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
  lichen_switch(&from.stack_pointer_, to.stack_pointer_);
  from.finish_switch();
}

struct StackPool::State {
  std::size_t size = 0;    // of a stack
  std::size_t stride = 0;  // with its guard
  std::span<std::byte> memory;
  std::mutex mutex;
  std::vector<std::uint32_t> free;
  std::size_t count = 0;
};

StackPool::StackPool(std::unique_ptr<State> state) noexcept : state_{std::move(state)} {}

StackPool::~StackPool() {
  if (state_->free.size() != state_->count) panic("a stack pool is destroyed while a stack is out");
  munmap(state_->memory.data(), state_->memory.size());
}

Result<std::unique_ptr<StackPool>> StackPool::create(std::size_t count, std::size_t size) noexcept {
  constexpr std::size_t most = std::size_t{1} << 40;
  if (count == 0 || count > UINT32_MAX || size == 0 || size > most) return Error::invalid_argument;
  std::unique_ptr<State> state{new (std::nothrow) State};
  if (!state) return Error::no_memory;
  state->size = base::align_up(size, page_size);
  state->stride = state->size + page_size;
  if (state->stride > (most << 6) / count) return Error::invalid_argument;
  void* memory = mmap(nullptr, state->stride * count, PROT_READ | PROT_WRITE,
                      MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE | MAP_STACK, -1, 0);
  if (memory == MAP_FAILED) return Error::no_memory;
  state->memory = {static_cast<std::byte*>(memory), state->stride * count};
  state->count = count;
  for (std::size_t i = 0; i < count; ++i)
    if (mprotect(state->memory.data() + i * state->stride, page_size, PROT_NONE) != 0) {
      munmap(memory, state->memory.size());
      return Error::no_memory;
    }
  state->free.reserve(count);
  for (std::size_t i = count; i-- > 0;) state->free.push_back(static_cast<std::uint32_t>(i));
  std::unique_ptr<StackPool> pool{new (std::nothrow) StackPool{std::move(state)}};
  if (!pool) return Error::no_memory;
  return pool;
}

Result<std::span<std::byte>> StackPool::take() noexcept {
  const std::lock_guard lock{state_->mutex};
  if (state_->free.empty()) return Error::limit_reached;
  const std::uint32_t index = state_->free.back();
  state_->free.pop_back();
  return state_->memory.subspan(index * state_->stride + page_size, state_->size);
}

void StackPool::give_back(std::span<std::byte> stack) noexcept {
  const auto offset = static_cast<std::size_t>(stack.data() - state_->memory.data());
  if (offset >= state_->memory.size() || offset % state_->stride != page_size)
    panic("a stack is given back to a pool that it is not from");
  const std::lock_guard lock{state_->mutex};
  state_->free.push_back(static_cast<std::uint32_t>(offset / state_->stride));
}

std::size_t StackPool::taken() const noexcept {
  const std::lock_guard lock{state_->mutex};
  return state_->count - state_->free.size();
}

bool StackPool::in_guard(std::uintptr_t address) const noexcept {
  const std::uintptr_t offset = address - reinterpret_cast<std::uintptr_t>(state_->memory.data());
  return offset < state_->memory.size() && offset % state_->stride < page_size;
}

}  // namespace lichen::hal
