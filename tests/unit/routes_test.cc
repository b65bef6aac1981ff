// Several pipelines of one signal: which exporter skips which receiver, and what the configuration
// says to it.
#include "agent/routes.h"

#include <gtest/gtest.h>

#include "tests/support/config_text.h"

namespace holdfast {
namespace {

using Sources = std::vector<std::uint16_t>;

std::string crossed(const std::string& pipelines, const std::string& more = "") {
  return "receivers:\n"
         "  otlp: {protocols: {http: }}\n"
         "  otlp/edge: {protocols: {http: {endpoint: \"localhost:1\"}}}\n"
         "  otlp/ship: {protocols: {http: {endpoint: \"localhost:2\"}}}\n"
         "exporters: {nop: , nop/a: , nop/b: }\n"
         "service:\n"
         "  pipelines:\n" +
         pipelines + more;
}

const ReaderSpec* reader(const std::vector<ReaderSpec>& readers, const std::string& name) {
  for (const ReaderSpec& one : readers) {
    if (one.name == name) return &one;
  }
  return nullptr;
}

TEST(RoutesTest, NumberOfAReceiverIsAsDocumented) {
  EXPECT_EQ(source_of("otlp"), 43701);
  EXPECT_EQ(source_of("otlp/edge"), 31293);
  EXPECT_EQ(source_of("otlp/aobh"), 1);  // its checksum ends with zeros
  const Config config = load_good(receiver_config("      grpc:\n      http:\n"));
  EXPECT_EQ(config.receivers.at(0).grpc->source, source_of("otlp"));
  EXPECT_EQ(config.receivers.at(0).http->source, source_of("otlp"));
}

TEST(RoutesTest, OnePipelineSkipsNothing) {
  const Config config = load_good(minimal_config());
  ASSERT_EQ(readers_of(config, Signal::traces).size(), 1U);
  EXPECT_EQ(readers_of(config, Signal::traces)[0].name, "nop");
  EXPECT_TRUE(readers_of(config, Signal::traces)[0].skipped_sources.empty());
  EXPECT_FALSE(readers_of(config, Signal::traces)[0].starts_at_newest);
  EXPECT_TRUE(readers_of(config, Signal::logs).empty());
}

TEST(RoutesTest, ExporterSkipsWhatOnlyOtherPipelinesOfTheSignalTake) {
  const Config config =
      load_good(crossed("    traces: {receivers: [otlp, otlp/edge], exporters: [nop, nop/a]}\n"
                        "    traces/2: {receivers: [otlp/edge], exporters: [nop/b]}\n"
                        "    traces/3: {receivers: [otlp/ship], exporters: [nop/b, nop/a]}\n"
                        "    logs: {receivers: [otlp/ship], exporters: [nop]}\n"));
  EXPECT_TRUE(config.warnings.empty());
  const auto traces = readers_of(config, Signal::traces);
  ASSERT_EQ(traces.size(), 3U);  // once each, however many pipelines name them
  EXPECT_EQ(reader(traces, "nop")->skipped_sources, Sources({source_of("otlp/ship")}));
  EXPECT_EQ(reader(traces, "nop/a")->skipped_sources, Sources());
  EXPECT_EQ(reader(traces, "nop/b")->skipped_sources, Sources({source_of("otlp")}));
  const auto logs = readers_of(config, Signal::logs);
  ASSERT_EQ(logs.size(), 1U);  // receivers that no pipeline of the signal names are not skipped
  EXPECT_EQ(logs[0].skipped_sources, Sources());
}

TEST(RoutesTest, NewExportersStartWhereTheConfigurationSays) {
  for (const bool newest : {false, true}) {
    const Config config = load_good(buffer_config(std::string("    new_exporters_start: ") +
                                                  (newest ? "newest\n" : "oldest\n")));
    EXPECT_EQ(readers_of(config, Signal::traces).at(0).starts_at_newest, newest);
  }
}

TEST(RoutesTest, BatchOfTheFirstPipelineThatNamesAnExporterCounts) {
  const std::string pipelines =
      "    traces: {receivers: [otlp], processors: [batch], exporters: [nop]}\n"
      "    traces/2: {receivers: [otlp/edge], processors: [batch/2], exporters: [nop, nop/a]}\n"
      "    traces/3: {receivers: [otlp/edge], processors: [batch/3], exporters: [nop]}\n"
      "    traces/4: {receivers: [otlp/edge], exporters: [nop]}\n";
  const std::string processors =
      "processors:\n"
      "  batch: {send_batch_size: 100}\n"
      "  batch/2: {send_batch_size: 200}\n"
      "  batch/3: {send_batch_size: 100}\n";
  const Config config = load_good(crossed(pipelines, processors));
  EXPECT_EQ(pipeline_of(config, Signal::traces, "nop")->batch.items_target, 100U);
  EXPECT_EQ(pipeline_of(config, Signal::traces, "nop/a")->batch.items_target, 200U);
  EXPECT_EQ(pipeline_of(config, Signal::traces, "nop/b"), nullptr);
  ASSERT_EQ(config.warnings.size(), 1U);
  EXPECT_EQ(config.warnings[0],
            "yaml:9:53: service::pipelines::traces/2: this batch processor does not count for "
            "exporter \"nop\": that of pipeline \"traces\" does, which names it first");
}

TEST(RoutesTest, ReceiversThatCannotBeToldApartAreRefused) {
  EXPECT_EQ(errors_of("receivers:\n"
                      "  otlp/ainh: {protocols: {http: }}\n"
                      "  otlp/apaa: {protocols: {grpc: }}\n"
                      "exporters: {nop: }\n"
                      "service:\n"
                      "  pipelines: {logs: {receivers: [otlp/ainh, otlp/apaa], exporters: "
                      "[nop]}}\n"),
            Lines({"yaml:3:3: receivers::otlp/apaa: cannot be told from receiver "
                   "\"otlp/ainh\" in the buffer (give one of them another name)"}));
}

}  // namespace
}  // namespace holdfast
