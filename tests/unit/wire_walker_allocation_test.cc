#include <gtest/gtest.h>

#include <atomic>
#include <cstdlib>
#include <new>
#include <string>
#include <vector>

#include "agent/wire_walker.h"
#include "tests/support/payloads.h"
#include "tests/support/wire_bytes.h"

namespace {
std::atomic<std::size_t> allocations{0};
}  // namespace

// Counts what the walker must not do. Not inlined, or g++ takes the pair for a mismatch.
[[gnu::noinline]] void* operator new(std::size_t size) {
  allocations.fetch_add(1, std::memory_order_relaxed);
  if (void* const memory = std::malloc(size)) return memory;
  throw std::bad_alloc();
}
[[gnu::noinline]] void operator delete(void* memory) noexcept { std::free(memory); }
[[gnu::noinline]] void operator delete(void* memory, std::size_t) noexcept { std::free(memory); }

namespace holdfast {
namespace {

using namespace reference;  // NOLINT(google-build-using-namespace)

TEST(WireWalker, WalkingAllocatesNothing) {
  const std::vector<Payload> payloads = real_payloads();
  const std::string bad = with_item(nest(1, "t"));
  const std::size_t before = allocations.load();
  std::uint32_t items = 0;
  for (const Payload& payload : payloads) {
    items += walk_export_request(payload.signal, payload.bytes).items;
  }
  const bool refused = !walk_export_request(Signal::traces, bad).ok();
  EXPECT_EQ(allocations.load(), before);
  EXPECT_GT(items, 0U);
  EXPECT_TRUE(refused);
}

}  // namespace
}  // namespace holdfast
