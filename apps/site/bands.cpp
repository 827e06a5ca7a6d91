#include "apps/site/bands.hpp"

#include <source_location>
#include <utility>

#include "lichen/sched/machine.hpp"
#include "lichen/sched/task_watch.hpp"

// Runs seldom and is a large part of an image, so it is made small, not fast.
#pragma clang attribute push(__attribute__((minsize)), apply_to = function)

namespace lichen::site {

namespace {

void write_distribution(Json& json, const sched::Distribution& times) {
  json.open('{')
      .field("count", times.count())
      .field("p50", times.percentile(5'000))
      .field("p99", times.percentile(9'900))
      .field("p999", times.percentile(9'990))
      .field("max", times.max())
      .close('}');
}

void write_counts(Json& json, const sched::WorkFigures& work) {
  json.field("tasks", work.tasks)
      .field("preemptions", work.preemptions)
      .field("frames", work.frames)
      .field("missed", work.missed);
}

void write_place(Json& json, const std::source_location& where) {
  json.field("file", std::string_view{where.file_name()})
      .field("line", where.line())
      .field("function", std::string_view{where.function_name()});
}

void write_lanes(Json& json, sched::Machine& machine) {
  json.key("lanes").open('[');
  sched::for_each_lane(machine, [&json] [[gnu::noinline]] (const sched::LaneFigures& lane) {
    json.open('{').field("group", lane.group).field("name", lane.name);
    write_counts(json, lane.work);
    write_distribution(json.key("wait"), lane.work.wait);
    write_distribution(json.key("run"), lane.work.run);
    json.close('}');
  });
  json.close(']');
}

void write_preempted(Json& json, sched::Machine& machine) {
  json.key("preempted").open('[');
  for (unsigned core = 0; core < machine.cores(); ++core) {
    for (const sched::PreemptedTasks& tasks : machine.core(core).watch().preempted_tasks()) {
      json.open('{').field("core", core);
      write_place(json, tasks.spawned_at);
      json.field("preemptions", tasks.preemptions)
          .field("longest_run_ns", tasks.longest_run_ns)
          .field("longest_aside_ns", tasks.longest_aside_ns)
          .field("aside_ns", tasks.aside_ns)
          .close('}');
    }
  }
  json.close(']');
}

void write_stalls(Json& json, sched::Machine& machine) {
  json.key("stalls").open('[');
  for (unsigned core = 0; core < machine.cores(); ++core) {
    for (const sched::Stall& stall : machine.core(core).stalls().latest()) {
      json.open('{')
          .field("core", core)
          .field("held_ns", stall.held_ns)
          .field("call", std::string_view{stall.call})
          .field("task", stall.task.view())
          .field("group", sched::describe_lane(machine, stall.lane).group_name)
          .key("stack")
          .open('[');
      for (std::size_t i = 0; i < stall.line_count; ++i) {
        json.open('{')
            .field("function", std::string_view{stall.lines[i].function})
            .field("file", std::string_view{stall.lines[i].file})
            .field("line", stall.lines[i].line)
            .close('}');
      }
      json.close(']').close('}');
    }
  }
  json.close(']');
}

}  // namespace

void write_bands(Json& json, const std::vector<sched::BandStatistics>& bands, BandsSeen* seen) {
  constexpr std::uint64_t copy_every_ns = 5'000'000'000;
  if (seen) {
    seen->older.resize(bands.size());
    seen->newer.resize(bands.size());
    if (const std::uint64_t now = coro::hooks::now_ns(); now - seen->copied_ns >= copy_every_ns) {
      seen->copied_ns = now;
      seen->older = std::move(seen->newer);
      seen->newer.clear();
      for (const auto& band : bands) seen->newer.push_back(band.work.wait);
    }
  }
  json.open('[');
  for (unsigned i = 0; i < bands.size(); ++i) {
    const sched::BandStatistics& band = bands[i];
    json.open('{')
        .field("name", sched::band_name(i))
        .field("ready", band.ready)
        .field("run_ns", band.run_ns);
    write_counts(json, band.work);
    const sched::Distribution& waits = band.work.wait;
    write_distribution(json.key("wait"), seen ? waits.since(seen->older[i]) : waits);
    if (!seen) write_distribution(json.key("run"), band.work.run);
    json.close('}');
  }
  json.close(']');
}

void write_groups(Json& json) {
  sched::Registry& registry = sched::Machine::current().registry();
  json.open('[');
  for (std::uint32_t i = 0, left = registry.groups(); left > 0 && i < sched::max_groups; ++i) {
    const sched::Group* group = registry.group_at(i);
    if (!group) continue;
    --left;
    const sched::GroupStatistics statistics = group->statistics();
    json.open('{')
        .field("name", group->name())
        .field("weight", group->weight())
        .field("foreground", group->foreground())
        .field("guarantee_permille", group->guarantee_permille())
        .field("limit_permille", group->limit_permille())
        .field("frame_ns", statistics.frame_ns)
        .field("overruns", statistics.overruns)
        .field("throttlings", statistics.throttlings)
        .field("boosts", statistics.boosts)
        .key("run_ns")
        .open('[');
    for (const std::uint64_t ns : statistics.run_ns) json.value(ns);
    json.close(']').close('}');
  }
  json.close(']');
}

void write_watched(Json& json, bool all) {
  json.open('[');
  sched::for_each_watched_task(
      sched::Machine::current(), [&json, all] [[gnu::noinline]] (const sched::TaskFigures& task) {
        json.open('{').field("name", task.name.view()).field("watched", task.watched);
        write_counts(json, task.work);
        json.field("moves", task.migrations);
        if (all) {
          write_place(json, task.spawned_at);
          json.field("aside_ns", task.aside_ns).field("longest_aside_ns", task.longest_aside_ns);
        }
        write_distribution(json.key("wait"), task.work.wait);
        write_distribution(json.key("run"), task.work.run);
        json.close('}');
      });
  json.close(']');
}

Task<Result<std::string>> bands_json() {
  auto& machine = sched::Machine::current();
  const auto bands = CO_TRY(co_await sched::band_statistics(machine));
  Json json;
  json.open('{').key("bands");
  write_bands(json, bands, nullptr);
  json.key("groups");
  write_groups(json);
  write_lanes(json, machine);
  write_watched(json.key("watched"), true);
  write_preempted(json, machine);
  write_stalls(json, machine);
  json.close('}');
  co_return json.text();
}

}  // namespace lichen::site

#pragma clang attribute pop
