#include "lichen/net/inet/crossing.hpp"

#include <gtest/gtest.h>

#include <array>
#include <atomic>
#include <thread>

#include "lichen/coro/lock.hpp"

namespace lichen::net::inet {
namespace {

tcp::Path path_of(std::uint32_t remote, std::uint16_t remote_port, std::uint16_t local_port) {
  return {.local = {wire::Ipv4Address::of(0x0a090002), local_port},
          .remote = {wire::Ipv4Address::of(remote), remote_port}};
}

void set(Claim& claim, std::uint16_t port, unsigned place, bool shared) {
  claim.local = {{}, port};
  claim.place = place;
  claim.shared = shared;
}

TEST(Crossing, BothDirectionsHaveOneHome) {
  auto crossing = Crossing::create(4, {1, 2});
  ASSERT_TRUE(crossing);
  std::array<unsigned, 4> count{};
  for (std::uint32_t i = 0; i < 4'000; ++i) {
    const tcp::Path path = path_of(0x0a000000 + i, static_cast<std::uint16_t>(40'000 + i % 7), 80);
    const unsigned home = (*crossing)->home(path);
    ASSERT_LT(home, 4U);
    EXPECT_EQ((*crossing)->home({path.remote, path.local}), home);
    ++count[home];
  }
  // The hash is fixed by its key: this is no matter of chance.
  for (const unsigned each : count) EXPECT_GT(each, 800U);
}

TEST(Crossing, WhoListensIsHome) {
  auto made = Crossing::create(3, {1, 2});
  ASSERT_TRUE(made);
  Crossing& crossing = **made;
  Claim first;
  set(first, 80, 1, true);
  Claim second;
  set(second, 80, 2, true);
  EXPECT_FALSE(crossing.anybody_listens(80));
  ASSERT_TRUE(crossing.claim(first));
  for (std::uint32_t i = 0; i < 100; ++i) EXPECT_EQ(crossing.home(path_of(i + 1, 1'000, 80)), 1U);
  ASSERT_TRUE(crossing.claim(second));
  unsigned of_second = 0;
  for (std::uint32_t i = 0; i < 100; ++i) {
    const unsigned home = crossing.home(path_of(i + 1, 1'000, 80));
    EXPECT_NE(home, 0U);
    of_second += home == 2 ? 1 : 0;
  }
  EXPECT_GT(of_second, 20U);
  EXPECT_LT(of_second, 80U);
  crossing.release(first);
  crossing.release(first);  // again is nothing
  EXPECT_EQ(crossing.home(path_of(1, 1'000, 80)), 2U);
  crossing.release(second);
  EXPECT_FALSE(crossing.anybody_listens(80));
}

// By the published values of steering_test.cpp, of which the table takes the last seven bits.
TEST(Crossing, HomeIsWhereTheDeviceBringsIt) {
  const io::Steering steering{
      .key = {0x6d, 0x5a, 0x56, 0xda, 0x25, 0x5b, 0x0e, 0xc2, 0x41, 0x67, 0x25, 0x3d, 0x43, 0xa3,
              0x8f, 0xb0, 0xd0, 0xca, 0x2b, 0xcb, 0xae, 0x7b, 0x30, 0xb4, 0x77, 0xcb, 0x2d, 0xa3,
              0x80, 0x30, 0xf2, 0x0c, 0x6a, 0x42, 0xb7, 0x3b, 0xbe, 0xac, 0x01, 0xfa},
      .queues = 3};
  const tcp::Path of_ipv4{.local = {*wire::IpAddress::parse("161.142.100.80"), 1'766},
                          .remote = {*wire::IpAddress::parse("66.9.149.187"), 2'794}};
  const tcp::Path of_ipv6{.local = {*wire::IpAddress::parse("3ffe:2501:200:3::1"), 1'766},
                          .remote = {*wire::IpAddress::parse("3ffe:2501:200:1fff::7"), 2'794}};
  {
    auto crossing = Crossing::create(3, {1, 2});
    ASSERT_TRUE(crossing);
    (*crossing)->steered_by(&steering);
    EXPECT_EQ((*crossing)->home(of_ipv4), 0x78U % 3);
    EXPECT_EQ((*crossing)->home(of_ipv6), 0x3dU % 3);
    // Not if only others listen; and if they do, too.
    Claim other;
    set(other, 1'766, 2, true);
    ASSERT_TRUE((*crossing)->claim(other));
    EXPECT_EQ((*crossing)->home(of_ipv4), 2U);
    Claim own;
    set(own, 1'766, 0, true);
    ASSERT_TRUE((*crossing)->claim(own));
    EXPECT_EQ((*crossing)->home(of_ipv4), 0U);
    (*crossing)->release(own);
    (*crossing)->release(other);
  }
  // Of five cores two each have the first two pairs in common.
  auto crossing = Crossing::create(5, {1, 2});
  ASSERT_TRUE(crossing);
  (*crossing)->steered_by(&steering);
  std::array<unsigned, 5> count{};
  for (std::uint32_t i = 0; i < 6'000; ++i) {
    tcp::Path path = of_ipv4;
    path.remote.address = wire::Ipv4Address::of(0x0a000000 + i);
    ++count[(*crossing)->home(path)];
  }
  for (unsigned place = 0; place < 5; ++place) EXPECT_GT(count[place], 800U) << place;
  EXPECT_GT(count[2], 1'600U);
}

TEST(Crossing, AnAddressIsSharedByThoseWhoShare) {
  auto made = Crossing::create(3, {1, 2});
  ASSERT_TRUE(made);
  Crossing& crossing = **made;
  Claim sharing;
  set(sharing, 80, 1, true);
  Claim alone;
  set(alone, 80, 2, false);
  Claim again;
  set(again, 80, 1, true);
  Claim other;
  set(other, 81, 2, false);
  ASSERT_TRUE(crossing.claim(sharing));
  EXPECT_TRUE(crossing.claim(alone).failed_with(Error::address_in_use));
  EXPECT_TRUE(crossing.claim(again).failed_with(Error::address_in_use));
  ASSERT_TRUE(crossing.claim(other));
  crossing.release(sharing);
  ASSERT_TRUE(crossing.claim(alone));
  EXPECT_TRUE(crossing.claim(sharing).failed_with(Error::address_in_use));
  crossing.release(alone);
  crossing.release(other);
}

TEST(Crossing, ListenersComeAndGoOnAllCores) {
  constexpr unsigned places = 2, rounds = 2'000;
  auto made = Crossing::create(places, {1, 2});
  ASSERT_TRUE(made);
  Crossing& crossing = **made;
  std::atomic<unsigned> refused{0};
  std::array<std::thread, places> threads;
  coro::cores_share = true;  // threads stand for cores here
  for (unsigned place = 0; place < places; ++place)
    threads[place] = std::thread{[&, place] {
      std::array<Claim, 3> claims;
      for (unsigned round = 0; round < rounds; ++round) {
        for (Claim& claim : claims) {
          set(claim, static_cast<std::uint16_t>(80 + (&claim - claims.data())), place, true);
          refused += !crossing.claim(claim);
        }
        for (Claim& claim : claims) {
          std::this_thread::yield();  // that the neighbours in the list go meanwhile
          crossing.release(claim);
        }
        crossing.release(claims[0]);  // which has been done
      }
    }};
  for (std::thread& each : threads) each.join();
  coro::cores_share = false;
  EXPECT_EQ(refused, 0U);
  for (const std::uint16_t port : {80, 81, 82}) EXPECT_FALSE(crossing.anybody_listens(port));
}

TEST(Crossing, APortForDatagramsIsOneCores) {
  auto made = Crossing::create(3, {1, 2});
  ASSERT_TRUE(made);
  Crossing& crossing = **made;
  EXPECT_FALSE(crossing.place_of_datagrams(53));
  ASSERT_TRUE(crossing.claim_datagrams(53, 2));
  ASSERT_TRUE(crossing.claim_datagrams(65'535, 0));
  EXPECT_EQ(crossing.place_of_datagrams(53), 2U);
  EXPECT_EQ(crossing.place_of_datagrams(65'535), 0U);
  EXPECT_FALSE(crossing.place_of_datagrams(54));
  EXPECT_TRUE(crossing.claim_datagrams(53, 1).failed_with(Error::address_in_use));
  crossing.release_datagrams(53);
  EXPECT_FALSE(crossing.place_of_datagrams(53));
  EXPECT_TRUE(crossing.claim_datagrams(53, 1));
}

TEST(Crossing, SettingsAreToldOnce) {
  auto made = Crossing::create(2, {1, 2});
  ASSERT_TRUE(made);
  std::uint32_t seen = 0;
  EXPECT_FALSE((*made)->settings_after(0, seen));
  ip::Settings told;
  told.hop_limit = 7;
  (*made)->announce(0, told);
  const auto settings = (*made)->settings_after(0, seen);
  ASSERT_TRUE(settings);
  EXPECT_EQ(settings->hop_limit, 7);
  EXPECT_FALSE((*made)->settings_after(0, seen));
  std::uint32_t of_another = 0;
  EXPECT_FALSE((*made)->settings_after(1, of_another));
  // Nobody has joined: what was put is not published.
}

// Lent bytes, and how many have come back.
class Lender final : public io::BufferOwner {
 public:
  io::Buffer lend(std::byte value) { return {*this, std::span{new std::byte[1]{value}, 1}, 1}; }
  void give_back(std::span<std::byte> whole) noexcept override {
    delete[] whole.data();
    back.fetch_add(1, std::memory_order_relaxed);
  }
  std::atomic<unsigned> back{0};
};

TEST(ParcelRing, CarriesInOrderAndRefusesWhenFull) {
  Lender lender;
  auto ring = ParcelRing::create(4);
  ASSERT_TRUE(ring);
  for (int i = 0; i < 4; ++i) {
    Parcel parcel{.bytes = lender.lend(std::byte(i))};
    EXPECT_TRUE((*ring)->put(parcel));
  }
  Parcel fifth{.bytes = lender.lend(std::byte{9})};
  EXPECT_FALSE((*ring)->put(fifth));
  EXPECT_EQ(fifth.bytes.size(), 1U);
  EXPECT_EQ((*ring)->front(), nullptr);  // not published
  (*ring)->publish();
  for (int i = 0; i < 3; ++i) {
    ASSERT_NE((*ring)->front(), nullptr);
    EXPECT_EQ((*ring)->front()->bytes.bytes()[0], std::byte(i));
    (*ring)->pop();
  }
  EXPECT_TRUE((*ring)->put(fifth));
  EXPECT_EQ(lender.back, 3U);
  (*ring).reset();  // what was not taken goes back, too
  EXPECT_EQ(lender.back, 5U);
}

TEST(ParcelRing, CarriesBetweenThreads) {
  constexpr unsigned count = 20'000;
  Lender lender;
  auto ring = ParcelRing::create(64);
  ASSERT_TRUE(ring);
  std::thread writer{[&] {
    for (unsigned i = 0; i < count; ++i) {
      Parcel parcel{.bytes = lender.lend(std::byte(i))};
      while (!(*ring)->put(parcel)) std::this_thread::yield();
      if (i % 3 == 0) (*ring)->publish();
    }
    (*ring)->publish();
  }};
  for (unsigned i = 0; i < count;) {
    Parcel* parcel = (*ring)->front();
    if (!parcel) {
      std::this_thread::yield();
      continue;
    }
    ASSERT_EQ(parcel->bytes.bytes()[0], std::byte(i));
    (*ring)->pop();
    ++i;
  }
  writer.join();
  EXPECT_EQ(lender.back, count);
}

}  // namespace
}  // namespace lichen::net::inet
