// The walker against protobuf's parser and the Collector's rules.
#include <gtest/gtest.h>

#include <algorithm>
#include <map>
#include <string>
#include <utility>
#include <vector>

#include "agent/wire_walker.h"
#include "agent/wire_walker_tables.h"
#include "tests/support/payloads.h"
#include "tests/support/walker_check.h"
#include "tests/support/wire_bytes.h"

namespace holdfast {
namespace {

using namespace reference;  // NOLINT(google-build-using-namespace)

std::uint32_t count_items(Signal signal, std::string_view bytes) {
  const auto request = reference::new_request(signal);
  EXPECT_TRUE(request->ParseFromArray(bytes.data(), static_cast<int>(bytes.size())));
  return reference::CollectorDecoder::judge(signal, bytes).items;
}

TEST(WireWalker, TablesHaveEveryFieldOfTheDescriptors) {
  std::map<wire::Message, const google::protobuf::Descriptor*> reached;
  std::vector<std::pair<wire::Message, const google::protobuf::Descriptor*>> open = {
      {wire::Message::export_traces, reference::new_request(Signal::traces)->GetDescriptor()},
      {wire::Message::export_metrics, reference::new_request(Signal::metrics)->GetDescriptor()},
      {wire::Message::export_logs, reference::new_request(Signal::logs)->GetDescriptor()},
      {wire::Message::export_profiles, reference::new_request(Signal::profiles)->GetDescriptor()}};
  while (!open.empty()) {
    const auto [type, descriptor] = open.back();
    open.pop_back();
    if (!reached.emplace(type, descriptor).second) continue;
    std::size_t known = 0;
    for (const wire::FieldRule& rule : wire::rules_of(type)) {
      if (rule.form == wire::Form::old_scopes) continue;
      const auto* const field = descriptor->FindFieldByNumber(static_cast<int>(rule.number));
      ASSERT_NE(field, nullptr) << descriptor->full_name() << " " << rule.name;
      ++known;
      EXPECT_EQ(rule.form == wire::Form::text,
                field->type() == google::protobuf::FieldDescriptor::TYPE_STRING)
          << field->full_name();
      ASSERT_EQ(rule.child != wire::Message::none, field->message_type() != nullptr)
          << field->full_name();
      if (field->message_type() != nullptr) open.emplace_back(rule.child, field->message_type());
    }
    EXPECT_EQ(known, static_cast<std::size_t>(descriptor->field_count()))
        << descriptor->full_name();
  }
  EXPECT_EQ(reached.size(), wire::kMessageCount);
}

// Each field that any message has, and some that none has, in every wire type and with contents of
// every kind of length, where it would stand in a request.
TEST(WireWalker, EveryFieldInEveryWireTypeIsJudgedAsTheReferencesDo) {
  struct Place {
    wire::Message type;
    Signal signal;
    std::vector<std::uint32_t> path;
  };
  std::vector<Place> places = {{wire::Message::export_traces, Signal::traces, {}},
                               {wire::Message::export_metrics, Signal::metrics, {}},
                               {wire::Message::export_logs, Signal::logs, {}},
                               {wire::Message::export_profiles, Signal::profiles, {}}};
  for (std::size_t i = 0; i < places.size(); ++i) {
    for (const wire::FieldRule& rule : wire::rules_of(places[i].type)) {
      if (rule.child == wire::Message::none) continue;
      const auto same = [&](const Place& place) {
        return place.type == rule.child && place.signal == places[i].signal;
      };
      if (std::any_of(places.begin(), places.end(), same)) continue;
      Place inner{rule.child, places[i].signal, places[i].path};
      inner.path.push_back(rule.number);
      places.push_back(inner);
    }
  }
  std::vector<std::string> contents = {"",
                                       std::string("\x00", 1),
                                       "\x01\x01",
                                       "\x08\x01\x08\x01",
                                       "\xFF\xFF",
                                       std::string(8, '\x08'),
                                       std::string(9, '\xFF'),
                                       std::string(16, '\x08'),
                                       std::string(11, '\x80')};
  std::size_t judged = 0;
  for (const Place& place : places) {
    for (const std::uint32_t number :
         {0U,  1U,  2U,  3U,  4U,  5U,  6U,  7U,  8U,    9U,    10U,
          11U, 12U, 13U, 14U, 15U, 16U, 17U, 18U, 1000U, 2000U, (1U << 29) - 1}) {
      for (std::uint32_t wire_type = 0; wire_type < 8; ++wire_type) {
        for (const std::string& content : contents) {
          const bool with_length = wire_type == wire::kLength;
          std::string bytes =
              tag(number, wire_type) + (with_length ? varint(content.size()) : "") + content;
          for (auto step = place.path.rbegin(); step != place.path.rend(); ++step) {
            bytes = nest(*step, bytes);
          }
          ++judged;
          ASSERT_EQ(broken_promise(place.signal, bytes), "")
              << wire::rules_of(place.type).front().name << "… field " << number << " wire type "
              << wire_type << " content of " << content.size();
        }
      }
    }
  }
  EXPECT_GT(judged, 50'000U);
}

TEST(WireWalker, RealPayloadsPassWithTheirItemsCounted) {
  const std::vector<Payload> payloads = real_payloads();
  ASSERT_GE(payloads.size(), 40U);
  std::uint32_t items[kSignalCount] = {};
  for (const Payload& payload : payloads) {
    const WalkResult walked = walk_export_request(payload.signal, payload.bytes);
    EXPECT_TRUE(walked.ok()) << payload.name << ": " << describe(walked);
    EXPECT_EQ(walked.items, count_items(payload.signal, payload.bytes)) << payload.name;
    EXPECT_EQ(walked.invalid_utf8, 0U) << payload.name;
    items[index_of(payload.signal)] += walked.items;
  }
  for (const std::uint32_t count : items) EXPECT_GT(count, 0U);
}

TEST(WireWalker, RealPayloadCutAtAnyByteIsJudgedAsTheReferencesDo) {
  for (const Payload& payload : real_payloads()) {
    for (std::size_t length = 0; length < payload.bytes.size(); ++length) {
      const std::string_view cut = std::string_view(payload.bytes).substr(0, length);
      ASSERT_EQ(broken_promise(payload.signal, cut), "") << payload.name << " cut at " << length;
      ASSERT_EQ(walk_export_request(payload.signal, cut).ok(),
                reference::protobuf_parses_any_text(payload.signal, cut))
          << payload.name << " cut at " << length;
    }
  }
}

// What may differ from protobuf is spelled out in broken_promise(): ids of a wrong length, known
// fields in a wrong wire type, groups, strings that are not UTF-8.
TEST(WireWalker, RealPayloadWithAnyBitFlippedIsJudgedAsTheReferencesDo) {
  std::size_t accepted = 0;
  std::size_t refused = 0;
  for (const Payload& payload : real_payloads()) {
    if (payload.name.find("grpc-1") == std::string::npos) continue;
    std::string bytes = payload.bytes;
    for (std::size_t at = 0; at < bytes.size(); ++at) {
      for (int bit = 0; bit < 8; ++bit) {
        bytes[at] = static_cast<char>(bytes[at] ^ (1 << bit));
        ASSERT_EQ(broken_promise(payload.signal, bytes), "")
            << payload.name << " byte " << at << " bit " << bit;
        ++(walk_export_request(payload.signal, bytes).ok() ? accepted : refused);
        bytes[at] = payload.bytes[at];
      }
    }
  }
  EXPECT_GT(accepted, 1000U);
  EXPECT_GT(refused, 1000U);
}

TEST(WireWalker, PlantedMistakesAreNoticed) {
  const auto judge_cuts_and_flips = [](const reference::Walk& walk) {
    const std::string good =
        with_item(nest(1, std::string(16, 'i')) + nest(2, "12345678") + attribute(9, "k", "v"));
    for (std::size_t at = 0; at < good.size(); ++at) {
      for (int bit = 0; bit < 8; ++bit) {
        std::string bytes = good;
        bytes[at] = static_cast<char>(bytes[at] ^ (1 << bit));
        if (!broken_promise(Signal::traces, bytes, walk).empty()) return true;
        if (!broken_promise(Signal::traces, bytes.substr(0, at), walk).empty()) return true;
      }
    }
    return false;
  };
  EXPECT_FALSE(judge_cuts_and_flips(walk_export_request));
  for (const WalkError forgiven :
       {WalkError::truncated, WalkError::bad_wire_type, WalkError::bad_field_number,
        WalkError::illegal_wire_type, WalkError::bad_trace_id, WalkError::bad_span_id}) {
    EXPECT_TRUE(judge_cuts_and_flips([&](Signal signal, std::string_view bytes) {
      WalkResult result = walk_export_request(signal, bytes);
      if (result.error == forgiven) result = {};
      return result;
    })) << static_cast<int>(forgiven);
  }
  EXPECT_TRUE(judge_cuts_and_flips([](Signal signal, std::string_view bytes) {
    WalkResult result = walk_export_request(signal, bytes);
    result.invalid_utf8 = 0;
    return result;
  }));
  EXPECT_TRUE(judge_cuts_and_flips([](Signal signal, std::string_view bytes) {
    WalkResult result = walk_export_request(signal, bytes);
    if (result.ok()) ++result.items;
    return result;
  }));
  EXPECT_TRUE(judge_cuts_and_flips([](Signal, std::string_view) {
    WalkResult result;
    result.error = WalkError::truncated;
    return result;
  }));
}

}  // namespace
}  // namespace holdfast
