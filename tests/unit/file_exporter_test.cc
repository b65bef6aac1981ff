// What the exporter `file` leaves in its file, byte by byte, after good days and bad ones.
#include <gtest/gtest.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <csignal>
#include <ctime>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <thread>
#include <vector>

#include "exporters/file.h"
#include "tests/support/temp_directory.h"

namespace holdfast {
namespace {

using namespace std::chrono_literals;
namespace fs = std::filesystem;
using Outcome = SendResult::Outcome;

class FileExporterTest : public testing::Test {
 protected:
  FileExporterTest() { options_.path = directory_.path() + "/out.json"; }

  std::string write(std::string_view message) { return output().write(message); }

  FileOutput& output() {
    if (output_ == nullptr) output_ = std::make_unique<FileOutput>(options_);
    return *output_;
  }
  void restart() { output_.reset(); }

  static std::string content(const fs::path& path) {
    std::ifstream in(path, std::ios::binary);
    return {std::istreambuf_iterator<char>(in), {}};
  }
  std::string content() const { return content(options_.path); }
  void put(std::string_view bytes) const { std::ofstream(options_.path) << bytes; }

  /// The names in the directory, in order.
  std::vector<std::string> names() const {
    std::vector<std::string> found;
    for (const auto& entry : fs::directory_iterator(directory_.path())) {
      found.push_back(entry.path().filename().string());
    }
    std::sort(found.begin(), found.end());
    return found;
  }

  TempDirectory directory_;
  FileOptions options_;
  std::unique_ptr<FileOutput> output_;
};

std::string frame(std::string_view message) {
  return std::string("\0\0\0", 3) + static_cast<char>(message.size()) + std::string(message);
}

TEST_F(FileExporterTest, JsonIsABatchALine) {
  EXPECT_EQ("", write("{\"a\":1}"));
  EXPECT_EQ("", write("{}"));
  EXPECT_EQ("{\"a\":1}\n{}\n", content());
}

TEST_F(FileExporterTest, ProtobufHasItsLengthInFrontMostSignificantByteFirst) {
  options_.encoding = BodyEncoding::protobuf;
  write("abc");
  write(std::string(0x010203, 'x'));
  EXPECT_EQ(std::string("\0\0\0\3abc\0\1\2\3", 11) + std::string(0x010203, 'x'), content());
}

TEST_F(FileExporterTest, CompressedJsonHasItsLengthInFrontToo) {
  options_.zstd = true;
  write("zz");
  EXPECT_EQ(frame("zz"), content());
}

TEST_F(FileExporterTest, TheFormOfABatchIsThatOfItsFile) {
  const auto form = [](const FileOptions& options) { return make_file_exporter(options)->form(); };
  EXPECT_EQ(form({.encoding = BodyEncoding::json}).coding, ContentCoding::identity);
  EXPECT_EQ(form({.encoding = BodyEncoding::json}).encoding, BodyEncoding::json);
  EXPECT_EQ(form({.encoding = BodyEncoding::protobuf, .zstd = true}).coding, ContentCoding::zstd);
  EXPECT_EQ(form({.encoding = BodyEncoding::protobuf}).encoding, BodyEncoding::protobuf);
}

TEST_F(FileExporterTest, AStartOverwritesUnlessItAppends) {
  put("old\n");
  write("new");
  EXPECT_EQ("new\n", content());
  options_.append = true;
  restart();
  write("newer");
  EXPECT_EQ("new\nnewer\n", content());
}

TEST_F(FileExporterTest, ALineThatIsOpenIsEnded) {
  options_.append = true;
  put("{\"torn\":");
  write("{}");
  EXPECT_EQ("{\"torn\":\n{}\n", content());
}

TEST_F(FileExporterTest, ATornMessageAtTheEndIsCutOff) {
  options_.append = true;
  options_.encoding = BodyEncoding::protobuf;
  const std::string whole = frame("first") + frame("second");
  const std::string torn = frame("the third");
  for (std::size_t length = 1; length < torn.size(); ++length) {
    restart();
    put(whole + torn.substr(0, length));
    write("fourth");
    EXPECT_EQ(whole + frame("fourth"), content()) << length;
  }
}

TEST_F(FileExporterTest, DirectoriesAreMadeIfAskedFor) {
  options_.path = directory_.path() + "/a/b/out.json";
  EXPECT_NE("", write("x"));
  options_.create_directory = true;
  options_.directory_permissions = 0700;
  restart();
  EXPECT_EQ("", write("x"));
  struct stat info {};
  ASSERT_EQ(0, stat((directory_.path() + "/a").c_str(), &info));
  EXPECT_EQ(0700U, info.st_mode & 0777U);
}

TEST_F(FileExporterTest, WhatCannotBeWrittenIsTriedAgain) {
  options_.path = directory_.path() + "/missing/out.json";
  const auto exporter = make_file_exporter(options_);
  const SendResult result = exporter->send({.body = "x"}, {});
  EXPECT_EQ(Outcome::retry, result.outcome);
  EXPECT_TRUE(result.upstream_down);
  EXPECT_EQ("cannot open " + options_.path + ": No such file or directory", result.message);
  fs::create_directory(directory_.path() + "/missing");
  EXPECT_EQ(Outcome::delivered, exporter->send({.body = "x"}, {}).outcome);
  EXPECT_EQ("x\n", content());
}

/// A limit of the file size stands for a full disk: a part of a write succeeds, the rest does not.
TEST_F(FileExporterTest, AWriteThatSucceedsInPartLeavesNothingBehind) {
  ::signal(SIGXFSZ, SIG_IGN);
  rlimit before{};
  ASSERT_EQ(0, getrlimit(RLIMIT_FSIZE, &before));
  ASSERT_EQ("", write("first"));
  const rlimit small{10, before.rlim_max};
  ASSERT_EQ(0, setrlimit(RLIMIT_FSIZE, &small));
  const std::string error = write("second, too long");
  ASSERT_EQ(0, setrlimit(RLIMIT_FSIZE, &before));
  EXPECT_EQ("cannot write " + options_.path + ": File too large", error);
  EXPECT_EQ("first\n", content());
  EXPECT_EQ("", write("second, too long"));
  EXPECT_EQ("first\nsecond, too long\n", content());
}

TEST_F(FileExporterTest, ExportersOfOnePathShareIt) {
  auto first = make_file_exporter(options_);
  auto second = make_file_exporter(options_);
  first->send({.body = "1"}, {});
  second->send({.body = "2"}, {});
  first.reset();
  second.reset();
  make_file_exporter(options_)->send({.body = "3"}, {});
  EXPECT_EQ("1\n2\n3\n", content()) << "no start of the process, so nothing is overwritten";
}

class FileRotationTest : public FileExporterTest {
 protected:
  FileRotationTest() {
    options_.rotation = FileRotation{.bytes_max = 10};
    options_.now = [this] { return now_; };
  }

