#include "lichen/fs/initfs.hpp"

#include <algorithm>
#include <cstdint>
#include <cstring>
#include <memory>
#include <new>
#include <optional>
#include <string>
#include <string_view>
#include <type_traits>
#include <vector>

#include "lichen/base/sort.hpp"
#include "lichen/base/span.hpp"
#include "lichen/coro/hooks.hpp"
#include "lichen/fs/cpio.hpp"
#include "lichen/fs/path.hpp"

namespace lichen::fs {

namespace detail {

class InitNode final : public Node {
 public:
  explicit InitNode(const CpioEntry& entry) noexcept
      : Node{entry.type},
        name_{entry.name.substr(entry.name.rfind('/') + 1)},
        content_{entry.content},
        modified_s_{entry.modified_s},
        inode_{entry.inode} {}

  [[nodiscard]] std::string_view name() const noexcept { return name_; }
  void set_children(std::span<InitNode* const> children) noexcept { children_ = children; }

  Task<Result<io::FileInfo>> info() override {
    co_return io::FileInfo{.type = type(),
                           .size = content_.size(),
                           .modified_ns = std::int64_t{modified_s_} * 1'000'000'000,
                           .inode = inode_};
  }
  Task<Result<NodeRef>> find(std::string_view name) override {
    const auto place = std::ranges::lower_bound(children_, name, {}, &InitNode::name);
    if (place == children_.end() || (*place)->name() != name) co_return Error::not_found;
    co_return NodeRef{**place};
  }
  Task<Result<std::vector<io::FolderEntry>>> list() override {
    std::vector<io::FolderEntry> all;
    all.reserve(children_.size());
    for (const InitNode* child : children_)
      all.push_back({std::string{child->name()}, child->type()});
    co_return all;
  }
  [[nodiscard]] std::string_view target() const noexcept override {
    return base::as_string_view(content_);
  }
  Task<Result<std::size_t>> read_at(std::uint64_t offset, std::span<std::byte> into) override {
    if (type() != io::FileType::file) co_return Error::not_supported;
    if (offset >= content_.size()) co_return std::size_t{0};
    const auto piece = content_.subspan(offset, std::min(into.size(), content_.size() - offset));
    std::ranges::copy(piece, into.begin());
    co_return piece.size();
  }
  [[nodiscard]] std::span<const std::byte> resident() const noexcept override {
    return type() == io::FileType::file ? content_ : std::span<const std::byte>{};
  }

 private:
  // Lives as long as its file system.
  void retain() noexcept override {}
  void release() noexcept override {}

  std::string_view name_;
  std::span<const std::byte> content_;
  std::span<InitNode* const> children_;
  std::uint32_t modified_s_;
  std::uint32_t inode_;
};

}  // namespace detail

// Runs once, and is made small.
#pragma clang attribute push(__attribute__((minsize)), apply_to = function)

namespace {

using detail::InitNode;

// An array from the frame pools, not constructed.
template <class T>
  requires std::is_trivially_destructible_v<T>
class Scratch {
 public:
  explicit Scratch(std::size_t size) noexcept
      : data_{static_cast<T*>(coro::hooks::allocate_frame(size * sizeof(T)))}, size_{size} {}
  Scratch(const Scratch&) = delete;
  Scratch& operator=(const Scratch&) = delete;
  ~Scratch() {
    if (data_) coro::hooks::free_frame(data_, size_ * sizeof(T));
  }
  explicit operator bool() const noexcept { return data_ != nullptr; }
  [[nodiscard]] T* data() const noexcept { return data_; }

