#include "lichen/image/host_words.hpp"

#include <utility>

#include "lichen/image/address_wish.hpp"
#include "lichen/net/inet/link.hpp"

namespace lichen::image {

Result<TapWish> TapWish::parse(std::string_view text, std::size_t place) {
  TapWish wish;
  const std::size_t equals = text.find('=');
  wish.name = text.substr(0, equals);
  // As Linux names devices; of a name with % it would make one of its own.
  if (wish.name.empty() || wish.name.size() > 15 ||
      wish.name.find_first_of("/:% ") != std::string::npos)
    return Error::invalid_argument;
  const std::string usual = "10.9." + std::to_string(place) + ".2/24";
  const std::string_view rest =
      equals == std::string_view::npos ? std::string_view{usual} : text.substr(equals + 1);
  const AddressWish own = TRY(AddressWish::parse(rest));
  wish.address = own.address;
  wish.gateway = own.gateway;
  wish.problem = own.problem();
  return wish;
}

Result<void> NetWish::add(std::string_view text) {
  constexpr std::string_view host = "host=";
  if (!text.starts_with(host)) {
    if (serve_at || taps.size() == net::inet::Link::most) return Error::invalid_argument;
    TapWish wish = TRY(TapWish::parse(text, taps.size()));
    for (const TapWish& other : taps)
      if (other.name == wish.name && wish.problem.empty())
        wish.problem = "that device is named twice";
    taps.push_back(std::move(wish));
    return {};
  }
  if (serve_at || !taps.empty()) return Error::invalid_argument;
  const std::string_view address = text.substr(host.size());
  const bool is_ipv6 = address.find(':') != std::string_view::npos;
  serve_at = TRY(io::Address::parse(is_ipv6 ? "[" + std::string{address} + "]:0"
                                            : std::string{address} + ":0"));
  return {};
}

DiskWish DiskWish::parse(std::string_view text) noexcept {
  constexpr std::string_view read_only = ":ro";
  DiskWish wish{.file = text, .read_only = text.ends_with(read_only)};
  if (wish.read_only) wish.file.remove_suffix(read_only.size());
  return wish;
}

}  // namespace lichen::image
