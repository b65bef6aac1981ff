// service::telemetry: metrics, resource.
#include <gtest/gtest.h>

#include "tests/support/config_text.h"

namespace holdfast {
namespace {

ConfigSources with_telemetry(const std::string& yaml) {
  ConfigSources sources = sources_of(minimal_config());
  sources.sets = {{"service::telemetry", yaml}};
  return sources;
}

TelemetryConfig telemetry_of(const std::string& yaml) {
  const Config config = load_good(with_telemetry(yaml));
  EXPECT_EQ(config.warnings, Lines{});
  return config.telemetry;
}

std::string prometheus(const std::string& keys) {
  return "{metrics: {readers: [{pull: {exporter: {prometheus: {host: '::1', port: 1" + keys +
         "}}}}]}}";
}

TEST(ConfigTelemetryTest, SeveralPullReadersEachHaveTheirStyle) {
  const TelemetryConfig telemetry = telemetry_of(
      "{metrics: {readers: [{pull: {exporter: {prometheus: {host: '::1', port: 1}}}}, "
      "{pull: {exporter: {prometheus: {port: 2, without_type_suffix: false, without_scope_info: "
      "false, without_target_info: true, with_resource_constant_labels: {included: "
      "[service.name]}}}}}]}}");
  ASSERT_EQ(telemetry.metrics_pull.size(), 2U);
  const MetricsPullConfig& plain = telemetry.metrics_pull[0];
  EXPECT_EQ(plain.endpoint, "[::1]:1");
  EXPECT_FALSE(plain.style.suffixes || plain.style.scope_info || plain.style.resource_labels);
  EXPECT_TRUE(plain.style.target_info);
  const MetricsPullConfig& full = telemetry.metrics_pull[1];
  EXPECT_EQ(full.endpoint, "localhost:2");
  EXPECT_TRUE(full.style.suffixes);
  EXPECT_TRUE(full.style.scope_info);
  EXPECT_FALSE(full.style.target_info);
  EXPECT_TRUE(full.style.resource_labels->takes("service.name"));
  EXPECT_FALSE(full.style.resource_labels->takes("service.version"));
}

TEST(ConfigTelemetryTest, SuffixesComeWithEitherKeyAndWithTheStrategy) {
  const auto suffixes = [](const std::string& keys) {
    return telemetry_of(prometheus(keys)).metrics_pull.at(0).style.suffixes;
  };
  EXPECT_FALSE(suffixes(", without_type_suffix: true, without_units: true"));
  EXPECT_TRUE(suffixes(", without_units: false"));
  EXPECT_TRUE(suffixes(", translation_strategy: UnderscoreEscapingWithSuffixes"));
  EXPECT_FALSE(suffixes(", translation_strategy: NoTranslation"));
}

TEST(ConfigTelemetryTest, ReadersThatClashOrMeanNothingAreErrors) {
  EXPECT_EQ(
      errors_of(
          with_telemetry("{metrics: {readers: [{pull: {exporter: {prometheus: {port: 9}}}}, {pull: "
                         "{exporter: {prometheus: {port: 9}}}}]}}"))
          .size(),
      1U);
  EXPECT_EQ(errors_of(with_telemetry("{metrics: {readers: [{}]}}")).size(), 1U);
  EXPECT_EQ(errors_of(with_telemetry(prometheus(
                          ", with_resource_constant_labels: {included: [a], excluded: [a]}")))
                .size(),
            1U);
}

TEST(ConfigTelemetryTest, AddressHasNoEffectBesideReaders) {
  const Config config = load_good(
      with_telemetry("{metrics: {address: 'localhost:7', readers: [{pull: {exporter: {prometheus: "
                     "{port: 9}}}}]}}"));
  ASSERT_EQ(config.telemetry.metrics_pull.size(), 1U);
  EXPECT_EQ(config.telemetry.metrics_pull[0].endpoint, "localhost:9");
  EXPECT_EQ(config.warnings.size(), 1U);
}

TEST(ConfigTelemetryTest, ResourceIsAMapOrAListOfTypedAttributes) {
  const ResourceConfig map =
      telemetry_of("{resource: {service.name: edge, service.instance.id: null, rack: '7'}}")
          .resource;
  EXPECT_EQ(map.attributes, (Attributes{{"service.name", "edge"}, {"rack", "7"}}));
  EXPECT_EQ(map.removed, Lines{"service.instance.id"});

  const ResourceConfig list =
      telemetry_of(
          "{resource: {schema_url: x, attributes: [{name: a, value: 7}, {name: b, value: true}, "
          "{name: c, value: 0.5}, {name: d, value: '7'}, {name: e, value: 7, type: string}, "
          "{name: f, value: '8', type: int}]}}")
          .resource;
  EXPECT_EQ(list.attributes, (Attributes{{"a", std::int64_t{7}},
                                         {"b", true},
                                         {"c", 0.5},
                                         {"d", "7"},
                                         {"e", "7"},
                                         {"f", std::int64_t{8}}}));
}

TEST(ConfigTelemetryTest, ResourceThatMakesNoSenseIsAnError) {
  for (const char* resource :
       {"[a]", "{attributes: {a: b}}", "{attributes: [{value: b}]}", "{attributes: [{name: a}]}",
        "{attributes: [{name: a, value: [1]}]}", "{attributes: [{name: a, value: x, type: int}]}",
        "{attributes: [{name: a, value: x}], b: c}", "{attributes_list: 'a=b'}", "{a: [b]}"}) {
    EXPECT_EQ(errors_of(with_telemetry(std::string("{resource: ") + resource + "}")).size(), 1U)
        << resource;
  }
}

}  // namespace
}  // namespace holdfast
