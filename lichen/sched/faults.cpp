// What is said when a task ends the process.
#include <array>
#include <string_view>
#include <type_traits>

#include "lichen/base/format.hpp"
#include "lichen/base/log.hpp"
#include "lichen/coro/trace.hpp"
#include "lichen/hal/hal.hpp"
#include "lichen/sched/executor.hpp"
#include "lichen/sched/machine.hpp"

// Where the program's image begins, from the linker.
extern "C" const char __executable_start[];

// Runs seldom, and is made small.
#pragma clang attribute push(__attribute__((minsize)), apply_to = function)

namespace lichen::sched {

namespace {

constexpr std::size_t kib = 1024;
constexpr std::size_t most_lines = 16;

template <class... Arguments>
void say(base::FormatString<std::type_identity_t<Arguments>...> text,
         const Arguments&... arguments) noexcept {
  std::array<char, base::log::max_line> room;
  hal::write_console(base::format_to(room, text, arguments...).text);
}

// The frame in which the task runs, found by what the flow had in its registers and on its stack:
// the innermost of those that lead to the root of the strand. Null: none was there.
const coro::PromiseBase* find_running(coro::Strand& strand, const hal::Fault& fault) noexcept {
  const std::span<std::byte> memory = hal::page_region();
  const auto begin = reinterpret_cast<std::uintptr_t>(memory.data());
  const auto promise_at = [&](std::uintptr_t at) -> const coro::PromiseBase* {
    constexpr std::size_t size = sizeof(coro::PromiseBase);
    const std::uintptr_t offset = at - begin;
    const bool inside = at % alignof(coro::PromiseBase) == 0 && offset < memory.size() &&
                        memory.size() - offset >= size && fault.can_read(at) &&
                        fault.can_read(at + size - 1);
    return inside ? reinterpret_cast<const coro::PromiseBase*>(at) : nullptr;
  };
  const coro::PromiseBase* const root = &coro::PromiseBase::of_root(strand);
  const auto depth_of = [&](const coro::PromiseBase* promise) {
    constexpr unsigned most = 1'000;
    for (unsigned depth = 1; promise && depth < most; ++depth) {
      if (promise->strand != &strand) return 0U;
      if (promise == root) return depth;
      promise = promise_at(reinterpret_cast<std::uintptr_t>(promise->parent));
    }
    return 0U;
  };
  const coro::PromiseBase* found = nullptr;
  unsigned deepest = 0;
  for (const auto words : {fault.registers, fault.stack}) {
    for (const std::uintptr_t word : words) {
      // Code of a coroutine holds on to the frame, code of the runtime to the promise in it.
      for (const std::uintptr_t at : {word + coro::Runnable::frame_header, word}) {
        const coro::PromiseBase* promise = promise_at(at);
        const unsigned depth = promise ? depth_of(promise) : 0;
        if (depth > deepest) deepest = depth, found = promise;
      }
    }
  }
  return found;
}

void say_where_awaited(coro::Strand& strand, const hal::Fault& fault) noexcept {
  const coro::PromiseBase* const running = find_running(strand, fault);
  if (!running) return;
  std::array<char, base::log::max_line> room;
  // Where it runs itself the fault says; it may not have awaited anything yet.
  for (const auto* frame = running->parent; frame; frame = frame->parent) {
    const std::source_location& at = frame->where();
    const coro::TraceLine line{coro::TraceLine::Kind::awaits, at.function_name(), at.file_name(),
                               at.line()};
    say("{}\n", coro::format_line(line, room));
  }
}

void say_where_spawned(const coro::Strand& strand, bool in_section) noexcept {
  std::array<coro::TraceLine, most_lines> lines;
  // The way up takes locks, one of which may be held here.
  const std::size_t count = in_section ? 0 : coro::trace_ancestors(strand, lines);
  std::array<char, base::log::max_line> room;
  if (count == 0) {
    const std::source_location& at = strand.spawned_at;
    const coro::TraceLine line{coro::TraceLine::Kind::spawned, at.function_name(), at.file_name(),
                               at.line()};
    say("{}\n", coro::format_line(line, room));
  }
  for (std::size_t i = 0; i < count; ++i) say("{}\n", coro::format_line(lines[i], room));
}

}  // namespace

void Executor::on_fault(const hal::Fault& fault) noexcept {
  if (coro::Core* core = coro::this_core()) static_cast<Executor*>(core)->faulted(fault);
}

void Executor::faulted(const hal::Fault& fault) noexcept {
  const auto in_image = [](std::uintptr_t at) {
    return at - reinterpret_cast<std::uintptr_t>(__executable_start);
  };
  std::array<char, 48> room;
  const std::string_view place =
      fault.at == 0 ? "where the program has no code"
                    : base::format_to(room, "at image+{:#x}", in_image(fault.at)).text;
  hal::StackPool* stacks = machine_.stacks();
  const bool on_carrier = fault.address && stacks && stacks->in_guard(fault.address);
  const std::size_t overrun = on_carrier ? machine_.options_.stack_size : fault.overrun;
  const std::string_view group = lane_->group ? lane_->group->name() : "runtime";
  if (overrun != 0)
    say("lichen: panic: core {}: the stack of {} KiB is used up, {}\n", index_, overrun / kib,
        place);
  else if (*fault.what)
    say("lichen: core {}: {}, address {:#x}, {}\n", index_, fault.what, fault.address, place);
  if (fault.caller != 0) say("  called from image+{:#x}\n", in_image(fault.caller));
  if (current_) {
    say("  by a task of {}\n", group);
    say_where_awaited(*current_, fault);
    say_where_spawned(*current_, preemption_off() || in_short_section());
  } else {
    say("  in the scheduler itself\n");
  }
  if (overrun == 0) return;
  say("  Calls that go this deep, or frames this large, need a larger stack or should await tasks\n"
      "  (co_await keeps its state on the heap). ");
  if (on_carrier)
    say("Stacks of tasks that are preempted are as large as\n"
        "  MachineOptions::stack_size or the option --stack-size says.\n");
  else
    hal::write_console(hal::core_stack_advice);
}

}  // namespace lichen::sched

#pragma clang attribute pop
