// The machine contract. A world that lacks a part of it does not compile.
#pragma once

#include <concepts>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <optional>
#include <span>
#include <string_view>

#include "lichen/base/function_ref.hpp"
#include "lichen/base/result.hpp"
#include "lichen/hal/types.hpp"

// The build selects the world; there is one today.
#ifndef LICHEN_WORLD_HEADER
#define LICHEN_WORLD_HEADER "lichen/hal/linux/world.hpp"
#endif
#include LICHEN_WORLD_HEADER

namespace lichen::hal::contract {

template <auto function, class Signature>
concept Offers = std::convertible_to<decltype(function), Signature*>;

template <class T>
concept SwitchableContext =
    std::default_initializable<T> && !std::copyable<T> &&
    requires(T context, std::span<std::byte> stack, void (*entry)(void*) noexcept, void* argument) {
      { context.make(stack, entry, argument) } noexcept;
      { switch_to(context, context) } noexcept;
    };

template <class T>
concept BoundedStacks = !std::copyable<T> && requires(T pool, std::size_t n, std::uintptr_t address,
                                                      std::span<std::byte> stack) {
  { T::create(n, n) } noexcept -> std::same_as<Result<std::unique_ptr<T>>>;
  { pool.take() } noexcept -> std::same_as<Result<std::span<std::byte>>>;
  { pool.give_back(stack) } noexcept;
  { pool.taken() } noexcept -> std::same_as<std::size_t>;
  { pool.in_guard(address) } noexcept -> std::same_as<bool>;
};

template <class T>
concept SleepingThread = std::default_initializable<T> && !std::copyable<T> &&
                         requires(T thread, void (*entry)(void*) noexcept, void* argument) {
                           { thread.start(entry, argument) } noexcept -> std::same_as<Result<void>>;
                           { thread.join() } noexcept;
                           { thread.sleep() } noexcept;
                           { thread.wake() } noexcept;
                         };

using Bytes = std::span<std::byte>;

// Cores.
static_assert(Offers<&core_count_available, unsigned() noexcept>);
static_assert(Offers<&core_capacity, std::uint32_t(CoreId) noexcept>);
static_assert(Offers<&start_cores,
                     Result<void>(const CoreOptions&, base::FunctionRef<void(CoreId)>) noexcept>);
static_assert(Offers<&this_core, CoreId() noexcept>);
static_assert(Offers<&wait, void(CoreId, std::uint64_t) noexcept>);
static_assert(Offers<&wake, void(CoreId) noexcept>);
static_assert(Offers<&pause, void() noexcept>);
static_assert(Offers<&yield_to_host, void() noexcept>);
static_assert(std::same_as<decltype(has_urgency), const bool>);
static_assert(Offers<&set_urgent, void(CoreId, bool) noexcept>);
static_assert(Offers<&urgent_from, void(CoreId, std::uint64_t) noexcept>);
// Time.
static_assert(Offers<&now_ns, std::uint64_t() noexcept>);
static_assert(Offers<&core_time_ns, std::uint64_t() noexcept>);
static_assert(Offers<&taken_ns, std::uint64_t() noexcept>);
static_assert(Offers<&waits, std::uint64_t() noexcept>);
static_assert(Offers<&arm_deadline, Result<void>(CoreId, std::uint64_t) noexcept>);
// Interrupts.
static_assert(Offers<&register_interrupt, Result<void>(Interrupt, InterruptHandler) noexcept>);
static_assert(Offers<&interrupts_off, void() noexcept>);
static_assert(Offers<&interrupts_on, void() noexcept>);
static_assert(Offers<&interrupts_are_on, bool() noexcept>);
static_assert(Offers<&interrupted_at, std::uintptr_t() noexcept>);
static_assert(Offers<&call_after_interrupt, void(void (*)() noexcept) noexcept>);
static_assert(Offers<&end_of_interrupt, void(Interrupt) noexcept>);
static_assert(Offers<&send_interrupt, Result<void>(CoreId) noexcept>);
static_assert(Offers<&register_fault_handler, Result<void>(FaultHandler) noexcept>);
// Threads that are cores while the host keeps others.
static_assert(SleepingThread<HostThread>);
static_assert(
    Offers<&host_call, std::optional<HostCall>(Bytes, bool (*)(std::uintptr_t)) noexcept>);
static_assert(
    Offers<&call_around_host_call, void(void (*)() noexcept, void (*)() noexcept) noexcept>);
static_assert(Offers<&stand_by, void(CoreId, bool) noexcept>);
static_assert(Offers<&give_core_up, void() noexcept>);
static_assert(Offers<&take_core_over, void(CoreId) noexcept>);
// Contexts.
static_assert(SwitchableContext<Context>);
static_assert(BoundedStacks<StackPool>);
static_assert(!core_stack_advice.empty());
// Pages.
static_assert(granule_size % page_size == 0);
static_assert(Offers<&page_region, Bytes() noexcept>);
static_assert(Offers<&allocate_pages, Result<Bytes>(std::size_t) noexcept>);
static_assert(Offers<&allocate_aligned, Result<Bytes>(std::size_t, std::size_t) noexcept>);
static_assert(Offers<&free_pages, void(Bytes) noexcept>);
static_assert(Offers<&trim_pages, void() noexcept>);
static_assert(Offers<&map_pages, Result<Bytes>(Bytes, Access) noexcept>);
static_assert(Offers<&unmap_pages, void(Bytes) noexcept>);
static_assert(Offers<&protect_pages, Result<void>(Bytes, Access) noexcept>);
static_assert(Offers<&resident_pages, Result<std::size_t>(std::span<const std::byte>) noexcept>);
static_assert(Offers<&page_statistics, PageStatistics() noexcept>);
// Console, power, entropy.
static_assert(Offers<&write_console, void(std::string_view) noexcept>);
static_assert(Offers<&exit_machine, void(int) noexcept>);
static_assert(Offers<&panic, void(std::string_view) noexcept>);
static_assert(Offers<&random_bytes, Result<void>(Bytes) noexcept>);

}  // namespace lichen::hal::contract
