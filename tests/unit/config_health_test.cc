// extensions::health_check in version 2, and healthcheckv2.
#include <gtest/gtest.h>

#include "tests/support/config_text.h"

namespace holdfast {
namespace {

std::string with_health(const std::string& type, const std::string& keys) {
  return "receivers: {otlp: {protocols: {http: }}}\n"
         "exporters: {nop: }\n"
         "extensions: {" +
         type + ": " + keys +
         "}\n"
         "service: {extensions: [" +
         type + "], pipelines: {traces: {receivers: [otlp], exporters: [nop]}}}\n";
}

TEST(ConfigHealthTest, Version2IsAServerOfItsOwn) {
  for (const char* type : {"health_check", "healthcheckv2/edge"}) {
    const Config config = load_good(with_health(
        type,
        "{use_v2: true, endpoint: 'localhost:1', http: {endpoint: 'localhost:2', idle_timeout: 3s, "
        "status: {path: /health/status, verbose: true}, config: {enabled: false, path: /c}}, "
        "component_health: {include_permanent_errors: true, include_recoverable_errors: true, "
        "recovery_duration: 5m}}"));
    EXPECT_EQ(config.health->endpoint, "localhost:2");
    EXPECT_EQ(config.health->idle_timeout, milliseconds(3'000));
    const HealthV2Config& v2 = config.health->v2.value();
    EXPECT_EQ(v2.extension, type);
    EXPECT_TRUE(v2.status_enabled);
    EXPECT_EQ(v2.status_path, "/health/status");
    EXPECT_TRUE(v2.verbose);
    EXPECT_TRUE(v2.component_health->include_permanent);
    EXPECT_TRUE(v2.component_health->include_recoverable);
    EXPECT_EQ(v2.component_health->recovery, milliseconds(300'000));
  }
  const Config plain = load_good(with_health("healthcheckv2", "{use_v2: true, http: {}}"));
  EXPECT_EQ(plain.health->endpoint, "localhost:13133");
  EXPECT_FALSE(plain.health->v2->component_health);
  EXPECT_FALSE(load_good(with_health("healthcheckv2", "{path: /h}")).health->v2);
}

TEST(ConfigHealthTest, Version2WithoutAProtocolOrWithWhatItHasNotIsAnError) {
  for (const char* keys :
       {"{use_v2: true}", "{use_v2: true, http: {}, grpc: {endpoint: 'localhost:13132'}}",
        "{use_v2: true, http: {config: {enabled: true}}}",
        "{use_v2: true, http: {status: {path: status}}}",
        "{use_v2: true, http: {status: {path: /metrics}}}",
        "{use_v2: true, http: {endpoint: 'localhost:4318'}}"}) {
    EXPECT_EQ(errors_of(with_health("health_check", keys)).size(), 1U) << keys;
  }
}

}  // namespace
}  // namespace holdfast
