#include "lichen/fs/tmpfs.hpp"

#include <algorithm>
#include <cassert>
#include <cstring>
#include <memory>
#include <new>
#include <string>
#include <utility>

#include "lichen/coro/waiting.hpp"

namespace lichen::fs {

namespace detail {

namespace {

// So much is done at a time before others have their turn.
constexpr std::size_t bytes_at_once = 1 << 20;
constexpr std::size_t entries_at_once = 1'024;

class TmpFile final : public TmpNode {
 public:
  TmpFile(Tmpfs& system, Budget& budget) noexcept
      : TmpNode{system, io::FileType::file}, contents_{budget} {}

  static constexpr std::size_t size_in_budget() noexcept { return sizeof(TmpFile); }

  Task<Result<io::FileInfo>> info() override {
    io::FileInfo info = CO_TRY(co_await TmpNode::info());
    const auto guard = CO_TRY(co_await mutex_.lock());
    info.size = contents_.size();
    co_return info;
  }

  Task<Result<std::size_t>> read_at(std::uint64_t offset, std::span<std::byte> into) override {
    const auto guard = CO_TRY(co_await mutex_.lock());
    std::size_t total = 0;
    for (;;) {
      const auto piece = into.subspan(total, std::min(into.size() - total, bytes_at_once));
      const std::size_t size = contents_.read(offset + total, piece);
      total += size;
      if (size != piece.size() || total == into.size()) co_return total;
      co_await yield();
    }
  }

  Task<Result<void>> write_at(std::uint64_t offset, std::span<const std::byte> from) override {
    if (offset > Contents::largest || from.size() > Contents::largest - offset)
      co_return Error::too_large;
    if (from.empty()) co_return Result<void>{};
    const auto guard = CO_TRY(co_await mutex_.lock());
    for (std::size_t done = 0; done < from.size();) {
      const std::size_t piece = std::min(from.size() - done, bytes_at_once);
      const Result<void> reserved = contents_.reserve(offset + done, piece);
      if (!reserved) {
        contents_.unreserve(offset, done);
        co_return reserved.error();
      }
      done += piece;
      if (done < from.size()) co_await yield();
    }
    while (!from.empty()) {
      const auto piece = from.first(std::min(from.size(), bytes_at_once));
      contents_.write(offset, piece);
      offset += piece.size();
      from = from.subspan(piece.size());
      if (!from.empty()) co_await yield();
    }
    touch();
    co_return Result<void>{};
  }

  Task<Result<void>> truncate(std::uint64_t size) override {
    const auto guard = CO_TRY(co_await mutex_.lock());
    CO_TRY(contents_.truncate(size));
    touch();
    co_return Result<void>{};
  }

 private:
  [[nodiscard]] std::size_t cost() const noexcept override { return size_in_budget(); }
  void destroy() noexcept override { delete this; }

  coro::Mutex mutex_;  // of the contents
  Contents contents_;
};

// From here on: what does not read or write; it is made small.
#pragma clang attribute push(__attribute__((minsize)), apply_to = function)

// Its target lies behind it.
class TmpLink final : public TmpNode {
 public:
  static TmpLink* create(Tmpfs& system, std::string_view target) noexcept {
    void* memory = coro::hooks::allocate_frame(size_in_budget(target));
    return memory ? new (memory) TmpLink{system, target} : nullptr;
  }
  static std::size_t size_in_budget(std::string_view target) noexcept {
    return sizeof(TmpLink) + target.size();
  }

  [[nodiscard]] std::string_view target() const noexcept override {
    return {reinterpret_cast<const char*>(this + 1), length_};
  }
  Task<Result<io::FileInfo>> info() override {
    io::FileInfo info = CO_TRY(co_await TmpNode::info());
    info.size = length_;
    co_return info;
  }

 private:
  TmpLink(Tmpfs& system, std::string_view target) noexcept
      : TmpNode{system, io::FileType::link}, length_{target.size()} {
    target.copy(reinterpret_cast<char*>(this + 1), target.size());
  }
  [[nodiscard]] std::size_t cost() const noexcept override { return size_in_budget(target()); }
  void destroy() noexcept override {
    const std::size_t size = cost();
    this->~TmpLink();
    coro::hooks::free_frame(this, size);
  }

