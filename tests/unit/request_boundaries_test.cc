#include "agent/request_boundaries.h"

#include <gtest/gtest.h>

namespace holdfast {
namespace {

Record record_of(std::string_view extension, std::uint32_t raw_length, std::uint32_t items,
                 std::uint32_t requests) {
  Record record;
  record.extension = extension;
  record.raw_length = raw_length;
  record.item_count = items;
  record.request_count = requests;
  return record;
}

TEST(RequestBoundaries, RecordWithoutExtensionIsOneRequest) {
  auto boundaries = request_boundaries(record_of("", 1234, 7, 1));
  ASSERT_TRUE(boundaries.ok());
  ASSERT_EQ(boundaries->size(), 1U);
  EXPECT_EQ((*boundaries)[0].offset, 0U);
  EXPECT_EQ((*boundaries)[0].length, 1234U);
  EXPECT_EQ((*boundaries)[0].items, 7U);
}

TEST(RequestBoundaries, WhatWasAppendedComesBackInOrder) {
  std::string extension;
  append_boundary(127, 0, extension);
  append_boundary(128, 300, extension);
  append_boundary(0, 1, extension);
  append_boundary(70'000, 5, extension);
  EXPECT_EQ(extension.substr(0, 6), std::string("\x7F\x00\x80\x01\xAC\x02", 6));
  auto boundaries = request_boundaries(record_of(extension, 127 + 128 + 70'000, 306, 4));
  ASSERT_TRUE(boundaries.ok()) << boundaries.error().message;
  ASSERT_EQ(boundaries->size(), 4U);
  EXPECT_EQ((*boundaries)[1].offset, 127U);
  EXPECT_EQ((*boundaries)[3].offset, 255U);
  EXPECT_EQ((*boundaries)[3].length, 70'000U);
  EXPECT_EQ((*boundaries)[3].items, 5U);
}

TEST(RequestBoundaries, LargestNumbersPass) {
  std::string extension;
  append_boundary(UINT32_MAX, UINT32_MAX, extension);
  EXPECT_EQ(extension.size(), 10U);
  EXPECT_TRUE(request_boundaries(record_of(extension, UINT32_MAX, UINT32_MAX, 1)).ok());
}

TEST(RequestBoundaries, EveryTruncationFails) {
  std::string extension;
  append_boundary(300, 2, extension);
  append_boundary(400, 200, extension);
  ASSERT_TRUE(request_boundaries(record_of(extension, 700, 202, 2)).ok());
  for (std::size_t length = 1; length < extension.size(); ++length) {
    EXPECT_FALSE(
        request_boundaries(record_of(std::string_view(extension).substr(0, length), 700, 202, 2))
            .ok())
        << length;
  }
}

TEST(RequestBoundaries, NumbersThatDoNotAddUpFail) {
  std::string extension;
  append_boundary(10, 1, extension);
  append_boundary(20, 2, extension);
  ASSERT_TRUE(request_boundaries(record_of(extension, 30, 3, 2)).ok());
  EXPECT_FALSE(request_boundaries(record_of(extension, 31, 3, 2)).ok());
  EXPECT_FALSE(request_boundaries(record_of(extension, 29, 3, 2)).ok());
  EXPECT_FALSE(request_boundaries(record_of(extension, 30, 4, 2)).ok());
  EXPECT_FALSE(request_boundaries(record_of(extension, 30, 3, 3)).ok());
}

TEST(RequestBoundaries, VarintAboveThirtyTwoBitsFails) {
  const std::string extension("\xFF\xFF\xFF\xFF\x1F\x01", 6);
  EXPECT_FALSE(request_boundaries(record_of(extension, UINT32_MAX, 1, 1)).ok());
  const std::string endless(12, '\x80');
  EXPECT_FALSE(request_boundaries(record_of(endless, 1, 1, 1)).ok());
}

}  // namespace
}  // namespace holdfast
