// lichen::run: a Lichen inside an ordinary program.
//
//   int main() {
//     auto outcome = lichen::run([](lichen::io::System& system) -> lichen::Task<lichen::Result<>> {
//       auto stream = CO_TRY(co_await system.network().connect(lichen::io::Address::loopback(80)));
//       ...
//     });
//     return outcome ? 0 : 1;
//   }
#pragma once

#include <optional>
#include <utility>

#include "lichen/base/result.hpp"
#include "lichen/coro/task.hpp"
#include "lichen/io/system.hpp"
#include "lichen/sched/machine.hpp"

namespace lichen::driver {
class HostSystem;
}

namespace lichen {

// Cores, memory limit and idle policy; see there.
using RunOptions = sched::MachineOptions;

namespace image {

// The host's sockets, files and signals as an io::System, made ready for one run.
class Host {
 public:
  static Result<Host> create();
  Host(Host&&) noexcept;
  Host& operator=(Host&&) noexcept;
  ~Host();

  [[nodiscard]] io::System& system() noexcept;
  // The same, for who needs what only this host has.
  [[nodiscard]] driver::HostSystem& linux_system() noexcept;
  Result<void> run(Task<Result<void>> main, const RunOptions& options);

 private:
  struct Parts;
  explicit Host(std::unique_ptr<Parts> parts) noexcept;
  std::unique_ptr<Parts> parts_;
};

template <class T>
Task<Result<void>> keep_result(Task<T> task,
                               std::optional<Result<typename Task<T>::Value>>& result) {
  result.emplace(co_await std::move(task));
  co_return Result<void>{};
}

}  // namespace image

// Runs the task `main` on a machine of its own and yields its result. Returns when it has ended,
// with everything it started. One run at a time in a process. Errors of its own: no_memory,
// already_exists (a run is under way), not_supported (the kernel lacks io_uring; the log says what
// to do), access_denied (the same of RunOptions::realtime), invalid_argument and out_of_range (of
// the options), limit_reached.
template <class T>
Result<typename Task<T>::Value> run(Task<T> main, const RunOptions& options = {}) {
  image::Host host = TRY(image::Host::create());
  std::optional<Result<typename Task<T>::Value>> result;
  TRY(host.run(image::keep_result(std::move(main), result), options));
  return std::move(*result);
}

// The same for a coroutine that wants the outside world: main(io::System&).
template <class Main>
  requires std::is_invocable_v<Main, io::System&>
auto run(Main main, const RunOptions& options = {})
    -> Result<typename std::invoke_result_t<Main, io::System&>::Value> {
  image::Host host = TRY(image::Host::create());
  std::optional<Result<typename std::invoke_result_t<Main, io::System&>::Value>> result;
  TRY(host.run(image::keep_result(main(host.system()), result), options));
  return std::move(*result);
}

}  // namespace lichen
