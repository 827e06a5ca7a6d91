// Images of files. Whatever the bytes, the parser stays inside them, what it yields lies inside
// them, and what it takes for a file system is one: every name is found, every path leads to the
// top, nothing comes twice.
#include <algorithm>
#include <cstdint>
#include <string>
#include <vector>

#include "lichen/base/span.hpp"
#include "lichen/coro/test_loop.hpp"
#include "lichen/fs/cpio.hpp"
#include "lichen/fs/initfs.hpp"
#include "tests/fuzz/check.hpp"

using namespace lichen;

namespace {

using Input = std::span<const std::byte>;

void check_inside(Input part, Input whole) {
  CHECK(part.empty() ||
        (part.data() >= whole.data() && part.data() + part.size() <= whole.data() + whole.size()));
}

std::size_t count_entries(Input image) {
  fs::CpioReader reader{image};
  std::size_t count = 0;
  std::size_t before = 0;
  for (;;) {
    const auto entry = reader.next();
    if (!entry || !*entry) return entry ? count : 0;
    check_inside((*entry)->content, image);
    check_inside(base::as_bytes((*entry)->name), image);
    CHECK(reader.offset() > before && reader.offset() <= image.size());
    before = reader.offset();
    ++count;
  }
}

// Yields how many nodes there are in a folder and below it.
Task<Result<std::size_t>> check_folder(fs::Node& folder, Input image, std::size_t depth) {
  CHECK(depth < image.size());
  std::size_t count = 1;
  std::string before;
  for (const io::FolderEntry& entry : CO_TRY(co_await folder.list())) {
    CHECK(!entry.name.empty() && entry.name != "." && entry.name != "..");
    CHECK(entry.name.find('/') == entry.name.npos && entry.name.find('\0') == entry.name.npos);
    CHECK(before < entry.name);
    before = entry.name;
    const fs::NodeRef node = CO_TRY(co_await folder.find(entry.name));
    CHECK(node->type() == entry.type);
    if (entry.type == io::FileType::folder) {
      count += CO_TRY(co_await check_folder(*node, image, depth + 1));
      continue;
    }
    ++count;
    check_inside(node->resident(), image);
    CHECK(entry.type != io::FileType::link || !node->target().empty());
    if (entry.type != io::FileType::file) continue;
    std::vector<std::byte> content(node->resident().size() + 1);
    const std::size_t size = CO_TRY(co_await node->read_at(0, content));
    CHECK(std::ranges::equal(std::span{content}.first(size), node->resident()));
  }
  co_return count;
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  const Exact exact{{reinterpret_cast<const char*>(data), size}};
  const Input image = base::as_bytes(exact.view());
  const std::size_t entries = count_entries(image);
  const auto files = fs::Initfs::create(image);
  if (files) {
    CHECK((*files)->size() == entries || (*files)->size() == entries + 1);
    coro::test::TestLoop loop;
    const fs::NodeRef root = (*files)->root();
    const auto count = loop.run(check_folder(*root, image, 0));
    CHECK(count && *count && **count == (*files)->size());
  }
  return 0;
}
