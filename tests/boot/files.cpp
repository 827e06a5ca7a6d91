// The files that an image has inside, and a folder in memory among them.
#include <array>

#include "lichen/base/log.hpp"
#include "lichen/base/span.hpp"
#include "lichen/fs/initfs.hpp"
#include "lichen/fs/packed_files.hpp"
#include "lichen/fs/tmpfs.hpp"
#include "lichen/fs/vfs.hpp"
#include "lichen/image/run.hpp"

namespace {

using namespace lichen;

Task<Result<void>> app(io::System& machine) {
  const auto initfs = CO_TRY(fs::Initfs::create(fs::packed_files()));
  fs::Tmpfs tmpfs{machine};
  fs::Vfs tree{initfs->root(), fs::Rights::read_only};
  CO_TRY(co_await tree.mount("folder/tmp", tmpfs.root()));
  const auto root = CO_TRY(tree.open_root());

  const auto greeting = CO_TRY(co_await root->open("folder/greeting", io::OpenMode::read));
  log::info("inside: {}", base::as_string_view(greeting->resident()));
  const auto refused = co_await root->open("new", io::OpenMode::create);
  log::info("read-only: {}", refused.failed_with(Error::read_only));

  auto note = CO_TRY(co_await root->open("folder/tmp/note", io::OpenMode::create));
  CO_TRY(co_await note->write_at(0, greeting->resident()));
  std::array<std::byte, 64> room;
  const std::size_t size = CO_TRY(co_await note->read_at(0, room));
  log::info("in memory: {}", base::as_string_view(std::span{room}.first(size)));
  for (const io::FolderEntry& entry : CO_TRY(co_await root->list()))
    log::info("entry: {}", std::string_view{entry.name});
  co_return Result<void>{};
}

}  // namespace

int main() {
  const Result<void> outcome = run(app, {});
  if (!outcome) log::error("{}", base::describe(outcome.error()));
  return outcome ? 43 : 1;
}
