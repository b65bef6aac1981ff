// The quarantine's commands on files that the log's own quarantine has written, against a real
// upstream.
#include "agent/quarantine_tool.h"

#include <gtest/gtest.h>

#include <filesystem>
#include <fstream>
#include <sstream>

#include "agent/quarantine_tool_entry.h"
#include "buffer/quarantine.h"
#include "tests/support/manual_clock.h"
#include "tests/support/scripted_upstream.h"
#include "tests/support/temp_directory.h"
#include "tests/support/wire_bytes.h"

namespace holdfast {
namespace {

class QuarantineToolTest : public ::testing::Test {
 protected:
  QuarantineToolTest() : request_(reference::with_item(reference::nest(5, "span"))) {
    selection_.directory = directory_.path();
  }

  void put_aside(std::uint64_t seq, const std::string& message = "no",
                 std::uint64_t bytes_max = 1U << 20) {
    Quarantine quarantine(posix_filesystem(), clock_, directory_.path() + "/traces/quarantine",
                          bytes_max);
    ASSERT_TRUE(quarantine.open().ok());
    QuarantineEntry entry;
    entry.seq = seq;
    entry.item_count = 1;
    entry.reader = "otlp_http/edge 1";
    entry.reason = "rejected";
    entry.status = 400;
    entry.message = message;
    entry.bytes = request_;
    ASSERT_TRUE(quarantine.add(entry).ok());
  }

  std::size_t entries() const { return read_quarantine(directory_.path(), std::nullopt).size(); }

  /// Replays everything to an upstream that answers like this.
  int replay(const UpstreamReply& reply, const ReplayOptions& given = {}) {
    ScriptedUpstream upstream([&](const UpstreamRequest&) { return reply; });
    ReplayOptions options = given;
    options.endpoint = upstream.url("/");
    out_.str("");
    const int code = replay_quarantine(selection_, options, context_);
    posts_ = upstream.request_count();
    return code;
  }

  TempDirectory directory_;
  ManualClock clock_;
  std::string request_;
  QuarantineSelection selection_;
  std::ostringstream out_;
  std::ostringstream err_;
  ToolContext context_{out_, err_, {}};
  std::size_t posts_ = 0;
};

TEST_F(QuarantineToolTest, EntriesAreReadAsTheLogWroteThem) {
  put_aside(42, "it said \"no\"\n");
  const auto read = read_quarantine(directory_.path(), Signal::traces);
  ASSERT_EQ(read.size(), 1U);
  const QuarantinedFile& entry = read[0];
  EXPECT_EQ(entry.file, "00000000000000000042-000000-otlp_http%2Fedge%201.rec");
  EXPECT_EQ(entry.seq, 42U);
  EXPECT_EQ(entry.exporter, "otlp_http/edge 1");
  EXPECT_EQ(entry.message, "it said \"no\"\n");
  EXPECT_EQ(entry.status, 400);
  EXPECT_EQ(entry.unix_ms, clock_.unix_ns() / kNsPerMs);
  EXPECT_TRUE(entry.is_request());
  EXPECT_TRUE(entry.is_complete());
  const auto content = read_content(entry);
  ASSERT_TRUE(content.ok());
  EXPECT_EQ(*content, request_);
}

TEST_F(QuarantineToolTest, NothingThatAnUpstreamWroteReachesTheTerminal) {
  put_aside(1, "\x1B[2J\r\n\xFFgone");
  ASSERT_EQ(list_quarantine(selection_, false, context_), kToolOk);
  ASSERT_EQ(show_quarantine(selection_, false, context_), kToolOk);
  for (const std::string& text : {out_.str(), err_.str()}) {
    EXPECT_EQ(text.find('\x1B'), std::string::npos);
    EXPECT_EQ(text.find('\r'), std::string::npos);
    EXPECT_EQ(text.find('\xFF'), std::string::npos);
  }
  EXPECT_NE(out_.str().find("\\u001b[2J\\r\\n"), std::string::npos) << out_.str();
}

TEST_F(QuarantineToolTest, PartialSuccessLeavesTheEntry) {
  put_aside(1);
  using reference::nest;
  const std::string partial =
      nest(1, reference::tag(1, 0) + reference::varint(1) + nest(2, "one span is bad"));
  EXPECT_EQ(replay(http_answer(200, "application/x-protobuf", partial)), kToolDamage);
  EXPECT_NE(out_.str().find("took it in part, without 1 item: one span is bad"), std::string::npos)
      << out_.str();
  EXPECT_EQ(entries(), 1U);
  EXPECT_EQ(replay(otlp_ok()), kToolOk);
  EXPECT_EQ(entries(), 0U);
}

TEST_F(QuarantineToolTest, UpstreamThatIsIllIsAskedOnce) {
  for (const std::uint64_t seq : {1U, 2U, 3U}) put_aside(seq);
  EXPECT_EQ(replay(http_answer(503, "", "")), kToolDamage);
  EXPECT_EQ(posts_, 1U);
  EXPECT_EQ(replay(http_answer(400, "", "")), kToolDamage);
  EXPECT_EQ(posts_, 3U) << "what it refuses says nothing of the others";
  EXPECT_EQ(entries(), 3U);
}

TEST_F(QuarantineToolTest, CutOffEntryIsNotSent) {
  request_ = reference::with_item(reference::nest(5, std::string(100'000, 's')));
  put_aside(1, "no", 16U << 10);
  EXPECT_EQ(replay(otlp_ok()), kToolDamage);
  EXPECT_EQ(posts_, 0U);
  EXPECT_NE(out_.str().find("cut off"), std::string::npos);
  EXPECT_EQ(entries(), 1U);
}

TEST_F(QuarantineToolTest, EntryOfAnExporterThatIsNotConfiguredSaysWhatToDo) {
  put_aside(1);
  EXPECT_EQ(replay_quarantine(selection_, {}, context_), kToolDamage);
  EXPECT_NE(out_.str().find("no exporter otlp_http/edge 1: say --endpoint URL"), std::string::npos)
      << out_.str();
  ReplayOptions local;
  local.exporters.push_back({.name = "otlp_http/edge 1", .kind = ExporterConfig::Kind::debug});
  out_.str("");
  EXPECT_EQ(replay_quarantine(selection_, local, context_), kToolDamage);
  EXPECT_NE(out_.str().find("sends no traces to an upstream"), std::string::npos) << out_.str();
}

TEST_F(QuarantineToolTest, StrangersAndTemporaryFilesAreNotListed) {
  put_aside(1);
  const std::string folder = directory_.path() + "/traces/quarantine/";
  for (const char* name : {"notes.txt", "00000000000000000002-000000-up.rec.tmp"}) {
    std::ofstream(folder + name) << "x";
  }
  EXPECT_EQ(entries(), 1U);
}

}  // namespace
}  // namespace holdfast
