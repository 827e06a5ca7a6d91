// Heaps of several cores that free each other's blocks while they allocate, under one limit.
#include <gtest/gtest.h>

#include <array>
#include <atomic>
#include <cstring>
#include <memory>
#include <random>
#include <thread>
#include <vector>

#include "lichen/mem/heap.hpp"

namespace lichen::mem {
namespace {

// Every byte that the owner may use holds the mark, so that a block handed out twice shows.
struct Message {
  std::uint32_t size;
  unsigned char mark;
  unsigned char bytes[];
};

void fill(Message& message, std::size_t size, unsigned mark) {
  message.size = static_cast<std::uint32_t>(size);
  message.mark = static_cast<unsigned char>(mark);
  std::memset(message.bytes, message.mark, size - sizeof(Message));
}

bool is_intact(const Message& message) {
  for (std::size_t i = 0; i < message.size - sizeof(Message); ++i)
    if (message.bytes[i] != message.mark) return false;
  return true;
}

// Places where threads leave a block and take away what was there.
using Mailboxes = std::array<std::atomic<Message*>, 64>;

struct Outcome {
  std::uint64_t allocated = 0;
  std::uint64_t refused = 0;
  std::uint64_t freed = 0;
  std::uint64_t broken = 0;
};

Outcome work(Heap& heap, Mailboxes& mailboxes, unsigned seed, int steps) {
  Outcome outcome;
  std::mt19937 random{seed};
  auto free = [&](Message* message) {
    if (!is_intact(*message)) ++outcome.broken;
    heap.free(message, message->size);
    ++outcome.freed;
  };
  std::vector<Message*> own;
  for (int step = 0; step < steps; ++step) {
    std::size_t size = sizeof(Message) + random() % 600;
    if (random() % 256 == 0) size = 10'000 + random() % 60'000;
    if (auto* message = static_cast<Message*>(heap.allocate(size))) {
      ++outcome.allocated;
      fill(*message, size, random());
      own.push_back(message);
    } else {
      ++outcome.refused;
      for (Message* each : own) free(each);
      own.clear();
    }
    while (own.size() > random() % 256) {
      Message* message = own.back();
      own.pop_back();
      if (random() % 4 == 0) {
        free(message);
      } else {
        auto& mailbox = mailboxes[random() % mailboxes.size()];
        if (Message* found = mailbox.exchange(message, std::memory_order_acq_rel)) free(found);
      }
    }
    if (step % 1'024 == 0) heap.trim();
  }
  for (Message* each : own) free(each);
  return outcome;
}

void run(std::size_t limit, int steps, bool expect_refusals) {
  constexpr unsigned thread_count = 4;
  Account account{limit};
  Mailboxes mailboxes{};
  std::vector<std::unique_ptr<Heap>> heaps;
  for (unsigned i = 0; i < thread_count; ++i) heaps.push_back(std::make_unique<Heap>(account));

  std::array<Outcome, thread_count> outcomes;
  std::vector<std::thread> threads;
  for (unsigned i = 0; i < thread_count; ++i)
    threads.emplace_back([&, i] { outcomes[i] = work(*heaps[i], mailboxes, i + 1, steps); });
  // One thread without a heap takes blocks away, too.
  std::atomic<bool> done{false};
  Outcome outside;
  std::thread taker{[&] {
    for (unsigned i = 0; !done.load(std::memory_order_relaxed); ++i) {
      if (Message* found = mailboxes[i % mailboxes.size()].exchange(nullptr)) {
        if (!is_intact(*found)) ++outside.broken;
        Heap::free_from_outside(found);
        ++outside.freed;
      }
      std::this_thread::yield();
    }
  }};
  for (auto& thread : threads) thread.join();
  done = true;
  taker.join();

  for (auto& mailbox : mailboxes)
    if (Message* left = mailbox.exchange(nullptr)) {
      if (!is_intact(*left)) ++outside.broken;
      Heap::free_from_outside(left);
      ++outside.freed;
    }
  Outcome all = outside;
  for (const Outcome& each : outcomes) {
    all.allocated += each.allocated;
    all.refused += each.refused;
    all.freed += each.freed;
    all.broken += each.broken;
  }
  EXPECT_EQ(all.broken, 0u);
  EXPECT_EQ(all.allocated, all.freed);
  EXPECT_EQ(all.refused > 0, expect_refusals);
  EXPECT_LE(account.peak(), limit);
  EXPECT_GT(outside.freed, 0u);

  heaps.clear();
  EXPECT_EQ(account.leaked(), 0u);
  EXPECT_EQ(account.used(), 0u);
}

TEST(HeapTorture, BlocksWanderBetweenCores) { run(SIZE_MAX, 60'000, false); }

// Four heaps with some 35 classes each cannot fit into 32 slabs: refusals are certain.
TEST(HeapTorture, BlocksWanderAtTheLimit) { run(std::size_t{32} << 16, 30'000, true); }

}  // namespace
}  // namespace lichen::mem
