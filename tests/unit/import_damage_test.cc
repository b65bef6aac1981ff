// Damaged files in an import directory: what is saved, what goes to quarantine, what stays.
#include "tests/support/import_fixture.h"

namespace holdfast {
namespace {

using Names = std::vector<std::string>;
constexpr std::int64_t kOldMs = 40'000;

class ImportDamageTest : public ImportFixture {};

TEST_F(ImportDamageTest, TornTailGoesToQuarantineAndWhatCameBeforeIsTaken) {
  const std::string torn = framed(request("three")).substr(0, 9);
  const std::string path = put(kOldMs, file_of({"one", "two"}) + torn);
  EXPECT_EQ(take_all(), -1);
  EXPECT_EQ(delivered(), requests({"one", "two"}));
  EXPECT_EQ(left(), Names{});
  const auto kept = quarantined();
  ASSERT_EQ(kept.size(), 1U);
  EXPECT_EQ(kept[0].bytes, torn);
  EXPECT_NE(kept[0].line.find("\"reason\":\"corrupt\""), std::string::npos) << kept[0].line;
  EXPECT_NE(kept[0].line.find(path + " at byte " + std::to_string(file_of({"one", "two"}).size()) +
                              ": the file ends inside a record"),
            std::string::npos)
      << kept[0].line;
  EXPECT_EQ(counted().failed, 1U);
  EXPECT_EQ(directories.at(0)->quarantined, 1U);
}

TEST_F(ImportDamageTest, RecordThatIsNoRequestStandsAsideAndTheOthersAreTaken) {
  const std::string bad =
      "\x0f"
      "bad";
  put(kOldMs, file_of({"one"}) + framed(bad) + framed(bad) + file_of({"two"}));
  put(kOldMs - 1, framed(bad) + file_of({"three"}));
  EXPECT_EQ(take_all(), -1);
  EXPECT_EQ(delivered(), requests({"one", "two", "three"}));
  EXPECT_EQ(left(), Names{});
  const auto kept = quarantined();
  ASSERT_EQ(kept.size(), 3U);
  for (const Quarantined& each : kept) EXPECT_EQ(each.bytes, bad);
  EXPECT_EQ(counted().accepted, 3U);
  EXPECT_EQ(counted().failed, 3U);
}

TEST_F(ImportDamageTest, FileOfGarbageCostsAFewEntriesAndIsKeptWhole) {
  std::string garbage;
  for (int i = 0; i < 10'000; ++i) garbage += "\x03\x0f\x01\x02";
  put(kOldMs, garbage);
  EXPECT_EQ(take_all(), -1);
  EXPECT_EQ(left(), Names{});
  const auto kept = quarantined();
  EXPECT_EQ(kept.size(), 8U);
  std::string bytes;
  for (const Quarantined& each : kept)
    bytes += each.bytes.size() == 3 ? framed(each.bytes) : each.bytes;
  EXPECT_EQ(bytes, garbage);
}

TEST_F(ImportDamageTest, DamageTooLargeForQuarantineIsRenamedAndNothingOfItIsLost) {
  options.folder_bytes_max = 1 << 20;
  options.quarantine_bytes_max = 128 << 10;
  const std::string bytes =
      file_of({"one"}) + reference::varint(5'000'000) + std::string(100'000, 'x');
  const std::string path = put(kOldMs, bytes);
  EXPECT_EQ(take_all(), -1);
  EXPECT_EQ(delivered(), requests({"one"}));
  ASSERT_TRUE(std::filesystem::exists(path + ".corrupt"));
  EXPECT_EQ(std::filesystem::file_size(path + ".corrupt"), bytes.size());
  EXPECT_EQ(left().size(), 1U);
  EXPECT_TRUE(quarantined().empty());
  EXPECT_EQ(take_all(), -1);
  EXPECT_EQ(delivered(), Names{}) << "it is not taken again";
}

TEST_F(ImportDamageTest, RequestWithoutItemsIsNothing) {
  put(kOldMs, framed(reference::nest(1, "")) + std::string(3, '\0') + file_of({"one"}));
  EXPECT_EQ(take_all(), -1);
  EXPECT_EQ(delivered(), requests({"one"}));
  EXPECT_TRUE(quarantined().empty());
}

TEST_F(ImportDamageTest, DamagedFileStaysUntilItsRestIsInQuarantine) {
  open_log();
  std::ofstream(options.directory + "/quarantine") << "in the way";
  put(kOldMs, file_of({"one"}) +
                  "\x05"
                  "torn");
  put(kOldMs - 1, file_of({"two"}));
  EXPECT_EQ(take_all(), 1'000);
  EXPECT_EQ(left().size(), 2U);
  std::filesystem::remove(options.directory + "/quarantine");
  clock.advance_ms(1'000);
  EXPECT_EQ(take_all(), -1);
  EXPECT_EQ(delivered(), requests({"one", "two"})) << "what was stored is not stored again";
  ASSERT_EQ(quarantined().size(), 1U);
  EXPECT_EQ(quarantined()[0].bytes,
            "\x05"
            "torn");
  EXPECT_EQ(left(), Names{});
}

}  // namespace
}  // namespace holdfast
