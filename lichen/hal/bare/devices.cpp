#include "lichen/hal/bare/devices.hpp"

#include <algorithm>
#include <atomic>

#include "lichen/hal/bare/memory.hpp"
#include "lichen/hal/bare/page_entry.hpp"
#include "lichen/hal/bare/page_table.hpp"
#include "lichen/hal/bare/platform.hpp"
#include "lichen/hal/bare/spin_lock.hpp"
#include "lichen/hal/hal.hpp"

extern "C" {
extern const char __executable_start[];
extern const char lichen_image_end[];
}

namespace lichen::hal {

namespace {

using detail::interrupt_sources;
using detail::SpinGuard;
using detail::SpinLock;

constexpr std::size_t most_devices = 64;
constexpr std::uint64_t end_of_physical = std::uint64_t{1} << 52;
constinit std::array<FoundDevice, most_devices> found{};
constinit std::size_t found_count = 0;

struct Attachment {
  DeviceInterrupt handler = nullptr;
  void* context = nullptr;
  std::atomic<Attachment*> next{nullptr};
};

// Handlers of a source run on one core, and there alone a list of them loses members; so its own
// handlers never see it change, except that others put new ones in front.
struct Source {
  std::atomic<Attachment*> first{nullptr};
  CoreId core = no_core;  // no_core: in nobody's use
  std::uint32_t line = no_line;
};
constinit std::array<Source, interrupt_sources> sources{};
constinit std::array<Attachment, interrupt_sources> attachments{};
constinit SpinLock lock;

unsigned index_of(const Source& source) noexcept {
  return static_cast<unsigned>(&source - sources.data());
}

Source* find_source(std::uint32_t line) noexcept {
  for (Source& source : sources)
    if (source.core != no_core && source.line == line) return &source;
  return nullptr;
}

Source* free_source() noexcept {
  for (Source& source : sources)
    if (source.core == no_core) return &source;
  return nullptr;
}

Attachment* free_attachment() noexcept {
  for (Attachment& attachment : attachments)
    if (!attachment.handler) return &attachment;
  return nullptr;
}

void put_in_front(Source& source, Attachment& attachment, DeviceInterrupt handler,
                  void* context) noexcept {
  attachment.handler = handler;
  attachment.context = context;
  attachment.next.store(source.first.load(std::memory_order_relaxed), std::memory_order_relaxed);
  source.first.store(&attachment, std::memory_order_release);
}

bool take_out(Source& source, DeviceInterrupt handler, void* context) noexcept {
  std::atomic<Attachment*>* link = &source.first;
  bool any = false;
  while (Attachment* attachment = link->load(std::memory_order_relaxed)) {
    if (attachment->handler != handler || attachment->context != context) {
      link = &attachment->next;
      continue;
    }
    link->store(attachment->next.load(std::memory_order_relaxed), std::memory_order_relaxed);
    attachment->handler = nullptr;
    any = true;
  }
  return any;
}

}  // namespace

void detail::add_device(const FoundDevice& device) noexcept {
  if (found_count < most_devices) found[found_count++] = device;
}

void detail::call_device_handlers(unsigned source) noexcept {
  for (Attachment* attachment = sources[source].first.load(std::memory_order_acquire); attachment;
       attachment = attachment->next.load(std::memory_order_relaxed))
    attachment->handler(attachment->context);
}

// Runs seldom, and is made small.
#pragma clang attribute push(__attribute__((minsize)), apply_to = function)

std::span<const FoundDevice> devices() noexcept { return std::span{found}.first(found_count); }

Result<std::span<std::byte>> map_device(DeviceWindow window) noexcept {
  constexpr std::uint64_t largest = std::uint64_t{1} << 30;
  if (window.size == 0 || window.size > largest || window.address > end_of_physical - window.size)
    return Error::invalid_argument;
  std::byte* const at = TRY(detail::map_device(window.address, window.size));
  detail::flush_everywhere();
  return std::span{at, window.size};
}

std::uint64_t physical_address(std::span<const std::byte> bytes) noexcept {
  const auto at = reinterpret_cast<std::uintptr_t>(bytes.data());
  const auto within = [&](std::uintptr_t begin, std::uintptr_t end) {
    return at >= begin && at < end && bytes.size() <= end - at;
  };
  const std::span<std::byte> region = page_region();
  const auto begin = reinterpret_cast<std::uintptr_t>(region.data());
  if (within(begin, begin + region.size())) return at - detail::direct_base;
  if (within(reinterpret_cast<std::uintptr_t>(__executable_start),
             reinterpret_cast<std::uintptr_t>(lichen_image_end)))
    return detail::physical_of_image(bytes.data());
  return no_physical_address;
}

Result<void> attach_line(std::uint32_t line, CoreId core, DeviceInterrupt handler,
                         void* context) noexcept {
  if (!handler || line == no_line || core >= detail::started_processors())
    return Error::invalid_argument;
  const SpinGuard guard{lock};
  Attachment* const attachment = free_attachment();
  if (!attachment) return Error::limit_reached;
  if (Source* shared = find_source(line)) {
    if (shared->core != core) return Error::busy;
    put_in_front(*shared, *attachment, handler, context);
    return {};
  }
  Source* const source = free_source();
  if (!source) return Error::limit_reached;
  // Before the line is opened: it may be raised already.
  put_in_front(*source, *attachment, handler, context);
  source->core = core;
  source->line = line;
  const Result<void> opened = detail::open_line(line, core, index_of(*source));
  if (!opened) {
    take_out(*source, handler, context);
    source->core = no_core;
  }
  return opened;
}

Result<Message> attach_message(CoreId core, DeviceInterrupt handler, void* context) noexcept {
  if (!handler || core >= detail::started_processors()) return Error::invalid_argument;
  const SpinGuard guard{lock};
  Attachment* const attachment = free_attachment();
  Source* const source = free_source();
  if (!attachment || !source) return Error::limit_reached;
  const Message message = TRY(detail::message_for(core, index_of(*source)));
  put_in_front(*source, *attachment, handler, context);
  source->core = core;
  source->line = no_line;
  return message;
}

void detach_interrupt(DeviceInterrupt handler, void* context) noexcept {
  interrupts_off();
  {
    const SpinGuard guard{lock};
    for (Source& source : sources) {
      if (source.core != this_core() || !take_out(source, handler, context)) continue;
      if (source.first.load(std::memory_order_relaxed)) continue;
      if (source.line != no_line) detail::close_line(source.line);
      source.core = no_core;
    }
  }
  interrupts_on();
}

}  // namespace lichen::hal

#pragma clang attribute pop
