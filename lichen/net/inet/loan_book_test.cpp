#include "lichen/net/inet/loan_book.hpp"

#include <gtest/gtest.h>

namespace lichen::net::inet {
namespace {

TEST(LoanBook, CountsWhatCameBackInTheOrderInWhichItWasLent) {
  LoanBook book;
  for (std::uint64_t i = 0; i < 4; ++i) EXPECT_EQ(book.lend(), i);
  EXPECT_EQ(book.loans().lent, 4u);
  book.give_back(1);
  book.give_back(3);
  EXPECT_EQ(book.loans().returned, 0u) << "the first one is still read";
  book.give_back(0);
  EXPECT_EQ(book.loans().returned, 2u);
  book.give_back(2);
  EXPECT_EQ(book.loans().returned, 4u);
}

TEST(LoanBook, GoesRound) {
  LoanBook book;
  for (std::size_t round = 0; round < 3; ++round) {
    const std::uint64_t first = book.lend();
    for (std::size_t i = 1; i < LoanBook::most; ++i) book.give_back(book.lend());
    EXPECT_EQ(book.loans().returned, first);
    book.give_back(first);
    EXPECT_EQ(book.loans().returned, book.loans().lent);
  }
}

}  // namespace
}  // namespace lichen::net::inet
