// Packs a folder into a cpio archive that lichen/fs/initfs.hpp serves (the format:
// lichen/fs/cpio.hpp).
//
//   pack_files ARCHIVE FOLDER [PATH [EMPTY...]]
//
// What is in FOLDER lies in the folder PATH of the archive ("": at its root). EMPTY: folders that
// are there, too, empty unless FOLDER has them.
//
// The same files give the same archive, whoever packs them and when: entries are in the order of
// their names, owners are left out, and times are SOURCE_DATE_EPOCH (seconds since 1970), or 0. So
// that a file which changed is known to have changed nevertheless, its inode is a hash of its name
// and content; entity tags of HTTP are made of it.
#include <algorithm>
#include <array>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <limits>
#include <set>
#include <string>
#include <string_view>
#include <system_error>
#include <vector>

namespace {

namespace files = std::filesystem;

constexpr std::uint32_t folder_mode = 0040755;
constexpr std::uint32_t file_mode = 0100644;
constexpr std::uint32_t link_mode = 0120777;

[[noreturn]] void fail(const files::path& path, std::string_view what) {
  std::fprintf(stderr, "pack_files: %s: %.*s\n", path.c_str(), static_cast<int>(what.size()),
               what.data());
  std::exit(1);
}

// FNV-1a (Fowler, Noll, Vo), folded to the 32 bits of an inode; never 0.
std::uint32_t identity(std::string_view name, std::string_view content) {
  std::uint64_t hash = 0xcbf29ce484222325;
  for (const std::string_view part : {name, std::string_view{"\0", 1}, content}) {
    for (const char byte : part) hash = (hash ^ static_cast<unsigned char>(byte)) * 0x100000001b3;
  }
  const auto folded = static_cast<std::uint32_t>(hash ^ (hash >> 32));
  return folded == 0 ? 1 : folded;
}

class Archive {
 public:
  explicit Archive(std::uint32_t time) : time_{time} {}

  // A folder, with those that it lies in; not for a second time.
  void add_folder(const std::string& name) {
    if (name.empty() || !folders_.insert(name).second) return;
    if (const std::size_t slash = name.rfind('/'); slash != std::string::npos)
      add_folder(name.substr(0, slash));
    add(name, folder_mode, {});
  }
  void add(const std::string& name, std::uint32_t mode, const std::string& content) {
    if (content.size() > std::numeric_limits<std::uint32_t>::max())
      fail(name, "4 GiB or more do not fit into the format");
    std::array<char, 111> header;
    std::snprintf(
        header.data(), header.size(), "070701%08x%08x%08x%08x%08x%08x%08x%08x%08x%08x%08x%08x%08x",
        identity(name, content), mode, 0U, 0U, 1U, time_, static_cast<unsigned>(content.size()), 0U,
        0U, 0U, 0U, static_cast<unsigned>(name.size() + 1), 0U);
    bytes_ += header.data();
    bytes_ += name;
    bytes_ += '\0';
    pad();
    bytes_ += content;
    pad();
  }
  const std::string& end() {
    add("TRAILER!!!", 0, {});
    return bytes_;
  }

 private:
  void pad() { bytes_.resize((bytes_.size() + 3) & ~std::size_t{3}); }

  std::uint32_t time_;
  std::string bytes_;
  std::set<std::string> folders_;
};

std::string read_file(const files::path& path) {
  std::ifstream stream{path, std::ios::binary};
  std::string content{std::istreambuf_iterator<char>{stream}, {}};
  if (!stream) fail(path, "cannot be read");
  return content;
}

void add_folder(Archive& archive, const files::path& folder, const std::string& prefix) {
  std::vector<files::directory_entry> entries;
  std::error_code error;
  for (files::directory_iterator at{folder, error}; !error && at != files::directory_iterator{};
       at.increment(error))
    entries.push_back(*at);
  if (error) fail(folder, error.message());
  std::ranges::sort(entries, {},
                    [](const auto& entry) { return entry.path().filename().string(); });
  for (const files::directory_entry& entry : entries) {
    const std::string name = prefix + entry.path().filename().string();
    switch (entry.symlink_status(error).type()) {
      case files::file_type::regular: archive.add(name, file_mode, read_file(entry.path())); break;
      case files::file_type::directory:
        archive.add_folder(name);
        add_folder(archive, entry.path(), name + "/");
        break;
      case files::file_type::symlink:
        archive.add(name, link_mode, files::read_symlink(entry.path(), error).string());
        break;
      default: fail(entry.path(), "neither a file nor a folder nor a link");
    }
    if (error) fail(entry.path(), error.message());
  }
}

}  // namespace

int main(int count, char** words) {
  if (count < 3) {
    std::fprintf(stderr, "usage: pack_files ARCHIVE FOLDER [PATH [EMPTY...]]\n");
    return 2;
  }
  const std::string path = count > 3 ? words[3] : "";
  std::uint32_t time = 0;
  if (const char* epoch = std::getenv("SOURCE_DATE_EPOCH"))
    time = static_cast<std::uint32_t>(std::strtoul(epoch, nullptr, 10));
  Archive archive{time};
  archive.add(".", folder_mode, {});
  archive.add_folder(path);
  add_folder(archive, words[2], path.empty() ? "" : path + "/");
  for (int i = 4; i < count; ++i) archive.add_folder(words[i]);
  const std::string& bytes = archive.end();
  std::ofstream stream{words[1], std::ios::binary};
  stream.write(bytes.data(), static_cast<std::streamsize>(bytes.size()));
  stream.close();
  if (!stream) fail(words[1], "cannot be written");
  return 0;
}
