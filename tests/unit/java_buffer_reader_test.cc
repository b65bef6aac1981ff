#include "agent/java_buffer_reader.h"

#include <fcntl.h>
#include <gtest/gtest.h>
#include <sys/mman.h>
#include <unistd.h>

#include <vector>

#include "agent/wire_walker.h"
#include "tests/support/java_files.h"
#include "tests/support/wire_bytes.h"

namespace holdfast {
namespace {

using Next = JavaBufferReader::Next;

/// A file that has a descriptor only.
class Content {
 public:
  explicit Content(const std::string& bytes) : descriptor_(::memfd_create("java", MFD_CLOEXEC)) {
    EXPECT_EQ(::pwrite(descriptor_, bytes.data(), bytes.size(), 0),
              static_cast<ssize_t>(bytes.size()));
  }
  ~Content() { ::close(descriptor_); }
  Content(const Content&) = delete;
  Content& operator=(const Content&) = delete;
  int descriptor() const { return descriptor_; }

 private:
  const int descriptor_;
};

struct Whole {
  std::vector<std::string> records;
  Next ending = Next::record;
  std::string why;
  std::string tail;
};

Whole read_whole(const std::string& bytes, std::uint64_t from = 0) {
  const Content content(bytes);
  JavaBufferReader reader(content.descriptor(), from);
  Whole whole;
  for (;;) {
    const auto next = reader.next();
    if (!next) {
      ADD_FAILURE() << next.error().message;
      return whole;
    }
    whole.ending = *next;
    if (*next == Next::record) {
      whole.records.emplace_back(*reader.record());
      continue;
    }
    if (*next == Next::torn) {
      whole.why = reader.why();
      whole.tail = *reader.tail(1 << 20);
    }
    return whole;
  }
}

std::string framed(const std::string& record) { return reference::varint(record.size()) + record; }

TEST(JavaBufferReaderTest, GoldenFilesHoldWholeRequests) {
  std::size_t records = 0;
  for (const reference::JavaFile& file : reference::golden_java_files()) {
    const Whole whole = read_whole(file.bytes);
    EXPECT_EQ(whole.ending, Next::end) << file.name;
    for (const std::string& record : whole.records) {
      const WalkResult walked = walk_export_request(file.signal, record);
      EXPECT_TRUE(walked.ok()) << file.name << ": " << describe(walked);
      EXPECT_GT(walked.items, 0U) << file.name;
    }
    records += whole.records.size();
  }
  EXPECT_EQ(records, 13U);
}

TEST(JavaBufferReaderTest, FileCutAtAnyByteGivesTheRecordsBeforeTheCut) {
  for (const reference::JavaFile& file : reference::golden_java_files()) {
    const Whole all = read_whole(file.bytes);
    for (std::size_t cut = 0; cut < file.bytes.size(); ++cut) {
      const Whole whole = read_whole(file.bytes.substr(0, cut));
      std::size_t end = 0;
      std::size_t wanted = 0;
      while (wanted < all.records.size() && end + framed(all.records[wanted]).size() <= cut) {
        end += framed(all.records[wanted++]).size();
      }
      ASSERT_EQ(whole.records.size(), wanted) << file.name << " cut at " << cut;
      ASSERT_EQ(whole.ending, cut == end ? Next::end : Next::torn) << file.name << " at " << cut;
      ASSERT_EQ(whole.tail, file.bytes.substr(end, cut - end)) << file.name << " cut at " << cut;
    }
  }
}

TEST(JavaBufferReaderTest, EmptyFileEndsAtOnce) {
  const Whole whole = read_whole("");
  EXPECT_EQ(whole.ending, Next::end);
  EXPECT_TRUE(whole.records.empty());
}

TEST(JavaBufferReaderTest, RecordsOfAnySizeAreReadWhole) {
  std::vector<std::string> records;
  std::string bytes;
  for (const std::size_t size :
       {1U, 127U, 128U, 65'535U, 65'536U, 65'537U, 300'000U, 5U << 20, 9U}) {
    records.emplace_back(size, static_cast<char>('a' + records.size()));
    bytes += framed(records.back());
  }
  const Whole whole = read_whole(bytes);
  EXPECT_EQ(whole.ending, Next::end);
  EXPECT_TRUE(whole.records == records);
}

TEST(JavaBufferReaderTest, LengthThatTheFileDoesNotHoldIsTorn) {
  for (const std::size_t claimed : {5U, 70'000U, 64U << 20}) {
    const Whole whole = read_whole(framed("good") + reference::varint(claimed) + "four");
    EXPECT_EQ(whole.records, std::vector<std::string>{"good"});
    EXPECT_EQ(whole.ending, Next::torn);
    EXPECT_EQ(whole.why, "the file ends inside a record");
    EXPECT_EQ(whole.tail, reference::varint(claimed) + "four");
  }
}

TEST(JavaBufferReaderTest, LengthOfMoreThan64MiBIsTornWhateverTheFileHolds) {
  const Content content(reference::varint(JavaBufferReader::kRecordBytesMax + 1) + "x");
  ASSERT_EQ(::ftruncate(content.descriptor(), 200LL << 20), 0);  // sparse
  JavaBufferReader reader(content.descriptor());
  EXPECT_EQ(*reader.next(), Next::torn);
  EXPECT_EQ(reader.why(), "a record claims more than 64 MiB");
  EXPECT_EQ(reader.offset(), 0U);
}

TEST(JavaBufferReaderTest, LengthWithoutAnEndIsTorn) {
  const Whole whole = read_whole(framed("good") + std::string(10, '\xff'));
  EXPECT_EQ(whole.ending, Next::torn);
  EXPECT_EQ(whole.why, "the length of a record is no length");
  EXPECT_EQ(whole.tail, std::string(10, '\xff'));
  EXPECT_EQ(read_whole("\xff\xff").why, "the file ends inside a length");
}

TEST(JavaBufferReaderTest, EmptyRecordsAreSteppedOverHoweverManyTheyAre) {
  const std::string zeros(1 << 20, '\0');
  const Whole whole = read_whole(zeros + framed("a") + std::string(3, '\0') + framed("b") + zeros);
  EXPECT_EQ(whole.ending, Next::end);
  EXPECT_EQ(whole.records, (std::vector<std::string>{"a", "b"}));
}

TEST(JavaBufferReaderTest, EmptyRecordWhoseLengthTakesSeveralBytesIsSteppedOver) {
  const std::string zero("\x80\x80\x00", 3);
  const Whole whole = read_whole(zero + framed("a") + zero + zero);
  EXPECT_EQ(whole.ending, Next::end);
  EXPECT_EQ(whole.records, std::vector<std::string>{"a"});
}

TEST(JavaBufferReaderTest, ReadingGoesOnAtAnOffset) {
  const std::string bytes = framed("first") + framed("second") + framed("third");
  const Whole whole = read_whole(bytes, framed("first").size());
  EXPECT_EQ(whole.records, (std::vector<std::string>{"second", "third"}));
}

TEST(JavaBufferReaderTest, FileThatIsCutWhileItIsReadGivesAShortRecord) {
  const Content content(framed(std::string(100'000, 'x')));
  JavaBufferReader reader(content.descriptor());
  ASSERT_EQ(*reader.next(), Next::record);
  ASSERT_EQ(::ftruncate(content.descriptor(), 50'000), 0);
  EXPECT_LT(reader.record()->size(), reader.record_length());
}

TEST(JavaBufferReaderTest, ReadErrorIsAnErrorAndNoEnd) {
  JavaBufferReader reader(-1);
  EXPECT_FALSE(reader.next().ok());
}

}  // namespace
}  // namespace holdfast
