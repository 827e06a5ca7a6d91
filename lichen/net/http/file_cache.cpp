#include "lichen/net/http/file_cache.hpp"

#include <new>

#include "lichen/base/format.hpp"
#include "lichen/base/hash.hpp"
#include "lichen/base/span.hpp"
#include "lichen/net/http/media_type.hpp"

namespace lichen::net::http {

namespace {
constexpr std::int64_t second_ns = 1'000'000'000;
}  // namespace

std::size_t FileCache::Hash::operator()(std::string_view text) const noexcept {
  return base::hash(text);
}

FileCache::~FileCache() {
  while (!files_.empty()) drop(files_.begin());
}

Task<Result<FileReference>> FileCache::find(std::string_view path) {
  const std::uint64_t now = coro::this_core()->batch_now_ns();
  if (const auto place = files_.find(path); place != files_.end()) {
    FileReference known{*place->second};
    if (now - known->checked_ns < static_cast<std::uint64_t>(options_.recheck.count()))
      co_return known;
    const io::FileInfo before = known->info;
    const auto info = co_await folder_.info(path);
    if (info && info->size == before.size && info->modified_ns == before.modified_ns &&
        info->inode == before.inode && info->type == before.type) {
      known->checked_ns = now;
      co_return known;
    }
    // Another task may have replaced it meanwhile.
    if (const auto again = files_.find(path); again != files_.end() && again->second == &*known)
      drop(again);
    if (!info) co_return info.error();
  }
  co_return co_await open(path);
}

Task<Result<FileReference>> FileCache::open(std::string_view path) {
  auto file = CO_TRY(co_await folder_.open(path, io::OpenMode::read));
  const io::FileInfo info = CO_TRY(co_await file->info());
  if (info.type == io::FileType::folder) co_return Error::is_a_folder;
  if (info.type != io::FileType::file) co_return Error::not_found;

  std::unique_ptr<CachedFile> fresh{new (std::nothrow) CachedFile};
  if (!fresh) co_return Error::no_memory;
  fresh->info = info;
  fresh->tag = base::format<64>("\"{:x}-{:x}-{:x}\"", info.size,
                                static_cast<std::uint64_t>(info.modified_ns), info.inode);
  fresh->modified_seconds = info.modified_ns / second_ns - (info.modified_ns % second_ns < 0);
  fresh->media_type = media_type(path);
  fresh->validator_lines = base::format<128>("ETag: {}\r\nLast-Modified: {}\r\n", fresh->tag.view(),
                                             DateText{fresh->modified_seconds}.text());
  fresh->content_lines = base::format<192>(
      "Content-Type: {}\r\nAccept-Ranges: bytes\r\nX-Content-Type-Options: nosniff\r\n",
      fresh->media_type);
  fresh->checked_ns = coro::this_core()->batch_now_ns();

  // Without memory for the content it is served from the file.
  const bool small = info.size <= options_.file_bytes && info.size <= options_.bytes;
  if (file->resident().size() == info.size && info.size > 0) {
    fresh->file = std::move(file);
  } else if (small && info.size > 0 && !fresh->content.allocate(info.size)) {
    fresh->file = std::move(file);
  } else if (small) {
    const auto whole = std::as_writable_bytes(std::span{fresh->content.data(), info.size});
    const std::size_t size = info.size == 0 ? 0 : CO_TRY(co_await file->read_at(0, whole));
    if (size != info.size) co_return Error::end_of_stream;  // it shrank under our hands
  } else {
    fresh->file = std::move(file);
  }
  CachedFile& kept = *fresh.release();
  FileReference reference{kept};
  if (kept.in_memory()) keep(path, kept);
  co_return reference;
}

void FileCache::keep(std::string_view path, CachedFile& file) {
  if (files_.contains(path) || !make_room(file.bytes_held())) return;
  files_.emplace(std::string{path}, &file);
  file.cached = true;
  bytes_ += file.bytes_held();
}

void FileCache::drop(Files::iterator place) noexcept {
  CachedFile* file = place->second;
  files_.erase(place);
  bytes_ -= file->bytes_held();
  file->cached = false;
  if (file->users == 0) delete file;
}

bool FileCache::make_room(std::size_t bytes) noexcept {
  if (bytes > options_.bytes) return false;
  while (!files_.empty() && (bytes_ + bytes > options_.bytes || files_.size() >= options_.files))
    drop(files_.begin());
  return options_.files > 0;
}

}  // namespace lichen::net::http
