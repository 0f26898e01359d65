#include "api/sessions.h"

#include <gtest/gtest.h>

#include "base/error.h"

namespace glia::api {
namespace {

class Recorder final : public EventStream {
 public:
  void write(std::string data) override { text += data; }
  void end() override { ended = true; }
  std::string text;
  bool ended = false;
};

class SessionsTest : public testing::Test {
 protected:
  ManualClock clock;
  std::size_t open = 0;
  Sessions sessions{clock, [this](std::size_t n) { open = n; }};
};

TEST_F(SessionsTest, FollowersHearOfTheirOwnSessionOnly) {
  sessions.create("a", parse_json(R"({"account":"me","bindings":{"AI":{"type":"ai"}}})").as_object());
  sessions.create("b", {});
  EXPECT_EQ(sessions.find("a")->account, "me");
  EXPECT_EQ(sessions.find("b")->account, "local");
  const auto stream = std::make_shared<Recorder>();
  const auto other = std::make_shared<Recorder>();
  EXPECT_NE(sessions.follow("a", stream), 0u);
  EXPECT_NE(sessions.follow("b", other), 0u);
  sessions.tell("a", {{"status", "ok"}});
  EXPECT_EQ(stream->text, ":\n\ndata: {\"status\":\"ok\"}\n\n");
  EXPECT_EQ(other->text, ":\n\n");
}

TEST(SessionsOwnVectors, AreSaidToTheEnd) {
  const ManualClock clock;
  std::vector<std::string> ended;
  Sessions sessions(
      clock, [](std::size_t) {}, [&ended](const Session& session) { ended.push_back(session.vector_account); });
  const auto own = sessions.create("a", parse_json(R"({"vectors":"own"})").as_object());
  const auto shared = sessions.create("b", parse_json(R"({"account":"me","vectors":"account"})").as_object());
  EXPECT_NE(own->vector_account, own->account);
  EXPECT_EQ(shared->vector_account, "me");
  EXPECT_THROW(sessions.create("c", parse_json(R"({"vectors":"mine"})").as_object()), Error);
  sessions.remove("a");
  sessions.remove("a");
  EXPECT_EQ(ended, std::vector<std::string>{own->vector_account});
}

TEST_F(SessionsTest, LeasesAreOpenStreams) {
  sessions.create("a", {});
  EXPECT_FALSE(sessions.leases().abandoned(clock.steady_ns(), 0)) << "never had one";
  const auto first = sessions.follow("a", std::make_shared<Recorder>());
  const auto second = sessions.follow("a", std::make_shared<Recorder>());
  EXPECT_EQ(sessions.leases().open, 2u);
  EXPECT_EQ(open, 2u);
  sessions.unfollow(first);
  sessions.unfollow(first);
  EXPECT_FALSE(sessions.leases().abandoned(clock.steady_ns() + 1'000'000'000'000, 0));
  clock.advance_ms(500);
  sessions.unfollow(second);
  EXPECT_FALSE(sessions.leases().abandoned(clock.steady_ns(), 2'000'000'000));
  clock.advance_ms(2000);
  EXPECT_TRUE(sessions.leases().abandoned(clock.steady_ns(), 2'000'000'000));
  sessions.follow("a", std::make_shared<Recorder>());
  EXPECT_FALSE(sessions.leases().abandoned(clock.steady_ns(), 2'000'000'000)) << "a new one in time";
}

TEST_F(SessionsTest, RemovingEndsTheStreams) {
  sessions.create("a", {});
  const auto stream = std::make_shared<Recorder>();
  sessions.follow("a", stream);
  EXPECT_TRUE(sessions.remove("a"));
  EXPECT_TRUE(stream->ended);
  EXPECT_FALSE(sessions.remove("a"));
  EXPECT_EQ(sessions.leases().open, 0u);
  const auto late = std::make_shared<Recorder>();
  EXPECT_EQ(sessions.follow("a", late), 0u);
  EXPECT_TRUE(late->ended);
}

TEST_F(SessionsTest, ManySessionsPushOutOldOnesWithoutALease) {
  sessions.create("leased", {});
  sessions.follow("leased", std::make_shared<Recorder>());
  for (std::size_t i = 0; i < Sessions::kMaxSessions + 10; i++) sessions.create("s" + std::to_string(i), {});
  EXPECT_TRUE(sessions.find("leased"));
  EXPECT_FALSE(sessions.find("s0"));
  EXPECT_TRUE(sessions.find("s" + std::to_string(Sessions::kMaxSessions)));
}

TEST_F(SessionsTest, RefusesOtherShapes) {
  EXPECT_THROW(sessions.create("x", parse_json(R"({"account":1})").as_object()), Error);
  EXPECT_THROW(sessions.create("x", parse_json(R"({"project":""})").as_object()), Error);
  EXPECT_THROW(sessions.create("x", parse_json(R"({"bindings":[]})").as_object()), Error);
  EXPECT_THROW(sessions.create("x", parse_json(R"({"bindings":{"AI":7}})").as_object()), Error);
}

TEST_F(SessionsTest, BindingsAreAddedAndReplacedByName) {
  sessions.create("a", parse_json(R"({"bindings":{"AI":{"type":"ai"}}})").as_object());
  const auto before = sessions.find("a");
  EXPECT_TRUE(sessions.bind("a", parse_json(R"({"DOCS":{"type":"vectorize","index":"old"}})")));
  EXPECT_TRUE(sessions.bind("a", parse_json(R"({"DOCS":{"type":"vectorize","index":"docs"}})")));
  EXPECT_EQ(json::serialize(sessions.find("a")->bindings),
            R"({"AI":{"type":"ai"},"DOCS":{"type":"vectorize","index":"docs"}})");
  EXPECT_EQ(before->bindings.size(), 1u) << "a call that runs keeps its own";
  EXPECT_EQ(sessions.find("a")->order, before->order);
  EXPECT_FALSE(sessions.bind("b", parse_json(R"({"DOCS":{}})"))) << "not known";
  EXPECT_THROW(sessions.bind("a", parse_json("[]")), Error);
  EXPECT_THROW(sessions.bind("a", parse_json(R"({"DOCS":"docs"})")), Error);
  json::object many;
  for (std::size_t i = 0; i < Sessions::kMaxBindings; ++i) many.emplace(std::to_string(i), json::object{});
  EXPECT_THROW(sessions.bind("a", many), Error);
  EXPECT_EQ(sessions.find("a")->bindings.size(), 2u);
}

}  // namespace
}  // namespace glia::api
