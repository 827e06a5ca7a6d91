#include "lichen/net/http/listing.hpp"

#include <span>
#include <tuple>

#include "lichen/base/sort.hpp"
#include "lichen/net/http/text.hpp"

// Runs seldom, and is made small.
#pragma clang attribute push(__attribute__((minsize)), apply_to = function)

namespace lichen::net::http {

namespace {

void add_text(std::string& page, std::string_view text) {
  for (const char c : text) {
    switch (c) {
      case '&': page += "&amp;"; break;
      case '<': page += "&lt;"; break;
      case '>': page += "&gt;"; break;
      case '"': page += "&quot;"; break;
      case '\'': page += "&#39;"; break;
      default: page += c; break;
    }
  }
}

// As one segment of a relative reference (RFC 3986 section 4.2).
void add_segment(std::string& page, std::string_view name) {
  for (const char c : name) {
    const bool plain =
        is(alpha_char, c) || is(digit_char, c) || c == '-' || c == '.' || c == '_' || c == '~';
    if (plain) {
      page += c;
      continue;
    }
    const auto octet = static_cast<unsigned char>(c);
    page += '%';
    page += "0123456789ABCDEF"[octet >> 4];
    page += "0123456789ABCDEF"[octet & 15];
  }
}

}  // namespace

std::string folder_page(std::string_view path, std::vector<io::FolderEntry> entries) {
  const auto key = [](const io::FolderEntry& entry) {
    return std::tuple{entry.type != io::FileType::folder, std::string_view{entry.name}};
  };
  base::sort(std::span{entries},
             [&](const io::FolderEntry& a, const io::FolderEntry& b) { return key(a) < key(b); });

  std::string title = "/";
  if (!path.empty()) title.append(path).append("/");
  std::string page =
      "<!doctype html>\n<html lang=\"en\">\n<meta charset=\"utf-8\">\n"
      "<meta name=\"viewport\" content=\"width=device-width\">\n<title>";
  add_text(page, title);
  page +=
      "</title>\n<style>body{font:1rem/1.6 system-ui,sans-serif;margin:2rem}"
      "ul{list-style:none;padding:0}</style>\n<h1>";
  add_text(page, title);
  page += "</h1>\n<ul>\n";
  if (!path.empty()) page += "<li><a href=\"../\">../</a>\n";
  for (const io::FolderEntry& entry : entries) {
    const std::string_view slash = entry.type == io::FileType::folder ? "/" : "";
    page += "<li><a href=\"./";
    add_segment(page, entry.name);
    page.append(slash).append("\">");
    add_text(page, entry.name);
    page.append(slash).append("</a>\n");
  }
  page += "</ul>\n</html>\n";
  return page;
}

}  // namespace lichen::net::http

#pragma clang attribute pop
