#include "lichen/coro/trace.hpp"

#include <charconv>
#include <cstring>

namespace lichen::coro {

// Reads the private tree of scopes on behalf of traces.
class ScopeWalk {
 public:
  static Strand* parent_of(const Strand& strand) noexcept { return strand.owner->parent_; }

  using Visitor = base::FunctionRef<void(Strand&, unsigned)>;

  static void visit(Scope& scope, unsigned depth, Visitor visitor) noexcept {
    SpinGuard guard{scope.lock_};
    for (Strand& child : scope.children_) {
      visitor(child, depth);
      visit_inner(child, depth + 1, visitor);
    }
  }

 private:
  static void visit_inner(Strand& strand, unsigned depth, Visitor visitor) noexcept {
    SpinGuard guard{strand.lock};
    for (Scope* scope = strand.innermost; scope; scope = scope->next_outer_)
      visit(*scope, depth, visitor);
  }
};

namespace {

class TraceWriter {
 public:
  explicit TraceWriter(std::span<TraceLine> into) noexcept : into_{into} {}
  void add(TraceLine::Kind kind, const std::source_location& where) noexcept {
    if (count_ < into_.size())
      into_[count_++] = {kind, where.function_name(), where.file_name(), where.line()};
  }
  void add_frames(const PromiseBase* leaf) noexcept {
    for (; leaf; leaf = leaf->parent) add(TraceLine::Kind::awaits, leaf->where());
  }
  [[nodiscard]] std::size_t count() const noexcept { return count_; }

 private:
  std::span<TraceLine> into_;
  std::size_t count_ = 0;
};

// The lines above a strand: where it was spawned, and what its parents wait for meanwhile. Parents
// outlive their children, so the way up is stable; where a parent waits is read under its lock.
void add_ancestors(TraceWriter& writer, const Strand* strand) noexcept {
  while (strand) {
    writer.add(TraceLine::Kind::spawned, strand->spawned_at);
    Strand* parent = ScopeWalk::parent_of(*strand);
    if (parent) {
      SpinGuard guard{parent->lock};
      if (parent->wait) writer.add_frames(parent->wait->waiter);
    }
    strand = parent;
  }
}

std::string_view base_name(const char* path) noexcept {
  const char* slash = std::strrchr(path, '/');
  return slash ? slash + 1 : path;
}

}  // namespace

std::size_t trace(Strand& strand, std::span<TraceLine> into) noexcept {
  TraceWriter writer{into};
  {
    SpinGuard guard{strand.lock};
    if (!strand.wait) return 0;
    writer.add_frames(strand.wait->waiter);
  }
  add_ancestors(writer, &strand);
  return writer.count();
}

std::size_t trace_strand(Strand& strand, std::span<TraceLine> into) noexcept {
  TraceWriter writer{into};
  SpinGuard guard{strand.lock};
  if (!strand.wait) return 0;
  writer.add_frames(strand.wait->waiter);
  writer.add(TraceLine::Kind::spawned, strand.spawned_at);
  return writer.count();
}

std::size_t trace_ancestors(const Strand& strand, std::span<TraceLine> into) noexcept {
  TraceWriter writer{into};
  add_ancestors(writer, &strand);
  return writer.count();
}

std::size_t CurrentTrace::walk(const PromiseBase& leaf, std::span<TraceLine> into) noexcept {
  TraceWriter writer{into};
  writer.add_frames(&leaf);
  add_ancestors(writer, leaf.strand);
  return writer.count();
}

void for_each_strand(Scope& scope, base::FunctionRef<void(Strand&, unsigned)> visit) noexcept {
  ScopeWalk::visit(scope, 0, visit);
}

std::string_view format_line(const TraceLine& line, std::span<char> into) noexcept {
  std::size_t used = 0;
  auto put = [&](std::string_view text) {
    const std::size_t n = std::min(text.size(), into.size() - used);
    std::memcpy(into.data() + used, text.data(), n);
    used += n;
  };
  char number[12];
  const auto end = std::to_chars(number, number + sizeof number, line.line).ptr;
  put(line.kind == TraceLine::Kind::awaits ? "  at " : "  spawned at ");
  put(base_name(line.file));
  put(":");
  put({number, static_cast<std::size_t>(end - number)});
  put(" in ");
  put(line.function);
  return {into.data(), used};
}

}  // namespace lichen::coro
