// idle: what a machine does when nothing is ready: wake-ups and processor time of its threads, as
// the kernel counts them.
#include <dirent.h>

#include <cstring>

#include "bench/frames/ours.hpp"
#include "lichen/coro/sleep.hpp"

namespace bench::frames {

namespace {

struct Activity {
  std::uint64_t runs = 0;  // times a thread was put on a processor
  std::uint64_t ns = 0;
};

// Of all threads of the process but the calling one.
Activity activity() {
  Activity sum;
  DIR* folder = opendir("/proc/self/task");
  while (const dirent* entry = folder ? readdir(folder) : nullptr) {
    if (std::strtol(entry->d_name, nullptr, 10) == gettid()) continue;
    const std::string path = std::string{"/proc/self/task/"} + entry->d_name + "/schedstat";
    std::FILE* file = std::fopen(path.c_str(), "r");
    unsigned long long ns = 0, waited = 0, runs = 0;
    if (file && std::fscanf(file, "%llu %llu %llu", &ns, &waited, &runs) == 3) {
      sum.ns += ns;
      sum.runs += runs;
    }
    if (file) std::fclose(file);
  }
  if (folder) closedir(folder);
  return sum;
}

Task<Result<void>> sleep(coro::Duration time) { co_return co_await coro::sleep_for(time); }

// Groups of every band have worked and have tasks that wait; one is due long after the measurement.
Task<Result<void>> rest(double seconds) {
  auto app = CO_TRY(sched::make_group({.name = "app", .foreground = true}));
  auto others = CO_TRY(sched::make_group({.name = "others", .guarantee_permille = 100}));
  const std::chrono::nanoseconds time{static_cast<std::int64_t>(seconds * 1e9)};
  Scope scope;
  for (const auto* group : {app.get(), others.get()})
    for (unsigned qos = 0; qos < sched::qos_count; ++qos)
      for (unsigned core = 0; core < sched::Machine::current().cores(); ++core)
        scope.spawn(sleep(time), Place{.core = &sched::Machine::current().core(core),
                                       .lane = group->lane(static_cast<sched::Qos>(qos))});
  co_return co_await scope.join();
}

}  // namespace

void idle(const Args& args) {
  const double seconds = args.number("seconds", 5);
  const unsigned cores = args.count("cores", std::thread::hardware_concurrency());
  Activity seen;
  std::thread watcher{[&] {
    const auto wait = [](double time) {
      std::this_thread::sleep_for(std::chrono::duration<double>{time});
    };
    wait(1);
    const Activity before = activity();
    wait(seconds);
    const Activity after = activity();
    seen = {after.runs - before.runs, after.ns - before.ns};
  }};
  on_machine({.cores = cores},
             [&] [[clang::coro_wrapper]] (io::System&) { return rest(seconds + 2); });
  watcher.join();
  std::printf(
      "{\"name\":\"idle\",\"variant\":\"%u cores, %.0f s\",\"wakeups\":%llu,\"cpu_us\":%.1f}\n",
      cores, seconds, static_cast<unsigned long long>(seen.runs),
      static_cast<double>(seen.ns) / 1000);
}

}  // namespace bench::frames
