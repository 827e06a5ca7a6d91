// A tree used by tasks on several cores at once, with mounts that come and go. Built with the
// thread sanitizer it is where a lock that is missing shows.
#include <gtest/gtest.h>

#include <memory>
#include <string>
#include <vector>

#include "lichen/base/random.hpp"
#include "lichen/base/span.hpp"
#include "lichen/coro/scope.hpp"
#include "lichen/fs/test_machine.hpp"
#include "lichen/fs/tmpfs.hpp"
#include "lichen/fs/vfs.hpp"
#include "lichen/sched/machine.hpp"

namespace lichen::fs {
namespace {

using io::OpenMode;

constexpr unsigned cores = 2;
constexpr int tasks = 8;
constexpr int steps = 400;

std::string random_path(base::Random& random) {
  std::string path = random.below(3) == 0 ? "mnt/" : "";
  path += std::to_string(random.below(2));
  if (random.below(3) != 0) path += "/" + std::to_string(random.below(4));
  return path;
}

// Every file is written in one go with bytes that are all the same, so that is how it is read.
Task<Result<void>> write(io::Folder& folder, base::Random& random) {
  auto file = co_await folder.open(random_path(random), OpenMode::create);
  if (!file) co_return Result<void>{};
  const std::vector<std::byte> bytes(9'000, static_cast<std::byte>(random.below(256)));
  const auto outcome = co_await (*file)->write_at(0, bytes);
  if (!outcome.failed_with(Error::no_space)) CO_TRY(outcome);
  co_return Result<void>{};
}

Task<Result<void>> read(io::Folder& folder, base::Random& random) {
  auto file = co_await folder.open(random_path(random), OpenMode::read);
  if (!file) co_return Result<void>{};
  std::vector<std::byte> bytes(10'000);
  const std::size_t size = CO_TRY(co_await (*file)->read_at(0, bytes));
  EXPECT_TRUE(size == 0 || size == 9'000) << size;
  for (std::size_t i = 0; i < size; ++i)
    if (bytes[i] != bytes[0]) {
      ADD_FAILURE() << "byte " << i << " is another's";
      break;
    }
  co_return Result<void>{};
}

Task<Result<void>> work(Vfs& tree, Tmpfs& other, std::uint64_t seed) {
  base::Random random{seed};
  const auto root = CO_TRY(tree.open_root());
  for (int step = 0; step < steps; ++step) {
    const std::string path = random_path(random);
    switch (random.below(8)) {
      case 0: CO_TRY(co_await write(*root, random)); break;
      case 1: CO_TRY(co_await read(*root, random)); break;
      case 2: (co_await root->make_folder(path)).ignore(); break;
      case 3: (co_await root->remove(path)).ignore(); break;
      case 4: (co_await root->rename(path, random_path(random))).ignore(); break;
      case 5: {
        auto folder = co_await root->open_folder(path);
        if (folder) CO_TRY(co_await (*folder)->list());
        break;
      }
      case 6: (co_await tree.mount("mnt", other.root())).ignore(); break;
      default: (co_await tree.unmount("mnt")).ignore();
    }
  }
  co_return Result<void>{};
}

TEST(Vfs, IsUsedByAllCores) {
  const auto all = []() -> Task<Result<void>> {
    test::FakeMachine system;
    Tmpfs first{system, {.bytes = 100'000}};
    Tmpfs second{system, {.bytes = 100'000}};
    Vfs tree{first.root()};
    const auto root = CO_TRY(tree.open_root());
    CO_TRY(co_await root->make_folder("mnt"));
    Scope scope;
    for (int i = 0; i < tasks; ++i)
      scope.spawn(work(tree, second, 1 + static_cast<std::uint64_t>(i)),
                  &sched::Machine::current().core(static_cast<unsigned>(i) % cores));
    co_return co_await scope.join();
  };
  auto machine = sched::Machine::create({.cores = cores, .pin = false});
  ASSERT_TRUE(machine);
  const auto outcome = (*machine)->run(all());
  EXPECT_TRUE(outcome) << name(outcome.error());
}

}  // namespace
}  // namespace lichen::fs
