#include "lichen/net/http/file_service.hpp"

#include <algorithm>
#include <array>
#include <string>
#include <utility>
#include <vector>

#include "lichen/base/random.hpp"
#include "lichen/coro/hooks.hpp"
#include "lichen/net/http/block.hpp"
#include "lichen/net/http/listing.hpp"
#include "lichen/net/http/target.hpp"

namespace lichen::net::http {

namespace {

constexpr std::size_t max_path = 2'048;
constexpr std::size_t read_size = 32'768;  // of a file at a time

bool is_hidden(std::string_view path) noexcept {
  return path.starts_with('.') || path.find("/.") != path.npos;
}

// What the client is told about a file that cannot be opened or looked at.
Status status_of(Error error) noexcept {
  switch (error) {
    case Error::not_found:
    case Error::not_a_folder:
    case Error::path_escapes:
    case Error::link_loop:
    case Error::invalid_argument:  // a name no file can have
    case Error::too_large: return Status::not_found;
    case Error::access_denied: return Status::forbidden;
    default: return status_of_fault(error);
  }
}

}  // namespace

Task<Result<void>> FileService::handle(Request& request, Response& response) {
  if (request.method() != Method::get && request.method() != Method::head) {
    response.status(Status::method_not_allowed).field("Allow", "GET, HEAD");
    co_return co_await response.send();
  }
  std::array<char, max_path> storage;
  const std::span<char> room{storage.data(), max_path - 1 - options_.index.size()};
  if (options_.index.size() >= max_path || request.path().size() > room.size())
    co_return co_await response.send_error(Status::uri_too_long);
  const Result<DecodedPath> decoded = decode_path(request.path(), room);
  if (decoded.failed_with(Error::path_escapes))
    co_return co_await response.send_error(Status::not_found);
  if (!decoded) co_return co_await response.send_error(Status::bad_request);
  std::string_view path = decoded->relative;
  if (!options_.show_hidden && is_hidden(path))
    co_return co_await response.send_error(Status::not_found);

  if (decoded->is_folder) {
    if (options_.index.empty()) co_return co_await send_folder(response, path);
    char* end = storage.data() + path.size();
    if (!path.empty()) *end++ = '/';
    end = std::ranges::copy(options_.index, end).out;
    path = {storage.data(), static_cast<std::size_t>(end - storage.data())};
  }
  auto file = co_await cache_.find(path);
  if (file) co_return co_await send_file(request, response, **file);
  const bool folder = file.failed_with(Error::is_a_folder);
  if (decoded->is_folder && (folder || file.failed_with(Error::not_found)))
    co_return co_await send_folder(response, decoded->relative);
  if (folder) co_return co_await redirect_to_folder(request, response);
  co_return co_await response.send_error(status_of(file.error()));
}

// Relative names in a folder's index are relative to the folder only if its own name ends with a
// slash.
// Runs seldom, and is made small.
#pragma clang attribute push(__attribute__((minsize)), apply_to = function)

Task<Result<void>> FileService::redirect_to_folder(Request& request, Response& response) {
  std::string location{request.path()};
  // Two slashes at the start would be the name of a host.
  location.erase(0, std::min(location.find_first_not_of('/'), location.size()));
  location.insert(0, 1, '/');
  location += '/';
  if (!request.query().empty()) location.append("?").append(request.query());
  response.status(Status::moved_permanently).field("Location", location);
  co_return co_await response.send();
}

Task<Result<void>> FileService::send_folder(Response& response, std::string_view path) {
  if (!options_.list_folders) co_return co_await response.send_error(Status::not_found);
  std::vector<io::FolderEntry> entries;
  if (path.empty()) {
    entries = CO_TRY(co_await folder_.list());
  } else {
    auto folder = co_await folder_.open_folder(path);
    if (!folder) co_return co_await response.send_error(status_of(folder.error()));
    entries = CO_TRY(co_await (*folder)->list());
  }
  if (!options_.show_hidden)
    std::erase_if(entries, [](const io::FolderEntry& entry) { return is_hidden(entry.name); });
  response.status(Status::ok).field("Content-Type", "text/html; charset=utf-8");
  co_return co_await response.send(folder_page(path, std::move(entries)));
}

#pragma clang attribute pop

Task<Result<void>> FileService::send_file(Request& request, Response& response, CachedFile& file) {
  const std::uint64_t size = file.info.size;
  const Validators current{
      .exists = true, .tag = {.opaque = file.tag.view()}, .modified = file.modified_seconds};
  const auto begin = [&](Status status) -> Response& {
    return response.status(status).trusted_lines(file.validator_lines.view());
  };

  switch (evaluate(request.head(), current)) {
    case Precondition::proceed: break;
    case Precondition::not_modified:
      begin(Status::not_modified);
      co_return co_await response.send();
    case Precondition::failed: co_return co_await response.send_error(Status::precondition_failed);
  }

  RangeSet wanted;
  if (request.method() == Method::get) {
    const auto range = request.head().fields.find_only("Range");
    if (range && range_is_current(request.head(), current, response.now()))
      wanted = RangeSet::parse(*range, size);
  }
  if (wanted.outcome() == RangeSet::Outcome::unsatisfiable) {
    response.status(Status::range_not_satisfiable)
        .field("Content-Range", ContentRange{size}.text());
    co_return co_await response.send();
  }
  if (wanted.ranges().size() > 1) {
    begin(Status::partial_content);
    co_return co_await send_parts(response, file, wanted.ranges());
  }
  const bool partial = !wanted.ranges().empty();
  begin(partial ? Status::partial_content : Status::ok).trusted_lines(file.content_lines.view());
  if (partial) {
    const ByteRange range = wanted.ranges().front();
    response.field("Content-Range", ContentRange{range, size}.text()).length(range.size());
    co_return co_await send_bytes(response, file, range);
  }
  if (file.in_memory()) co_return co_await response.send(file.text());
  response.length(size);
  if (response.drops_content()) co_return Result<void>{};
  co_return co_await send_bytes(response, file, {0, size - 1});
}

Task<Result<void>> FileService::send_bytes(Response& response, CachedFile& file, ByteRange range) {
  if (file.in_memory()) {
    const std::string_view content = file.text().substr(range.first, range.size());
    if (!response.head_sent()) co_return co_await response.send(content);
    co_return co_await response.write(content);
  }
  Block block;
  if (!block.allocate(std::min<std::uint64_t>(read_size, range.size()))) co_return Error::no_memory;
  const std::span whole{block.data(), block.size()};
  for (std::uint64_t left = range.size(); left != 0;) {
    const auto piece = whole.first(std::min<std::uint64_t>(left, whole.size()));
    const std::uint64_t at = range.last + 1 - left;
    const std::size_t size = CO_TRY(co_await file.file->read_at(at, std::as_writable_bytes(piece)));
    if (size != piece.size()) co_return Error::end_of_stream;  // the file was cut
    const std::string_view content{piece.data(), size};
    // What is all there is goes with other responses.
    if (left == size && !response.head_sent()) co_return co_await response.send(content);
    CO_TRY(co_await response.write(content));
    left -= size;
  }
  co_return Result<void>{};
}

// Runs seldom, and is made small.
#pragma clang attribute push(__attribute__((minsize)), apply_to = function)

Task<Result<void>> FileService::send_parts(Response& response, CachedFile& file,
                                           std::span<const ByteRange> ranges) {
  std::uint64_t seed = coro::hooks::now_ns() ^ reinterpret_cast<std::uintptr_t>(&ranges);
  const Multipart multipart{{base::split_mix(seed), base::split_mix(seed)}};
  response.field("Content-Type", multipart.content_type())
      .length(multipart.length(ranges, file.info.size, file.media_type));
  std::array<char, Multipart::max_part_head> storage;
  for (const ByteRange range : ranges) {
    CO_TRY(
        co_await response.write(multipart.head(storage, range, file.info.size, file.media_type)));
    CO_TRY(co_await send_bytes(response, file, range));
  }
  co_return co_await response.write(multipart.end());
}

}  // namespace lichen::net::http

#pragma clang attribute pop
