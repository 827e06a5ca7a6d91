#include "lichen/net/ip/test_host.hpp"

namespace lichen::net::ip {
namespace {

using Operation = wire::ArpOperation;

struct Arp : StackTest {
  Result<void> ping(std::string_view to, std::size_t size = 10) {
    const Octets body(size);
    return stack->send_echo(TRY(stack->way(ip(to), {}, nullptr, now)), 1, 1, body, now);
  }
  void answer(const wire::MacAddress& mac = peer_mac) {
    receive_arp({Operation::reply, mac, {{10, 0, 0, 2}}, our_mac, {{10, 0, 0, 1}}});
  }
};

// RFC 826; RFC 1122 section 2.3.2.2: what waits is sent when the answer comes.
TEST_F(Arp, ResolvesAndSendsWhatWaited) {
  ASSERT_TRUE(ping("10.0.0.2"));
  ASSERT_TRUE(ping("10.0.0.2"));
  const auto asked = sent_arp();
  ASSERT_EQ(asked.size(), 1u);
  EXPECT_EQ(asked[0].operation, Operation::request);
  EXPECT_EQ(asked[0].target, (wire::Ipv4Address{{10, 0, 0, 2}}));
  EXPECT_EQ(asked[0].sender, (wire::Ipv4Address{{10, 0, 0, 1}}));
  EXPECT_EQ(stack->neighbours().pending(), 2u);
  answer();
  ASSERT_EQ(device.sent.size(), 2u);
  EXPECT_EQ(wire::parse_ethernet(device.sent[0])->to, peer_mac);
  EXPECT_EQ(stack->neighbours().pending(), 0u);
  EXPECT_EQ(stack->neighbours().find(interface->index, ip("10.0.0.2"))->state,
            NeighbourState::reachable);
}

// RFC 1122 section 2.3.2.1: at most one request a second; RFC 4861 section 7.2.2: three, then no
// more.
TEST_F(Arp, GivesUpAfterThree) {
  ASSERT_TRUE(ping("10.0.0.2"));
  EXPECT_EQ(sent_arp().size(), 1u);
  run_for(second - 1);
  EXPECT_EQ(sent_arp().size(), 0u);
  run_for(second + 1);
  EXPECT_EQ(sent_arp().size(), 2u);
  run_for(10 * second);
  EXPECT_EQ(sent_arp().size(), 0u);
  EXPECT_EQ(dropped(Drop::unresolved), 1u);
  EXPECT_EQ(stack->neighbours().find(interface->index, ip("10.0.0.2")), nullptr);
  EXPECT_EQ(stack->neighbours().pending(), 0u);
}

// RFC 4861 section 7.3: 5 s after the first use of a stale entry it is asked, itself, three times.
TEST_F(Arp, ProbesAStaleNeighbour) {
  meet_peers();
  ASSERT_TRUE(ping("10.0.0.2"));
  EXPECT_EQ(stack->neighbours().find(interface->index, ip("10.0.0.2"))->state,
            NeighbourState::delay);
  EXPECT_EQ(device.sent.size(), 1u);
  device.sent.clear();
  run_for(Neighbours::delay_first_probe);
  ASSERT_FALSE(device.sent.empty());
  for (const Octets& frame : device.sent) EXPECT_EQ(wire::parse_ethernet(frame)->to, peer_mac);
  EXPECT_EQ(sent_arp().size(), 1u);
  run_for(2 * second);
  EXPECT_EQ(sent_arp().size(), 2u);
  run_for(second);
  EXPECT_EQ(stack->neighbours().find(interface->index, ip("10.0.0.2")), nullptr);
}

TEST_F(Arp, AnAnswerToAProbeConfirms) {
  meet_peers();
  ASSERT_TRUE(ping("10.0.0.2"));
  run_for(Neighbours::delay_first_probe);
  answer();
  EXPECT_EQ(stack->neighbours().find(interface->index, ip("10.0.0.2"))->state,
            NeighbourState::reachable);
  run_for(46 * second);  // 30 s and a half at most
  EXPECT_EQ(stack->neighbours().find(interface->index, ip("10.0.0.2"))->state,
            NeighbourState::stale);
}

// RFC 826 would merge only what is known; an answer nobody asked for fills no table.
TEST_F(Arp, UnsolicitedAnswersMakeNoEntry) {
  for (int i = 2; i < 200; ++i)
    receive_arp({Operation::reply,
                 peer_mac,
                 {{10, 0, 0, static_cast<std::uint8_t>(i)}},
                 our_mac,
                 {{10, 0, 0, 1}}});
  EXPECT_EQ(stack->neighbours().count(), 0u);
  EXPECT_EQ(dropped(Drop::unsolicited), 198u);
  // Nor do requests for others.
  receive_arp({Operation::request, peer_mac, {{10, 0, 0, 9}}, {}, {{10, 0, 0, 8}}},
              wire::MacAddress::broadcast());
  EXPECT_EQ(stack->neighbours().count(), 0u);
}

// A forged answer takes nobody's place: the station we know is asked, and stays if it answers.
TEST_F(Arp, UnsolicitedAnswersTakeNobodysPlace) {
  ASSERT_TRUE(ping("10.0.0.2"));
  answer();
  const wire::MacAddress forger{{2, 0, 0, 0, 0, 0x66}};
  answer(forger);
  const Neighbour* neighbour = stack->neighbours().find(interface->index, ip("10.0.0.2"));
  EXPECT_EQ(neighbour->mac, peer_mac);
  EXPECT_EQ(neighbour->state, NeighbourState::stale);
  ASSERT_TRUE(ping("10.0.0.2"));
  run_for(Neighbours::delay_first_probe);
  answer();
  EXPECT_EQ(neighbour->mac, peer_mac);
  EXPECT_EQ(neighbour->state, NeighbourState::reachable);
  // One that says it to all has moved.
  receive_arp({Operation::reply, forger, {{10, 0, 0, 2}}, forger, {{10, 0, 0, 2}}},
              wire::MacAddress::broadcast());
  EXPECT_EQ(neighbour->mac, forger);
  EXPECT_EQ(neighbour->state, NeighbourState::stale);
}

TEST_F(Arp, AnswersRequestsForItsAddresses) {
  receive_arp({Operation::request, peer_mac, {{10, 0, 0, 2}}, {}, {{10, 0, 0, 1}}},
              wire::MacAddress::broadcast());
  const auto replies = sent_arp();
  ASSERT_EQ(replies.size(), 1u);
  EXPECT_EQ(replies[0].operation, Operation::reply);
  EXPECT_EQ(replies[0].sender_mac, our_mac);
  EXPECT_EQ(replies[0].target_mac, peer_mac);
  EXPECT_EQ(stack->neighbours().find(interface->index, ip("10.0.0.2"))->state,
            NeighbourState::stale);
  receive_arp({Operation::request, peer_mac, {{10, 0, 0, 2}}, {}, {{10, 0, 0, 77}}},
              wire::MacAddress::broadcast());
  EXPECT_TRUE(sent_arp().empty());
}

// The table keeps who is there when we are made to ask for many who are not (RFC 6583 section 4).
TEST_F(Arp, AScanDoesNotPushOutNeighbours) {
  meet_peers();
  for (int i = 3; i < 255; ++i) (void)ping("10.0.0." + std::to_string(i));
  EXPECT_LE(stack->neighbours().count(), Neighbours::most / 2 + 2);
  EXPECT_NE(stack->neighbours().find(interface->index, ip("10.0.0.2")), nullptr);
  EXPECT_LE(stack->neighbours().pending(), Neighbours::most_pending);
  EXPECT_GT(dropped(Drop::unresolved) + dropped(Drop::pending_full), 0u);
}

TEST_F(Arp, WhatWaitsIsBounded) {
  for (int i = 0; i < 200; ++i) (void)ping("10.0.0.2");
  EXPECT_EQ(stack->neighbours().pending(), Neighbours::most_pending);
  EXPECT_EQ(dropped(Drop::pending_full), 200 - Neighbours::most_pending);
  answer();
  EXPECT_EQ(device.sent.size(), Neighbours::most_pending + 1);
}

struct Probing : StackTest {
  Probing() : StackTest{false} {}
  void add() {
    ASSERT_TRUE(
        stack->add_address(*interface, {.address = ip("10.0.0.1"), .bits = 24}, Probe::yes, now));
  }
};

// RFC 5227 section 2.1.1, 2.3: three probes, 2 s of silence, two announcements.
TEST_F(Probing, ThreeProbesThenAnnouncements) {
  add();
  EXPECT_EQ(stack->owner_of(ip("10.0.0.1")), nullptr);
  run_for(5 * second);
  auto arp = sent_arp();
  ASSERT_EQ(arp.size(), 3u);
  for (const auto& probe : arp) {
    EXPECT_EQ(probe.operation, Operation::request);
    EXPECT_TRUE(probe.sender.is_unspecified());
    EXPECT_EQ(probe.target, (wire::Ipv4Address{{10, 0, 0, 1}}));
  }
  run_for(2 * second);
  ASSERT_EQ(events.events.size(), 1u);
  EXPECT_EQ(events.events[0].second, AddressEvent::ready);
  EXPECT_EQ(stack->owner_of(ip("10.0.0.1")), interface);
  run_for(5 * second);
  arp = sent_arp();
  ASSERT_EQ(arp.size(), 2u);
  for (const auto& announcement : arp) EXPECT_EQ(announcement.sender, announcement.target);
}

// The same three questions on a wire, whose far end answers within milliseconds.
TEST_F(Probing, Quickly) {
  ASSERT_TRUE(stack->add_address(
      *interface, {.address = ip("10.0.0.7"), .bits = 24, .origin = AddressOrigin::dhcp},
      Probe::quick, now));
  EXPECT_EQ(stack->owner_of(ip("10.0.0.7")), nullptr);
  run_for(149 * millisecond);
  EXPECT_EQ(sent_arp().size(), 3u);
  EXPECT_EQ(stack->owner_of(ip("10.0.0.7")), nullptr);
  run_for(millisecond);
  EXPECT_EQ(stack->owner_of(ip("10.0.0.7")), interface);
  // It stays so when the cable was out.
  stack->set_up(*interface, false, now);
  stack->set_up(*interface, true, now);
  EXPECT_EQ(stack->owner_of(ip("10.0.0.7")), nullptr);
  run_for(150 * millisecond);
  EXPECT_EQ(stack->owner_of(ip("10.0.0.7")), interface);
}

// RFC 5227 section 3: at another place of the link it tells all where it is, if it is at one.
TEST_F(Probing, AnnouncesWhatItHas) {
  add();
  stack->announce(*interface, now);
  EXPECT_TRUE(sent_arp().empty());  // it is not sure yet
  run_for(15 * second);
  sent_arp();
  stack->announce(*interface, now);
  const auto arp = sent_arp();
  ASSERT_EQ(arp.size(), 1u);
  EXPECT_EQ(arp[0].sender, arp[0].target);
  const std::uint32_t revision = stack->revision();
  stack->set_up(*interface, false, now);
  EXPECT_NE(stack->revision(), revision);
  stack->announce(*interface, now);
  EXPECT_TRUE(sent_arp().empty());
}

// Section 2.1.1: an answer, or the probe of another, means that the address is taken.
TEST_F(Probing, ConflictWhileProbing) {
  for (const auto& [operation, sender] :
       {std::pair{Operation::reply, wire::Ipv4Address{{10, 0, 0, 1}}},
        std::pair{Operation::request, wire::Ipv4Address{}}}) {
    events.events.clear();
    add();
    run_for(second);
    receive_arp({operation, peer_mac, sender, {}, {{10, 0, 0, 1}}}, wire::MacAddress::broadcast());
    ASSERT_EQ(events.events.size(), 1u);
    EXPECT_EQ(events.events[0].second, AddressEvent::conflict);
    run_for(20 * second);
    EXPECT_EQ(stack->owner_of(ip("10.0.0.1")), nullptr);
    EXPECT_EQ(interface->find(ip("10.0.0.1"))->state, AddressState::duplicate);
    ASSERT_TRUE(stack->remove_address(*interface, ip("10.0.0.1")));
  }
}

// Section 2.4 (b), (c): defended once in 10 s; given up after that, unless it was set by hand.
TEST_F(Arp, DefendsItsAddress) {
  const wire::ArpPacket theirs{Operation::request, peer_mac, {{10, 0, 0, 1}}, {}, {{10, 0, 0, 1}}};
  receive_arp(theirs, wire::MacAddress::broadcast());
  ASSERT_EQ(sent_arp().size(), 1u);
  receive_arp(theirs, wire::MacAddress::broadcast());
  EXPECT_TRUE(sent_arp().empty());
  EXPECT_EQ(dropped(Drop::address_in_use), 2u);
  EXPECT_NE(stack->owner_of(ip("10.0.0.1")), nullptr);
  ASSERT_TRUE(stack->add_address(
      *interface, {.address = ip("10.0.0.5"), .bits = 24, .origin = AddressOrigin::dhcp}, Probe::no,
      now));
  run_for(5 * second);
  for (int i = 0; i < 2; ++i)
    receive_arp({Operation::request, peer_mac, {{10, 0, 0, 5}}, {}, {{10, 0, 0, 5}}},
                wire::MacAddress::broadcast());
  EXPECT_EQ(stack->owner_of(ip("10.0.0.5")), nullptr);
}

}  // namespace
}  // namespace lichen::net::ip
