#include "agent/wire_walker.h"

#include <gtest/gtest.h>

#include <string>
#include <vector>

#include "tests/support/payloads.h"
#include "tests/support/walker_check.h"
#include "tests/support/wire_bytes.h"

namespace holdfast {
namespace {

using namespace reference;  // NOLINT(google-build-using-namespace)

struct ErrorCase {
  const char* name;
  Signal signal;
  std::string bytes;
  WalkError error;
  std::string text;
  std::size_t offset;
};

std::vector<ErrorCase> error_cases() {
  const std::string zero(1, '\0');
  return {
      {"length beyond the end", Signal::traces, "\x0A\x05", WalkError::truncated, "unexpected EOF",
       2},
      {"tag cut short", Signal::logs, "\x80", WalkError::truncated, "unexpected EOF", 1},
      {"fixed64 cut short", Signal::logs, with_item("\x09\x01\x02"), WalkError::truncated,
       "unexpected EOF", 7},
      {"fixed32 cut short", Signal::logs, with_item("\x45\x01"), WalkError::truncated,
       "unexpected EOF", 7},
      {"eleven bytes of varint", Signal::logs, with_item("\x10" + std::string(11, '\xFF')),
       WalkError::bad_varint, "proto: integer overflow", 7},
      {"negative length", Signal::traces, "\x0A" + std::string(9, '\xFF') + "\x01",
       WalkError::bad_length, "proto: negative length found during unmarshaling", 1},
      {"length in six bytes", Signal::traces, "\x0A\x80\x80\x80\x80\x80" + zero,
       WalkError::long_length, "proto: length of more than five bytes", 1},
      {"tag in six bytes", Signal::traces, "\x8A\x80\x80\x80\x80" + zero + zero,
       WalkError::long_tag, "proto: tag of more than 32 bits", 0},
      {"tag of 33 bits", Signal::traces, "\x88\x80\x80\x80\x10" + zero, WalkError::long_tag,
       "proto: tag of more than 32 bits", 0},
      {"field number 0", Signal::traces, "\x02" + zero, WalkError::bad_field_number,
       "proto: Link: illegal field=0 (tag=2, pos=1)", 0},
      {"known field as a group", Signal::traces, "\x0B\x0C", WalkError::bad_wire_type,
       "proto: wrong wireType = 3 for field ResourceSpans", 1},
      {"known field as a varint", Signal::metrics, "\x08\x01", WalkError::bad_wire_type,
       "proto: wrong wireType = 0 for field ResourceMetrics", 1},
      {"scalar in packed form", Signal::traces, with_item(nest(6, "\x01")),
       WalkError::bad_wire_type, "proto: wrong wireType = 2 for field Kind", 7},
      {"unknown field of wire type 6", Signal::traces, "\x7E\x01", WalkError::illegal_wire_type,
       "proto: illegal wireType 6", 1},
      {"end of a group that never began", Signal::traces, "\x7C\x01", WalkError::bad_group,
       "proto: unexpected end of group", 1},
      {"packed doubles of nine bytes", Signal::metrics,
       with_item(nest(9, nest(1, nest(7, std::string(9, 'd'))))), WalkError::bad_packed_length,
       "proto: invalid field len = 1 for field ExplicitBounds", 12},
      {"trace id of 15 bytes", Signal::traces, with_item(nest(1, std::string(15, 't'))),
       WalkError::bad_trace_id, "unmarshal: invalid TraceID length", 8},
      {"span id of 9 bytes", Signal::traces, with_item(nest(2, std::string(9, 's'))),
       WalkError::bad_span_id, "unmarshal: invalid SpanID length", 8},
      {"parent span id of 1 byte", Signal::traces, with_item(nest(4, "s")), WalkError::bad_span_id,
       "unmarshal: invalid SpanID length", 8},
      {"trace id of a link", Signal::traces, with_item(nest(13, nest(1, "t"))),
       WalkError::bad_trace_id, "unmarshal: invalid TraceID length", 10},
      {"span id of a log record", Signal::logs, with_item(nest(10, "s")), WalkError::bad_span_id,
       "unmarshal: invalid SpanID length", 8},
      {"profile id of 4 bytes", Signal::profiles, with_item(nest(7, "four")),
       WalkError::bad_profile_id, "unmarshal: invalid ProfileID length", 8},
      {"span id of a profile's link", Signal::profiles, nest(2, nest(4, nest(2, "s"))),
       WalkError::bad_span_id, "unmarshal: invalid SpanID length", 6},
      {"dictionary as a varint", Signal::profiles, "\x10\x01", WalkError::bad_wire_type,
       "proto: wrong wireType = 0 for field Dictionary", 1},
      {"trace id of an exemplar", Signal::metrics,
       with_item(nest(5, nest(1, nest(5, nest(5, "t"))))), WalkError::bad_trace_id,
       "unmarshal: invalid TraceID length", 14},
  };
}

TEST(WireWalker, EveryErrorHasItsPlaceAndTheCollectorsWords) {
  for (const ErrorCase& bad : error_cases()) {
    const WalkResult walked = walk_export_request(bad.signal, bad.bytes);
    EXPECT_EQ(walked.error, bad.error) << bad.name;
    EXPECT_EQ(describe(walked), bad.text) << bad.name;
    EXPECT_EQ(walked.offset, bad.offset) << bad.name;
    EXPECT_EQ(broken_promise(bad.signal, bad.bytes), "") << bad.name;
  }
}

TEST(WireWalker, HugeLengthsAreRefusedWithoutReadingOutside) {
  for (const std::uint64_t length :
       {std::uint64_t{127}, std::uint64_t{128}, std::uint64_t{INT32_MAX} - 16,
        std::uint64_t{INT32_MAX}, std::uint64_t{UINT32_MAX}, std::uint64_t{1} << 35,
        std::uint64_t{INT64_MAX}, std::uint64_t{INT64_MAX} + 1, UINT64_MAX}) {
    const std::string bytes = with_item("") + "\x0A" + varint(length) + "short";
    EXPECT_FALSE(walk_export_request(Signal::traces, bytes).ok()) << length;
    EXPECT_EQ(broken_promise(Signal::traces, bytes), "") << length;
  }
}

/// A log record's body of `levels` nested arrays, which are two messages each.
std::string nested_body(int levels) {
  std::string value;
  for (int i = 0; i < levels; ++i) value = nest(5, nest(1, value));
  return with_item(nest(5, value));
}

TEST(WireWalker, HundredLevelsPassAndOneMoreDoesNot) {
  // Request, resource, scope, record, body: four levels below the request, then two an array.
  for (int arrays = 45; arrays <= 52; ++arrays) {
    const std::string bytes = nested_body(arrays);
    const std::string odd = with_item(nest(5, nest(6, nest(1, nest(2, nested_body(0))))));
    EXPECT_EQ(broken_promise(Signal::logs, bytes), "") << arrays;
    EXPECT_EQ(broken_promise(Signal::logs, odd), "") << arrays;
    EXPECT_EQ(walk_export_request(Signal::logs, bytes).ok(), 4 + 2 * arrays <= 100) << arrays;
  }
  EXPECT_EQ(walk_export_request(Signal::logs, nested_body(49)).error, WalkError::too_deep);
  EXPECT_EQ(walk_export_request(Signal::logs, nested_body(20'000)).error, WalkError::too_deep);
}

TEST(WireWalker, AttributesAtTheDeepestLevelsAreJudgedAsProtobufDoes) {
  for (int arrays = 44; arrays <= 50; ++arrays) {
    std::string value = nest(6, attribute(1, "key", "text"));  // kvlist, KeyValue, AnyValue
    for (int i = 0; i < arrays; ++i) value = nest(5, nest(1, value));
    const std::string bytes = with_item(nest(5, value));
    EXPECT_EQ(broken_promise(Signal::logs, bytes), "") << arrays;
    EXPECT_EQ(walk_export_request(Signal::logs, bytes).ok(), 4 + 2 * arrays + 3 <= 100) << arrays;
  }
}

TEST(WireWalker, DataPointsOfAllFiveKindsCount) {
  const std::string point = fixed64(3);
  const std::string two = nest(1, point) + nest(1, point);
  const std::string metric = nest(1, "name") + nest(5, two);
  const std::string request = nest(
      1, nest(2, nest(2, metric) + nest(2, nest(7, two)) + nest(2, nest(9, two)) +
                     nest(2, nest(10, two)) + nest(2, nest(11, two)) + nest(2, nest(1, "none"))));
  const WalkResult walked = walk_export_request(Signal::metrics, request);
  ASSERT_TRUE(walked.ok()) << describe(walked);
  EXPECT_EQ(walked.items, 10U);
  EXPECT_EQ(broken_promise(Signal::metrics, request), "");
}

// As the Collector counts: samples, not profiles, and nothing of the dictionary.
TEST(WireWalker, SamplesOfAllProfilesCount) {
  const std::string two = nest(2, "") + nest(2, nest(4, "\x01\x02"));
  const std::string dictionary =
      nest(2, nest(5, "") + nest(2, nest(3, "")) + nest(6, nest(2, nest(1, "text"))));
  const std::string request = dictionary + with_item(two) + with_item(two + nest(2, "")) +
                              with_item(nest(7, std::string(16, 'p'))) + dictionary;
  const WalkResult walked = walk_export_request(Signal::profiles, request);
  ASSERT_TRUE(walked.ok()) << describe(walked);
  EXPECT_EQ(walked.items, 5U);
  EXPECT_EQ(broken_promise(Signal::profiles, request), "");
  EXPECT_EQ(walk_export_request(Signal::profiles, dictionary).items, 0U);
}

// Profiles never had scopes in field 1000.
TEST(WireWalker, Field1000OfProfilesIsUnknown) {
  const std::string request = nest(1, nest(1000, nest(2, nest(2, ""))));
  EXPECT_EQ(walk_export_request(Signal::profiles, request).items, 0U);
  EXPECT_EQ(broken_promise(Signal::profiles, request), "");
}

TEST(WireWalker, EmptyRequestsAndEmptyItemsPass) {
  for (const Signal signal : kSignals) {
    EXPECT_TRUE(walk_export_request(signal, "").ok());
    EXPECT_EQ(walk_export_request(signal, "").items, 0U);
    EXPECT_EQ(walk_export_request(signal, nest(1, "")).items, 0U);
  }
  EXPECT_EQ(walk_export_request(Signal::traces, with_item("")).items, 1U);
  EXPECT_EQ(walk_export_request(Signal::logs, with_item("")).items, 1U);
}

TEST(WireWalker, ConcatenatedRequestsAreOneRequest) {
  std::string all;
  std::uint32_t items = 0;
  for (const Payload& payload : real_payloads()) {
    if (payload.signal != Signal::traces) continue;
    all += payload.bytes;
    items += walk_export_request(payload.signal, payload.bytes).items;
  }
  EXPECT_EQ(walk_export_request(Signal::traces, all).items, items);
  EXPECT_EQ(broken_promise(Signal::traces, all), "");
}

// Before OTLP 0.9 scopes stood in field 1000; the Collector reads them where no others are.
TEST(WireWalker, OldScopesCountOnlyWhereThereAreNoOthers) {
  const std::string scopes = nest(2, "") + nest(2, "");
  const std::string old_only = nest(1, nest(1000, scopes));
  const std::string both = nest(1, nest(1000, scopes) + nest(2, nest(2, "")) + nest(1, ""));
  const std::string both_reversed = nest(1, nest(2, "") + nest(1000, scopes));
  EXPECT_EQ(walk_export_request(Signal::traces, old_only).items, 2U);
  EXPECT_EQ(walk_export_request(Signal::traces, both).items, 1U);
  EXPECT_EQ(walk_export_request(Signal::traces, both_reversed).items, 0U);
  EXPECT_EQ(walk_export_request(Signal::logs, both + old_only + old_only).items, 5U);
  for (const std::string& bytes : {old_only, both, both_reversed, both + old_only}) {
    EXPECT_EQ(broken_promise(Signal::traces, bytes), "");
    EXPECT_EQ(broken_promise(Signal::logs, bytes), "");
  }
  EXPECT_EQ(walk_export_request(Signal::traces, nest(1, nest(1000, nest(2, nest(1, "t"))))).error,
            WalkError::bad_trace_id);
}

TEST(WireWalker, GroupsPassOnlyWhereBothReferencesTakeThem) {
  const std::string group = tag(100, 3) + tag(100, 4);
  const std::string nested = tag(100, 3) + group + tag(101, 3) + tag(101, 4) + tag(100, 4);
  const std::string filled = tag(100, 3) + "\x08\x01" + tag(100, 4);
  const std::string crossed = tag(100, 3) + tag(101, 4);
  std::string deep;
  for (int i = 0; i < 101; ++i) deep = tag(100, 3) + deep + tag(100, 4);
  const std::string more = nest(1, "");
  EXPECT_TRUE(walk_export_request(Signal::traces, group + more).ok());
  EXPECT_TRUE(walk_export_request(Signal::traces, nested + more).ok());
  EXPECT_FALSE(walk_export_request(Signal::traces, group).ok());
  EXPECT_FALSE(walk_export_request(Signal::traces, filled + more).ok());
  EXPECT_FALSE(walk_export_request(Signal::traces, crossed + more).ok());
  EXPECT_EQ(walk_export_request(Signal::traces, deep + more).error, WalkError::too_deep);
  for (const std::string& bytes : {group, nested, filled, crossed, deep, tag(100, 3)}) {
    EXPECT_EQ(broken_promise(Signal::traces, bytes), "");
    EXPECT_EQ(broken_promise(Signal::traces, bytes + more), "");
  }
}

TEST(WireWalker, TextThatIsNotUtf8IsTakenAndCounted) {
  const std::string bad[] = {"\x80",
                             "\xC0\x80",
                             "\xC3",
                             "\xE0\x80\x80",
                             "\xED\xA0\x80",
                             "\xE2\x82",
                             "\xF0\x80\x80\x80",
                             "\xF4\x90\x80\x80",
                             "\xF5\x80\x80\x80",
                             "\xFF"};
  const std::string good[] = {"\xC2\x80",          "\xE0\xA0\x80",     "\xED\x9F\xBF",
                              "\xEF\xBF\xBF",      "\xF0\x90\x80\x80", "\xF4\x8F\xBF\xBF",
                              std::string(1, '\0')};
  const auto judge = [](const std::string& text, std::uint32_t expected) {
    // A name, a key, a value of the short form, and a value that needs the general walk.
    const std::string requests[] = {with_item(nest(5, text)), with_item(attribute(9, text, "v")),
                                    with_item(attribute(9, "k", text)),
                                    with_item(nest(9, nest(2, nest(1, text)) + nest(1, "k")))};
    for (const std::string& request : requests) {
      const WalkResult walked = walk_export_request(Signal::traces, request);
      ASSERT_TRUE(walked.ok());
      ASSERT_EQ(walked.invalid_utf8, expected) << testing::PrintToString(text);
      ASSERT_EQ(broken_promise(Signal::traces, request), "");
    }
  };
  // Every place within the words that are looked at as a whole.
  for (std::size_t before = 0; before < 40; ++before) {
    for (std::size_t after : {0, 1, 2, 3, 7, 8, 33}) {
      for (const std::string& text : bad) {
        judge(std::string(before, 'a') + text + std::string(after, 'z'), 1);
      }
      for (const std::string& text : good) {
        judge(std::string(before, 'a') + text + std::string(after, 'z'), 0);
      }
    }
  }
  const std::string bytes_value = with_item(nest(9, nest(1, "k") + nest(2, nest(7, "\xFF"))));
  EXPECT_EQ(walk_export_request(Signal::traces, bytes_value).invalid_utf8, 0U);
  const std::string unknown = with_item(nest(500, "\xFF"));
  EXPECT_EQ(walk_export_request(Signal::traces, unknown).invalid_utf8, 0U);
}

TEST(WireWalker, LongAttributesAndLongVarintsTakeTheGeneralWalk) {
  for (const std::size_t length : {126U, 127U, 128U, 129U, 300U, 70'000U}) {
    const std::string text(length, 'x');
    for (const std::string& request :
         {with_item(attribute(9, text, "v")), with_item(attribute(9, "k", text))}) {
      EXPECT_TRUE(walk_export_request(Signal::traces, request).ok()) << length;
      EXPECT_EQ(broken_promise(Signal::traces, request), "") << length;
    }
  }
  for (std::size_t bytes = 1; bytes <= 12; ++bytes) {
    for (const std::string& end : {std::string("\x01"), std::string("\x7F"), std::string()}) {
      const std::string number = std::string(bytes - 1, '\x80') + end;
      const std::string request =
          with_item(nest(9, nest(1, "k") + nest(2, tag(3, wire::kVarint) + number)));
      EXPECT_EQ(broken_promise(Signal::traces, request), "") << bytes;
    }
  }
}

}  // namespace
}  // namespace holdfast