  const std::size_t length_;
};

}  // namespace

TmpNode::TmpNode(Tmpfs& system, io::FileType type) noexcept
    : Node{type},
      system_{system},
      inode_{system.last_inode_.fetch_add(1, std::memory_order_relaxed) + 1},
      modified_ns_{system.machine_.wall_clock_ns()} {}

void TmpNode::touch() noexcept {
  modified_ns_.store(system_.machine_.wall_clock_ns(), std::memory_order_relaxed);
}

Task<Result<io::FileInfo>> TmpNode::info() {
  co_return io::FileInfo{.type = type(),
                         .size = 0,
                         .modified_ns = modified_ns_.load(std::memory_order_relaxed),
                         .inode = inode_};
}

void TmpNode::release() noexcept {
  if (references_.fetch_sub(1, std::memory_order_acq_rel) != 1) return;
  system_.budget_.give_back(cost());
  destroy();
}

TmpEntry* TmpEntry::create(std::string_view name) noexcept {
  void* memory = coro::hooks::allocate_frame(cost_of(name));
  if (!memory) return nullptr;
  auto* entry = new (memory) TmpEntry;
  entry->length = name.size();
  name.copy(reinterpret_cast<char*>(entry + 1), name.size());
  return entry;
}

void TmpEntry::destroy(TmpEntry* entry) noexcept {
  const std::size_t size = cost_of(entry->name());
  entry->~TmpEntry();
  coro::hooks::free_frame(entry, size);
}

Task<Result<NodeRef>> TmpFolder::find(std::string_view name) {
  const auto guard = CO_TRY(co_await system_.names_.lock());
  const TmpEntry* entry = entries_.find(name);
  if (!entry) co_return Error::not_found;
  co_return entry->node;
}

// Names are in order, so it goes on behind the last it has told, whatever has changed meanwhile.
Task<Result<std::vector<io::FolderEntry>>> TmpFolder::list() {
  std::vector<io::FolderEntry> all;
  for (;;) {
    {
      const auto guard = CO_TRY(co_await system_.names_.lock());
      TmpEntry* entry =
          all.empty() ? entries_.first() : entries_.upper_bound(std::string_view{all.back().name});
      for (std::size_t count = 0; entry && count < entries_at_once; ++count) {
        all.push_back({std::string{entry->name()}, entry->node->type()});
        entry = entries_.next(*entry);
      }
      if (!entry) co_return all;
    }
    co_await yield();
  }
}

Task<Result<NodeRef>> TmpFolder::make(std::string_view name, io::FileType type,
                                      std::string_view target) {
  const auto guard = CO_TRY(co_await system_.names_.lock());
  co_return make_node(name, type, target);
}

Result<NodeRef> TmpFolder::make_node(std::string_view name, io::FileType type,
                                     std::string_view target) {
  if (is_gone()) return Error::not_found;
  if (entries_.find(name)) return Error::already_exists;
  const std::size_t node_cost = type == io::FileType::folder ? sizeof(TmpFolder)
                                : type == io::FileType::link ? TmpLink::size_in_budget(target)
                                                             : TmpFile::size_in_budget();
  const std::size_t cost = node_cost + TmpEntry::cost_of(name);
  Budget& budget = system_.budget_;
  if (!budget.take(cost)) return Error::no_space;
  TmpEntry* entry = TmpEntry::create(name);
  TmpNode* node = nullptr;
  switch (type) {
    case io::FileType::file: node = new TmpFile{system_, budget}; break;
    case io::FileType::folder: node = new TmpFolder{system_}; break;
    case io::FileType::link: node = TmpLink::create(system_, target); break;
    case io::FileType::other: break;
  }
  if (!entry || !node) {
    if (entry) TmpEntry::destroy(entry);
    if (node) node->destroy();
    budget.give_back(cost);
    return type == io::FileType::other ? Error::not_supported : Error::no_memory;
  }
  NodeRef made{*node};
  insert(*entry, made);
  touch();
  return made;
}

void TmpFolder::insert(TmpEntry& entry, NodeRef node) noexcept {
  if (TmpFolder* folder = as_folder(*node)) folder->parent_ = this;
  entry.node = std::move(node);
  entries_.insert(entry);
}

// What it named, and what is charged for it, is the caller's.
void TmpFolder::erase(TmpEntry& entry) noexcept {
  entries_.erase(entry);
  TmpEntry::destroy(&entry);
}

Result<void> TmpFolder::check_removable(const Node& node) noexcept {
  if (node.is_covered()) return Error::busy;
  if (node.type() != io::FileType::folder) return {};
  if (!static_cast<const TmpFolder&>(node).entries_.empty()) return Error::not_empty;
  return {};
}

Task<Result<void>> TmpFolder::remove(std::string_view name) {
  NodeRef gone;  // let go when nothing is locked: contents may be much
  const auto guard = CO_TRY(co_await system_.names_.lock());
  TmpEntry* entry = entries_.find(name);
  if (!entry) co_return Error::not_found;
  CO_TRY(check_removable(*entry->node));
  gone = entry->node;
  if (TmpFolder* folder = as_folder(*gone)) folder->parent_ = nullptr;
  system_.budget_.give_back(TmpEntry::cost_of(name));
  erase(*entry);
  touch();
  co_return Result<void>{};
}

Task<Result<void>> TmpFolder::rename(std::string_view from, Node& folder, std::string_view to) {
  NodeRef replaced;  // let go when nothing is locked
  const auto guard = CO_TRY(co_await system_.names_.lock());
  auto& target = static_cast<TmpFolder&>(folder);
  if (const TmpEntry* entry = target.entries_.find(to)) replaced = entry->node;
  co_return rename_entry(from, target, to);
}

// rename(2), POSIX.1-2017: the order of the errors is Linux's.
Result<void> TmpFolder::rename_entry(std::string_view from, TmpFolder& folder,
                                     std::string_view to) {
  TmpEntry* source = entries_.find(from);
  if (!source) return Error::not_found;
  if (folder.is_gone()) return Error::not_found;
  Node& moved = *source->node;
  TmpFolder* moved_folder = as_folder(moved);
  if (moved_folder) {
    // The root is its own parent.
    for (const TmpFolder* above = &folder;; above = above->parent_) {
      if (above == moved_folder) return Error::invalid_argument;
      if (above == above->parent_) break;
    }
  }
  TmpEntry* target = folder.entries_.find(to);
  if (target) {
    Node& replaced = *target->node;
    if (&replaced == &moved) return {};
    if (TmpFolder* replaced_folder = as_folder(replaced)) {
      for (const TmpFolder* above = this;; above = above->parent_) {
        if (above == replaced_folder) return Error::not_empty;
        if (above == above->parent_) break;
      }
      if (!moved_folder) return Error::is_a_folder;
    } else if (moved_folder) {
      return Error::not_a_folder;
    }
    TRY(check_removable(replaced));
  }
  if (moved.is_covered()) return Error::busy;

  Budget& budget = system_.budget_;
  if (target) {
    // The new name is there, the old one goes.
    if (TmpFolder* replaced_folder = as_folder(*target->node)) replaced_folder->parent_ = nullptr;
    target->node = source->node;
    budget.give_back(TmpEntry::cost_of(from));
  } else {
    const std::size_t more = to.size() > from.size() ? to.size() - from.size() : 0;
    if (!budget.take(more)) return Error::no_space;
    target = TmpEntry::create(to);
    if (!target) {
      budget.give_back(more);
      return Error::no_memory;
    }
    folder.insert(*target, source->node);
    budget.give_back(from.size() + more - to.size());
  }
  if (moved_folder) moved_folder->parent_ = &folder;
  erase(*source);
  touch();
  folder.touch();
  return {};
}

Task<Result<void>> TmpFolder::cover() {
  const auto guard = CO_TRY(co_await system_.names_.lock());
  if (is_gone()) co_return Error::not_found;
  mark_covered();
  co_return Result<void>{};
}

}  // namespace detail

Tmpfs::Tmpfs(const io::System& machine, const TmpfsOptions& options) noexcept
    : machine_{machine}, budget_{options.bytes}, root_{*this} {
  root_.retain();  // never released: it is a member
  root_.parent_ = &root_;
}

// Folder by folder and not by recursion: they may be nested as deep as there is memory.
Tmpfs::~Tmpfs() {
  detail::TmpFolder* folder = &root_;
  for (;;) {
    detail::TmpEntry* entry = folder->entries_.first();
    if (!entry) {
      if (folder == &root_) break;
      // Its entry is the first of the folder above, from which we came.
      folder = std::exchange(folder->parent_, nullptr);
      entry = folder->entries_.first();
    } else if (detail::TmpFolder* inner = detail::TmpFolder::as_folder(*entry->node);
               inner && !inner->entries_.empty()) {
      folder = inner;
      continue;
    }
    budget_.give_back(detail::TmpEntry::cost_of(entry->name()));
    folder->erase(*entry);
  }
  assert(root_.references_.load() == 1);
  assert(budget_.used() == 0);
}

}  // namespace lichen::fs

#pragma clang attribute pop
