#include "lichen/fs/node.hpp"

namespace lichen::fs {

Task<Result<NodeRef>> Node::find(std::string_view) { co_return Error::not_a_folder; }
Task<Result<std::vector<io::FolderEntry>>> Node::list() { co_return Error::not_a_folder; }
Task<Result<NodeRef>> Node::make(std::string_view, io::FileType, std::string_view) {
  co_return Error::read_only;
}
Task<Result<void>> Node::remove(std::string_view) { co_return Error::read_only; }
Task<Result<void>> Node::rename(std::string_view, Node&, std::string_view) {
  co_return Error::read_only;
}
Task<Result<std::size_t>> Node::read_at(std::uint64_t, std::span<std::byte>) {
  co_return Error::not_supported;
}
Task<Result<void>> Node::write_at(std::uint64_t, std::span<const std::byte>) {
  co_return Error::read_only;
}
Task<Result<void>> Node::truncate(std::uint64_t) { co_return Error::read_only; }
Task<Result<void>> Node::sync() { co_return Result<void>{}; }

Task<Result<void>> Node::cover() {
  mark_covered();
  co_return Result<void>{};
}

}  // namespace lichen::fs
