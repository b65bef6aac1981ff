#include "agent/http_path.h"

#include <gtest/gtest.h>

namespace holdfast {
namespace {

TEST(HttpPath, IsComparedByteByByteWithEscapesUndone) {
  for (const char* path : {"/v1/traces", "/v1/%74races", "/%76%31/traces", "/v1/trace%73"}) {
    EXPECT_TRUE(is_path(path, "/v1/traces")) << path;
  }
  for (const char* path :
       {"", "/", "/v1/trace", "/v1/traces/", "/v1/traces2", "/V1/traces", "v1/traces",
        "/v1%2Ftraces", "/v1/%zzraces", "/v1/trace%7", "/v1/trace%", "/v1/%54races"}) {
    EXPECT_FALSE(is_path(path, "/v1/traces")) << path;
  }
  EXPECT_TRUE(is_path("/a%F6", "/a\xf6"));
}

TEST(HttpPath, IsMendedAsGoDoesIt) {
  for (const auto& [path, clean] : {std::pair{"", "/"},
                                    {"/", "/"},
                                    {"//", "/"},
                                    {"/v1/traces", "/v1/traces"},
                                    {"/v1/traces/", "/v1/traces/"},
                                    {"//v1/traces", "/v1/traces"},
                                    {"/v1//traces", "/v1/traces"},
                                    {"/v1/./traces//", "/v1/traces/"},
                                    {"/a/../v1/traces", "/v1/traces"},
                                    {"/../../v1", "/v1"},
                                    {"/..", "/"},
                                    {"v1", "/v1"},
                                    {"/v1/...", "/v1/..."}}) {
    EXPECT_EQ(clean_path(path), clean) << path;
  }
}

}  // namespace
}  // namespace holdfast
