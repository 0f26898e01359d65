#include "api/app_fixture.h"

namespace glia::api {
namespace {

TEST_F(AppTest, EachPieceReachesTheClientByItself) {
  auto client = ask(true);
  const auto sink = runner.take();
  ASSERT_TRUE(sink);
  sink->started(kInfo);
  sink->text("a");
  EXPECT_NE(client.until("data: {\"response\":\"a\"}\n\n").find("content-type: text/event-stream\r\n"),
            std::string::npos);
  sink->text("b");
  EXPECT_NE(client.until("\"b\"}\n\n").find("data"), std::string::npos);
  sink->finished(result("ab"));
  EXPECT_NE(client.until("0\r\n\r\n").find("data: [DONE]\n\n"), std::string::npos);
  EXPECT_EQ(runner.cancels, 0);
}

TEST_F(AppTest, RequestIdsAreOursAndReachTheLedgersKey) {
  auto client = ask(false);
  const auto sink = runner.take();
  ASSERT_TRUE(sink);
  sink->started(kInfo);
  sink->finished(result("x"));
  const std::string id = runner.requests[0].request_id;
  EXPECT_EQ(id.size(), 32u);
  EXPECT_NE(client.until("total_tokens").find("cf-ai-req-id: " + id), std::string::npos);
}

// x-session-affinity in every dialect, also as workerd's proxy client wraps it; the account stays the call's own.
TEST_F(AppTest, AClientThatNamesItsSessionIsExpectedBack) {
  const auto post = [&](const std::string& target, const std::string& body, const std::string& header) {
    http::RawClient client(server->port());
    client.send("POST " + target +
                " HTTP/1.1\r\nHost: localhost\r\nAuthorization: Bearer x\r\ncf-consn-model-id: "
                "@cf/meta/llama-3.1-8b-instruct\r\ncontent-type: application/json\r\n" +
                header + "Content-Length: " + std::to_string(body.size()) + "\r\n\r\n" + body);
    const auto sink = runner.take();
    ASSERT_TRUE(sink) << target;
    sink->started(kInfo);
    sink->finished(result("x"));
  };
  const std::string model = "@cf/meta/llama-3.1-8b-instruct";
  const std::string chat = R"({"model":")" + model + R"(","messages":[{"role":"user","content":"x"}]})";
  const std::string completion = R"({"model":")" + model + R"(","prompt":"x"})";
  std::vector<bool> expected;
  for (const auto& [header, returns] : std::vector<std::pair<std::string, bool>>{
           {"x-session-affinity: ses_1\r\n", true}, {"X-Session-Affinity: \r\n", false}, {"", false}}) {
    post("/run?version=3", R"({"inputs":{"prompt":"x"}})", header);
    post("/client/v4/accounts/a/ai/run/" + model, R"({"prompt":"x"})", header);
    post("/client/v4/accounts/a/ai/v1/chat/completions", chat, header);
    post("/v1/chat/completions", chat, header);
    post("/v1/completions", completion, header);
    expected.insert(expected.end(), 5, returns);
  }
  post("/run?version=3", R"({"inputs":{"prompt":"x"}})",
       "MF-URL: https://workers-binding.ai/run?version=3\r\nMF-Header-cf-consn-model-id: " + model +
           "\r\nMF-Header-x-session-affinity: ses_2\r\n");
  expected.push_back(true);
  std::vector<bool> returns;
  for (const auto& request : runner.requests) returns.push_back(request.session_returns);
  EXPECT_EQ(returns, expected);
  EXPECT_EQ(runner.requests[1].account, "a");
}

// A parsed value takes many times its text: bodies of commas are refused before they are parsed.
TEST_F(AppTest, ABodyHoldsAtMostSoManyValues) {
  const auto body_of = [](int values) {  // the object, its one member and the array are values too
    std::string out = R"({"x":[0)";
    for (int i = 4; i < values; i++) out += ",0";
    return out + "]}";
  };
  const auto text_of = [](int letters) {
    return R"({"x":")" + std::string(static_cast<std::size_t>(letters), ',') + R"(\",["})";
  };
  for (const char* path : {"/v1/chat/completions", "/v1/completions"}) {
    const auto most = http::post(url(path), body_of(200'000));
    EXPECT_EQ(most.body.find("more than 200000 values"), std::string::npos) << path << ": " << most.body;
    const auto more = http::post(url(path), body_of(200'001));
    EXPECT_EQ(more.status, 413) << path;
    EXPECT_NE(more.body.find("more than 200000 values"), std::string::npos) << path << ": " << more.body;
    EXPECT_NE(http::post(url(path), text_of(200'001)).status, 413) << path << ": a text is one value";
  }
  const auto rest = http::post(url("/client/v4/accounts/a/ai/run/@cf/meta/llama-3.1-8b-instruct"), body_of(200'001));
  EXPECT_EQ(rest.status, 413);
  EXPECT_NE(rest.body.find("more than 200000 values"), std::string::npos) << rest.body;
}

TEST_F(AppTest, ASessionHearsOfItsCalls) {
  const auto created = http::post(url("/glia/v1/sessions"), R"({"account":"mine","bindings":{}})");
  const auto body = parse_json(created.body);
  const std::string id(body.at("session").as_string());
  http::RawClient events(server->port());
  events.send("GET /glia/v1/sessions/" + id + "/events HTTP/1.1\r\nHost: localhost\r\n\r\n");
  EXPECT_NE(events.until(":\n\n").find("text/event-stream"), std::string::npos) << "headers and a first byte at once";
  EXPECT_EQ(app->leases().open, 1u);

  auto client = ask(false, "/bind/" + id);
  auto sink = runner.take();
  ASSERT_TRUE(sink);
  EXPECT_EQ(runner.requests[0].account, "mine");
  sink->started(kInfo);
  sink->finished(result("x"));
  EXPECT_NE(events.until("\n\n").find(
                R"({"model":"@cf/meta/llama-3.1-8b-instruct","weights":"Some-Weights","stand_in":true,"status":"ok",)"
                R"("code":null,"message":null,"first_token_ms":1E1,"tokens_per_s":1E2,"prompt_tokens":7,)"
                R"("completion_tokens":3,"neurons":2.5E-1,"fault":null,"total_ms":3E1})"),
            std::string::npos);
  auto second = ask(false, "/bind/" + id);
  sink = runner.take();
  sink->failed(Error(ErrorCode::context_too_long));
  EXPECT_NE(events.until("\n\n").find(R"("status":"error","code":5021)"), std::string::npos);

  events.close();
  EXPECT_TRUE(eventually([&] { return app->leases().open == 0; }));
  EXPECT_TRUE(app->leases().ever);
}

TEST_F(AppTest, ClosingSessionsEndsTheirStreamsSoThatADrainNeedNotWait) {
  const auto body = parse_json(http::post(url("/glia/v1/sessions"), "{}").body);
  http::RawClient events(server->port());
  events.send("GET /glia/v1/sessions/" + std::string(body.at("session").as_string()) +
              "/events HTTP/1.1\r\nHost: localhost\r\n\r\n");
  events.until(":\n\n");
  app->close_sessions();
  EXPECT_EQ(events.until("0\r\n\r\n").find("data"), std::string::npos);
}

TEST_F(AppTest, HealthTellsOfLoading) {
  ready = false;
  const auto answer = http::get(url("/health"));
  EXPECT_EQ(answer.status, 503);
  EXPECT_EQ(answer.header("retry-after"), "1");
  EXPECT_EQ(answer.body, R"({"status":"loading"})");
}

TEST_F(AppTest, LogsHoldNoPromptAnswerOrQuery) {
  testing::internal::CaptureStderr();
  auto client = ask(true, "/?secret-query=1", "secret-prompt");
  const auto sink = runner.take();
  ASSERT_TRUE(sink);
  sink->started(kInfo);
  sink->text("secret-answer");
  sink->finished(result("secret-answer"));
  client.until("0\r\n\r\n");
  const std::string body = R"({"prompt":"secret-prompt"})";
  client.send("POST /client/v4/accounts/a/ai/run/@cf/x%0Ainjected HTTP/1.1\r\nHost: localhost\r\nContent-Length: " +
              std::to_string(body.size()) + "\r\n\r\n" + body);
  const auto second = runner.take();
  ASSERT_TRUE(second);
  second->failed(Error(ErrorCode::no_such_model, "@cf/x"));
  client.until("No such model");
  const std::string log = testing::internal::GetCapturedStderr();
  EXPECT_NE(log.find("tokens=7+3"), std::string::npos) << log;
  EXPECT_NE(log.find("nearest="), std::string::npos) << log;
  EXPECT_EQ(log.find("\ninjected"), std::string::npos) << log;
  EXPECT_EQ(log.find("secret"), std::string::npos) << log;
}

TEST_F(AppTest, WhatTheServerRefusesHasTheDialectsShape) {
  http::RawClient client(server->port());
  client.send("POST /v1/chat/completions HTTP/1.1\r\nHost: localhost\r\nContent-Length: 104857600\r\n\r\n");
  EXPECT_NE(client.rest().find(R"({"error":{"message":"Request is too large: )"), std::string::npos);
  http::RawClient other(server->port());
  other.send("nonsense\r\n\r\n");
  EXPECT_NE(other.rest().find(R"({"error":{"code":3003)"), std::string::npos);
}

}  // namespace
}  // namespace glia::api