  std::chrono::system_clock::time_point now_{1'767'323'045'678ms};  // 2026-01-02T03:04:05.678Z
};

TEST_F(FileRotationTest, AFileThatWouldGrowBeyondItsLimitIsClosedUnderTheTimesName) {
  write("12345678");
  EXPECT_EQ((std::vector<std::string>{"out.json"}), names());
  write("a");
  EXPECT_EQ((std::vector<std::string>{"out-2026-01-02T03-04-05.678-size.json", "out.json"}),
            names());
  EXPECT_EQ("12345678\n", content(directory_.path() + "/" + names()[0]));
  EXPECT_EQ("a\n", content());
}

TEST_F(FileRotationTest, TwoWithinAMillisecondAreTwo) {
  for (const char* line : {"first, long", "second, long", "third, long"}) write(line);
  EXPECT_EQ((std::vector<std::string>{"out-2026-01-02T03-04-05.678-size.json",
                                      "out-2026-01-02T03-04-05.679-size.json", "out.json"}),
            names());
}

TEST_F(FileRotationTest, AStartGoesOnWithTheFileThatIsThere) {
  write("123");
  restart();
  write("456");
  EXPECT_EQ("123\n456\n", content());
  restart();
  write("789");
  EXPECT_EQ("789\n", content());
  EXPECT_EQ(2U, names().size());
}

TEST_F(FileRotationTest, TheOldestGoWhenThereAreTooMany) {
  options_.rotation->backups_max = 2;
  for (int i = 0; i < 5; ++i) {
    write("a long line " + std::to_string(i));
    now_ += 1s;
  }
  EXPECT_EQ((std::vector<std::string>{"out-2026-01-02T03-04-08.678-size.json",
                                      "out-2026-01-02T03-04-09.678-size.json", "out.json"}),
            names());
}

TEST_F(FileRotationTest, ThoseThatAreTooOldGoAndOthersStay) {
  options_.rotation->days_max = 1;
  for (const char* name :
       {"out-2026-01-01T03-04-05.677-size.json", "out-2026-01-01T03-04-05.677.json",
        "out-2026-01-01T03-04-05.678-size.json", "out-notes.json",
        "out-2020-01-01T03-04-05.677-kept.json", "other.json"}) {
    std::ofstream(directory_.path() + "/" + name) << "x";
  }
  write("a long line");
  write("another");
  EXPECT_EQ((std::vector<std::string>{"other.json", "out-2020-01-01T03-04-05.677-kept.json",
                                      "out-2026-01-01T03-04-05.678-size.json",
                                      "out-2026-01-02T03-04-05.678-size.json", "out-notes.json",
                                      "out.json"}),
            names());
}

TEST_F(FileRotationTest, LocalTimeStandsInTheNamesIfAskedFor) {
  ::setenv("TZ", "UTC-2", 1);
  ::tzset();
  options_.rotation->local_time = true;
  write("a long line");
  write("another");
  ::unsetenv("TZ");
  ::tzset();
  EXPECT_EQ("out-2026-01-02T05-04-05.678-size.json", names()[0]);
}

TEST_F(FileExporterTest, SeveralThreadsWriteWholeMessages) {
  const auto shared = std::make_shared<FileOutput>(options_);
  {
    std::vector<std::jthread> writers;
    for (char letter = 'a'; letter < 'd'; ++letter) {
      writers.emplace_back([&, letter] {
        for (int i = 0; i < 20; ++i) shared->write(std::string(1000, letter));
      });
    }
  }
  std::ifstream in(options_.path);
  int lines = 0;
  for (std::string line; std::getline(in, line); ++lines) {
    EXPECT_EQ(line, std::string(1000, line.at(0)));
  }
  EXPECT_EQ(60, lines);
}

}  // namespace
}  // namespace holdfast