 private:
  T* data_;
  std::size_t size_;
};

struct Child {
  std::size_t parent;
  std::size_t node;
  std::string_view name;
};

// The entry's name as a path from the root; the root's is empty.
Result<std::string_view> path_of(std::string_view name) noexcept {
  if (name.starts_with('/')) return Error::path_escapes;
  if (name == ".") return std::string_view{};
  if (name.starts_with("./")) name.remove_prefix(2);
  if (name.size() > longest_path) return Error::too_large;
  for (std::string_view rest = name;;) {
    const std::size_t slash = rest.find('/');
    const std::string_view component = rest.substr(0, slash);
    if (component == "..") return Error::path_escapes;
    if (component.empty() || component == ".") return Error::protocol_error;
    if (component.size() > Node::longest_name) return Error::too_large;
    if (slash == std::string_view::npos) return name;
    rest.remove_prefix(slash + 1);
  }
}

Result<void> check(const CpioEntry& entry) noexcept {
  const bool is_file = entry.type == io::FileType::file;
  if (is_file && entry.links > 1 && entry.content.empty()) return Error::not_supported;
  if (entry.type == io::FileType::link) {
    const std::string_view target = base::as_string_view(entry.content);
    if (target.empty() || target.contains('\0')) return Error::protocol_error;
    if (target.size() > longest_path) return Error::too_large;
  } else if (!is_file && !entry.content.empty()) {
    return Error::protocol_error;
  }
  return {};
}

// Entries with their paths for names, in the order of those; the root comes first, whether the
// archive has it or not. Yields how many.
Result<std::size_t> read_entries(std::span<const std::byte> image, CpioEntry* into) noexcept {
  std::size_t count = 0;
  CpioEntry root;
  root.type = io::FileType::folder;
  std::construct_at(into + count++, root);
  bool has_root = false;
  CpioReader reader{image};
  while (std::optional<CpioEntry> entry = TRY(reader.next())) {
    entry->name = TRY(path_of(entry->name));
    TRY(check(*entry));
    if (!entry->name.empty()) {
      std::construct_at(into + count++, *entry);
      continue;
    }
    if (has_root) return Error::already_exists;
    if (entry->type != io::FileType::folder) return Error::not_a_folder;
    has_root = true;
    *into = *entry;
  }
  base::sort(std::span{into, count},
             [](const CpioEntry& a, const CpioEntry& b) { return a.name < b.name; });
  const auto* twice = std::ranges::adjacent_find(into, into + count, {}, &CpioEntry::name);
  if (twice != into + count) return Error::already_exists;
  return count;
}

Result<std::size_t> count_entries(std::span<const std::byte> image) noexcept {
  std::size_t count = 0;
  CpioReader reader{image};
  while (TRY(reader.next())) ++count;
  return count;
}

}  // namespace

Result<std::unique_ptr<Initfs>> Initfs::create(std::span<const std::byte> image) noexcept {
  const std::size_t capacity = TRY(count_entries(image)) + 1;
  const Scratch<CpioEntry> entries{capacity};
  const Scratch<Child> children{capacity};
  std::unique_ptr<Initfs> made{new Initfs};
  if (!entries || !children || !made) return Error::no_memory;
  made->capacity_ = capacity;
  made->nodes_ = static_cast<InitNode*>(coro::hooks::allocate_frame(capacity * sizeof(InitNode)));
  made->children_ =
      static_cast<InitNode**>(coro::hooks::allocate_frame(capacity * sizeof(InitNode*)));
  if (!made->nodes_ || !made->children_) return Error::no_memory;

  const std::span all{entries.data(), TRY(read_entries(image, entries.data()))};
  for (std::size_t i = 1; i < all.size(); ++i) {
    const std::string_view path = all[i].name;
    const std::size_t slash = path.rfind('/');
    const std::string_view above = path.substr(0, slash == std::string_view::npos ? 0 : slash);
    const auto parent = std::ranges::lower_bound(all, above, {}, &CpioEntry::name);
    if (parent == all.end() || parent->name != above) return Error::not_found;
    if (parent->type != io::FileType::folder) return Error::not_a_folder;
    std::construct_at(children.data() + i - 1,
                      Child{.parent = static_cast<std::size_t>(parent - all.begin()),
                            .node = i,
                            .name = path.substr(slash + 1)});
  }
  for (const CpioEntry& entry : all) std::construct_at(made->nodes_ + made->count_++, entry);

  const std::span sorted{children.data(), all.size() - 1};
  base::sort(sorted, [](const Child& a, const Child& b) {
    return a.parent != b.parent ? a.parent < b.parent : a.name < b.name;
  });
  for (std::size_t i = 0; i < sorted.size(); ++i)
    made->children_[i] = made->nodes_ + sorted[i].node;
  for (std::size_t begin = 0; begin < sorted.size();) {
    std::size_t end = begin;
    while (end < sorted.size() && sorted[end].parent == sorted[begin].parent) ++end;
    made->nodes_[sorted[begin].parent].set_children({made->children_ + begin, end - begin});
    begin = end;
  }
  return made;
}

Initfs::~Initfs() {
  std::destroy_n(nodes_, count_);
  if (nodes_) coro::hooks::free_frame(nodes_, capacity_ * sizeof(InitNode));
  if (children_) coro::hooks::free_frame(children_, capacity_ * sizeof(InitNode*));
}

#pragma clang attribute pop

NodeRef Initfs::root() noexcept { return NodeRef{*nodes_}; }

}  // namespace lichen::fs
