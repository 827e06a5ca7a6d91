#include "lichen/fs/walk.hpp"

#include <algorithm>
#include <utility>

namespace lichen::fs {

using detail::Position;

Walk::~Walk() {
  while (up_) delete std::exchange(up_, up_->up);
}

Result<void> Walk::descend(Position to) noexcept {
  Step* step = new Step{{}, {}, up_};
  if (!step) return Error::no_memory;
  step->at = std::exchange(here_, std::move(to));
  up_ = step;
  return {};
}

Result<void> Walk::climb() noexcept {
  if (!up_) return Error::path_escapes;
  Step* step = std::exchange(up_, up_->up);
  here_ = std::move(step->at);
  delete step;
  return {};
}

Task<Result<void>> Walk::go(std::string_view path, Links links, Missing missing) {
  CO_TRY(check_path(path));
  for (;;) {
    path.remove_prefix(std::min(path.find_first_not_of('/'), path.size()));
    if (!is_at(io::FileType::folder)) co_return Error::not_a_folder;  // a slash is enough to ask
    if (path.empty()) {
      if (detour_count_ == 0) co_return Result<void>{};
      Detour& detour = detours_[--detour_count_];
      path = detour.rest;
      link_ = std::move(detour.link);
      continue;
    }
    const std::size_t slash = path.find('/');
    const bool ends_here = slash == std::string_view::npos;
    const bool is_last = ends_here && detour_count_ == 0;
    const std::string_view name = path.substr(0, slash);
    path.remove_prefix(ends_here ? path.size() : slash);
    if (name == "..") CO_TRY(climb());
    if (name == "." || name == "..") continue;
    if (name.size() > Node::longest_name) co_return Error::too_large;

    if (missing == Missing::ends_it && detour_count_ == 0 && !ends_here &&
        path.find_first_not_of('/') == std::string_view::npos)
      co_return Error::is_a_folder;  // "name/" cannot be a file
    auto found = co_await here_.node->find(name);
    if (!found) {
      if (is_last && missing == Missing::ends_it && found.failed_with(Error::not_found)) {
        missing_ = name;
        co_return Result<void>{};
      }
      co_return found.error();
    }
    NodeRef& node = *found;
    if (node->type() == io::FileType::link && !(is_last && links == Links::follow_before_last)) {
      if (++links_followed_ > most_links) co_return Error::link_loop;
      const std::string_view target = node->target();
      if (target.empty()) co_return Error::not_found;
      if (target.starts_with('/')) co_return Error::path_escapes;
      if (!ends_here) detours_[detour_count_++] = {.rest = path, .link = std::move(link_)};
      path = target;
      link_ = std::move(node);
      continue;
    }
    CO_TRY(descend(tree_.enter({here_.mount, std::move(node)})));
    if (is_last) co_return Result<void>{};
  }
}

}  // namespace lichen::fs
