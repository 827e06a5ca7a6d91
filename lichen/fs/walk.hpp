// Walk: the way from a folder of the tree along a path. It remembers the folders it came through,
// so
// ".." leads back to them whatever is renamed meanwhile, and never past the first.
#pragma once

#include <array>
#include <cstdint>
#include <string_view>

#include "lichen/base/result.hpp"
#include "lichen/coro/task.hpp"
#include "lichen/fs/path.hpp"
#include "lichen/fs/vfs.hpp"

namespace lichen::fs {

class Walk {
 public:
  enum class Links : std::uint8_t {
    follow,
    follow_before_last,  // ends at a link that is the path's last component
  };
  enum class Missing : std::uint8_t {
    is_an_error,
    ends_it,  // a last component that is not there may be made: see missing()
  };

  Walk(Vfs& tree, const detail::Position& start) noexcept : tree_{tree}, here_{start} {}
  Walk(const Walk&) = delete;
  Walk& operator=(const Walk&) = delete;
  ~Walk();

  // Called once. The path MUST live as long as what missing() says is used.
  Task<Result<void>> go(std::string_view path, Links links = Links::follow,
                        Missing missing = Missing::is_an_error);

  // Where it ended.
  [[nodiscard]] detail::Position& here() noexcept { return here_; }
  [[nodiscard]] bool is_at(io::FileType type) const noexcept { return here_.node->type() == type; }
  // The component that here() lacks; empty when all were found.
  [[nodiscard]] std::string_view missing() const noexcept { return missing_; }

 private:
  struct Step : Pooled {
    detail::Position at;
    Step* up;
  };
  // The target of a link, and what of the path is to be walked behind it.
  struct Detour {
    std::string_view rest;
    NodeRef link;
  };

  Result<void> descend(detail::Position to) noexcept;
  Result<void> climb() noexcept;

  Vfs& tree_;
  detail::Position here_;
  Step* up_ = nullptr;
  NodeRef link_;  // whose target is walked, at the end of the text of all
  std::array<Detour, most_links> detours_{};
  unsigned detour_count_ = 0;
  unsigned links_followed_ = 0;
  std::string_view missing_;
};

}  // namespace lichen::fs
