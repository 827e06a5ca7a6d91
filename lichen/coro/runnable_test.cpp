#include "lichen/coro/runnable.hpp"

#include <gtest/gtest.h>

#include <array>

#include "lichen/base/member.hpp"

namespace lichen::coro {
namespace {

TEST(RunnableTest, AResumeFrameIsResumedWithItsOwnAddress) {
  struct Job {
    ResumeFrame frame{[](void* self) noexcept { ++static_cast<Job*>(self)->runs; }};
    int runs = 0;
  } job;
  job.frame.runnable.resume();
  job.frame.runnable.resume();
  EXPECT_EQ(job.runs, 2);
}

class RunQueueTest : public testing::Test {
 protected:
  std::array<Runnable, 10> items_{};
  void push(RunQueue& queue, std::size_t first, std::size_t last) {
    for (std::size_t i = first; i < last; ++i) queue.push_back(items_[i]);
  }
  // Empties the queue and checks that it held items [first, last) in order.
  void expect(RunQueue& queue, std::size_t first, std::size_t last) {
    EXPECT_EQ(queue.size(), last - first);
    for (std::size_t i = first; i < last; ++i) {
      ASSERT_FALSE(queue.empty());
      EXPECT_EQ(&queue.pop_front(), &items_[i]);
    }
    EXPECT_TRUE(queue.empty());
    EXPECT_EQ(queue.front(), nullptr);
  }
};

TEST_F(RunQueueTest, IsFirstInFirstOutAndReusable) {
  RunQueue queue;
  expect(queue, 0, 0);
  push(queue, 0, 10);
  expect(queue, 0, 10);
  push(queue, 3, 5);
  expect(queue, 3, 5);
}

TEST_F(RunQueueTest, PushesInFront) {
  RunQueue queue;
  queue.push_front(items_[1]);
  queue.push_front(items_[0]);
  queue.push_back(items_[2]);
  expect(queue, 0, 3);
}

TEST_F(RunQueueTest, Appends) {
  RunQueue queue;
  RunQueue other;
  queue.append(other);
  push(other, 0, 2);
  queue.append(other);
  EXPECT_TRUE(other.empty());
  push(other, 2, 5);
  queue.append(other);
  push(queue, 5, 6);
  expect(queue, 0, 6);
}

TEST_F(RunQueueTest, SplitsIntoNullTerminatedChains) {
  RunQueue queue;
  push(queue, 0, 10);
  RunQueue front = queue.split_front(4);
  const Runnable* link = front.front();
  for (int i = 0; i < 4; ++i) link = link->next;
  EXPECT_EQ(link, nullptr);
  link = queue.front();
  for (int i = 0; i < 6; ++i) link = link->next;
  EXPECT_EQ(link, nullptr);
  expect(front, 0, 4);
  RunQueue all = queue.split_front(6);
  EXPECT_TRUE(queue.empty());
  expect(all, 4, 10);
}

}  // namespace
}  // namespace lichen::coro
