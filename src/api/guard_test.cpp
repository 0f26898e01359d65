#include "api/guard.h"

#include <gtest/gtest.h>

namespace glia::api {
namespace {

TEST(Guard, NamesThatCannotBeReboundAreOurs) {
  const Guard guard("mybox");
  for (const char* host : {"localhost", "LOCALHOST:80", "app.localhost:1", "127.0.0.1:7843", "127.1.2.3", "[::1]:7843",
                           "10.0.0.7:7843", "[fe80::1]", "mybox", "MyBox:9", "workers-binding.ai", "vector-search"}) {
    EXPECT_TRUE(guard.host_allowed(host)) << host;
  }
  EXPECT_TRUE(guard.host_allowed(std::nullopt));
  for (const char* host : {"evil.example", "127.evil.example", "localhost.evil.example", "mybox.evil.example", "",
                           "[::1.evil]", "xlocalhost", "workers-binding.ai.evil"}) {
    EXPECT_FALSE(guard.host_allowed(host)) << host;
  }
}

TEST(Guard, OnlyPagesOfThisMachineMayAsk) {
  const Guard guard("127.0.0.1");
  for (const char* origin : {"http://localhost:5173", "https://127.0.0.1", "http://[::1]:3000"}) {
    EXPECT_TRUE(guard.origin_allowed(origin)) << origin;
  }
  for (const char* origin : {"null", "https://evil.example", "http://10.0.0.7", "file://", "chrome-extension://x",
                             "http://localhost.evil.example", "http://workers-binding.ai"}) {
    EXPECT_FALSE(guard.origin_allowed(origin)) << origin;
  }
}

TEST(Guard, TheConfiguredHostMayBeAnIpv6Address) {
  EXPECT_TRUE(Guard("::1").host_allowed("[::1]:1"));
  EXPECT_TRUE(Guard("fd00::7").origin_allowed("http://[fd00::7]:1"));
  EXPECT_TRUE(Guard("[fd00::7]").origin_allowed("http://[fd00::7]:1"));
}

}  // namespace
}  // namespace glia::api
