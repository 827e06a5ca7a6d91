#include "lichen/hal/linux/context.hpp"

#include <sys/mman.h>

#include "lichen/base/bits.hpp"

#if __has_feature(address_sanitizer)
#include <sanitizer/common_interface_defs.h>
#endif
#if __has_feature(thread_sanitizer)
#include <sanitizer/tsan_interface.h>
#endif

namespace lichen::hal {

extern "C" {
// Saves the callee-saved state on the running stack, leaves its pointer in *from, and restores the other.
void lichen_switch_stack(void** from, void* to) noexcept;
void lichen_context_start() noexcept;
[[gnu::used, gnu::visibility("hidden")]] void lichen_context_arrived() noexcept;
}

asm(R"(
.text
.p2align 4
.globl lichen_switch_stack
.hidden lichen_switch_stack
.type lichen_switch_stack, @function
lichen_switch_stack:
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
  retq
  .cfi_endproc
.size lichen_switch_stack, .-lichen_switch_stack

.p2align 4
.globl lichen_context_start
.hidden lichen_context_start
.type lichen_context_start, @function
lichen_context_start:
  .cfi_startproc
  .cfi_undefined rip
  callq lichen_context_arrived
  ud2
  .cfi_endproc
.size lichen_context_start, .-lichen_context_start
)");

namespace {

// What lichen_switch_stack pops, lowest address first.
struct SavedState {
  std::uint32_t mxcsr = 0x1f80;  // all exceptions masked, round to nearest
  std::uint16_t x87_control = 0x037f;
  std::uint16_t unused = 0;
  void* r15 = nullptr;
  void* r14 = nullptr;
  void* r13 = nullptr;
  void* r12 = nullptr;
  void* rbx = nullptr;
  void* rbp = nullptr;
  void* return_address = nullptr;
  void* alignment = nullptr;  // so that the entry's frame is aligned as after a call
};

// The switch under way on this thread; read at once after arriving.
constinit thread_local Context* departing = nullptr;
constinit thread_local Context* arriving = nullptr;

}  // namespace

Result<Stack> Stack::allocate(std::size_t bytes) noexcept {
  bytes = base::align_up(bytes, page_size);
  void* whole = mmap(nullptr, bytes + page_size, PROT_NONE,
                     MAP_PRIVATE | MAP_ANONYMOUS | MAP_STACK | MAP_NORESERVE, -1, 0);
  if (whole == MAP_FAILED) return Error::no_memory;
  auto* usable = static_cast<std::byte*>(whole) + page_size;
  if (mprotect(usable, bytes, PROT_READ | PROT_WRITE) != 0) {
    munmap(whole, bytes + page_size);
    return Error::no_memory;
  }
  return Stack{std::span{usable, bytes}};
}

Stack::~Stack() {
  if (!usable_.empty()) munmap(usable_.data() - page_size, usable_.size() + page_size);
}

Stack Context::no_stack() noexcept { return Stack{{}}; }

Result<Context> Context::make(Stack stack, void (*entry)(void*) noexcept, void* argument) noexcept {
  Context context;
  context.stack_ = std::move(stack);
  context.has_stack_ = true;
  auto* top = context.stack_.bytes().data() + context.stack_.bytes().size();
  auto* saved = reinterpret_cast<SavedState*>(top) - 1;
  *saved = {};
  saved->return_address = reinterpret_cast<void*>(&lichen_context_start);
  context.pointer_ = saved;
  context.entry_ = entry;
  context.argument_ = argument;
  context.bounds_ = context.stack_.bytes();
#if __has_feature(thread_sanitizer)
  context.fiber_ = __tsan_create_fiber(0);
#endif
  return context;
}

Context::~Context() {
#if __has_feature(thread_sanitizer)
  if (has_stack_ && fiber_) __tsan_destroy_fiber(fiber_);
#endif
}

// First thing on the new stack, whether it is fresh or resumed.
void Context::arrive([[maybe_unused]] void* shadow) noexcept {
#if __has_feature(address_sanitizer)
  const void* bottom = nullptr;
  std::size_t size = 0;
  __sanitizer_finish_switch_fiber(shadow, &bottom, &size);
  departing->bounds_ = {static_cast<const std::byte*>(bottom), size};
#endif
}

void Context::start(Context& self) noexcept {
  arrive(nullptr);
  self.entry_(self.argument_);
  __builtin_trap();  // the contract says that it never returns
}

void switch_context(Context& from, Context& to) noexcept {
  departing = &from;
  arriving = &to;
  void* shadow = nullptr;
#if __has_feature(address_sanitizer)
  __sanitizer_start_switch_fiber(&shadow, to.bounds_.data(), to.bounds_.size());
#endif
#if __has_feature(thread_sanitizer)
  from.fiber_ = __tsan_get_current_fiber();
  __tsan_switch_to_fiber(to.fiber_, 0);
#endif
  lichen_switch_stack(&from.pointer_, to.pointer_);
  Context::arrive(shadow);
}

void start_arrived_context() noexcept { Context::start(*arriving); }

}  // namespace lichen::hal

void lichen_context_arrived() noexcept { lichen::hal::start_arrived_context(); }
