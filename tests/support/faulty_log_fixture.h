// A log on a file system whose operations fail when a test says so.
#pragma once

#include <gtest/gtest.h>

#include <string>
#include <utility>
#include <vector>

#include "tests/support/faulty_filesystem.h"
#include "tests/support/log_fixture.h"

namespace holdfast {

class FaultyLogFixture : public LogFixture {
 protected:
  ~FaultyLogFixture() override { log.reset(); }  // before its file system

  void open_faulty(const std::vector<ReaderSpec>& readers = {{"up"}}) {
    log.reset();
    auto opened = Log::open(fs, clock, options, readers);
    ASSERT_TRUE(opened.ok()) << opened.error().message;
    log = std::move(*opened);
  }

  FaultyFileSystem fs;
};

}  // namespace holdfast
