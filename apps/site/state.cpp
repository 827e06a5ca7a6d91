#include "apps/site/state.hpp"

#include <array>

#include "apps/site/json.hpp"
#include "lichen/coro/trace.hpp"
#include "lichen/sched/inspect.hpp"

// Runs seldom and is a large part of an image, so it is made small, not fast.
#pragma clang attribute push(__attribute__((minsize)), apply_to = function)

namespace lichen::site {

namespace {

void write_core(Json& json, sched::Machine& machine, io::System& system, unsigned index) {
  const sched::CoreStatistics core = machine.core(index).statistics();
  const io::DeviceStatistics device = system.device_statistics(index);
  json.open('{')
      .field("tasks_run", core.tasks_run)
      .field("batches", core.batches)
      .field("ready", core.ready)
      .field("stolen", core.stolen)
      .field("posted", core.posted)
      .field("parks", core.parks)
      .field("preemptions", core.preemptions)
      .field("stalls", machine.core(index).stalls().count())
      .field("timers", core.timers)
      .field("timers_fired", core.timers_fired)
      .field("operations", device.operations)
      .field("completions", device.completions)
      .field("system_calls", device.system_calls)
      .field("in_flight", device.in_flight)
      .field("buffers_in_use", device.buffers_in_use)
      .field("sockets", device.sockets)
      .close('}');
}

}  // namespace

Task<Result<std::string>> state_json(io::System& system, HttpTotals http, const FrameDemo* demo,
                                     Seen* seen) {
  auto& machine = sched::Machine::current();
  const auto bands = CO_TRY(co_await sched::band_statistics(machine));
  const sched::MemoryStatistics memory = CO_TRY(co_await sched::memory_statistics(machine));
  std::size_t blocks = 0;
  for (const auto& size_class : memory.classes) blocks += size_class.live;

  Json json;
  json.open('{')
      .field("uptime_ns", coro::hooks::now_ns() - machine.started_ns())
      .field("tasks", sched::count_tasks(machine))
      .key("cores")
      .open('[');
  for (unsigned i = 0; i < machine.cores(); ++i) write_core(json, machine, system, i);
  json.close(']').key("disks").open('[');
  for (const io::BlockDevice* disk : system.disks()) {
    const io::BlockInfo info = disk->info();
    json.open('{')
        .field("sectors", info.sectors)
        .field("sector_size", info.sector_size)
        .field("read_only", info.read_only)
        .close('}');
  }
  json.close(']')
      .key("memory")
      .open('{')
      .field("used", memory.used)
      .field("limit", memory.limit)
      .field("blocks", blocks)
      .field("refusals", memory.refusals)
      .field("system_calls", memory.system_calls)
      .close('}')
      .key("http")
      .open('{')
      .field("open", http.open)
      .field("accepted", http.accepted)
      .field("requests", http.requests)
      .field("refused", http.refused)
      .field("timed_out", http.timed_out)
      .close('}');
  json.field("preemption", machine.preempts()).key("bands");
  write_bands(json, bands, seen ? &seen->bands : nullptr);
  json.key("groups");
  write_groups(json);
  write_watched(json.key("watched"), false);
  if (demo) {
    FrameDemo::Seen nothing;
    demo->write(json.key("demo"), seen ? seen->demo : nothing);
  }
  json.close('}');
  co_return json.text();
}

std::string tasks_json(std::size_t limit) {
  auto& machine = sched::Machine::current();
  std::vector<coro::Strand*> found;
  Json json;
  std::size_t seen = 0;
  json.open('[');
  // Traces are taken while the walk holds the strand in place, so that it cannot end meanwhile.
  coro::for_each_strand(
      machine.root(), [&] [[gnu::noinline]] (coro::Strand & strand, unsigned depth) {
        if (seen++ >= limit) return;
        std::array<coro::TraceLine, 32> lines;
        const std::size_t count = coro::trace_strand(strand, lines);
        json.open('{').field("depth", depth).field("state", count ? "waiting" : "ready");
        if (strand.watch() != 0) json.field("name", machine.task_watches().name_of(strand).view());
        json.key("stack").open('[');
        for (std::size_t i = 0; i < count; ++i) {
          json.open('{')
              .field("kind", lines[i].kind == coro::TraceLine::Kind::awaits ? "awaits" : "spawned")
              .field("function", std::string_view{lines[i].function})
              .field("file", std::string_view{lines[i].file})
              .field("line", lines[i].line)
              .close('}');
        }
        json.close(']').close('}');
      });
  json.close(']');
  return json.text();
}

Task<Result<std::string>> memory_json() {
  const auto memory = CO_TRY(co_await sched::memory_statistics(sched::Machine::current()));
  Json json;
  json.open('[');
  for (const auto& size_class : memory.classes) {
    json.open('{')
        .field("block_size", size_class.block_size)
        .field("live", size_class.live)
        .field("capacity", size_class.capacity)
        .field("slabs", size_class.slabs)
        .close('}');
  }
  json.close(']');
  co_return json.text();
}

}  // namespace lichen::site

#pragma clang attribute pop
