#include "api/app_fixture.h"
#include "http/websocket_client.h"

namespace glia::api {
namespace {

using RpcTest = AppTest;

TEST_F(RpcTest, ASessionIsEndedAtOnceWithAReasonThatNamesWhatIsNotServed) {
  for (const char* target : {"/?MF-Binding=AI", "/bind/anything?MF-Binding=AI"}) {
    http::RawClient client(server->port());
    client.send(http::handshake(target) +
                http::client_frame(http::FrameKind::text, R"(["push",["pipeline",0,["aiSearch"],[]]])"));
    const std::string head = client.until("\r\n\r\n");
    EXPECT_TRUE(head.starts_with("HTTP/1.1 101 ")) << head;
    EXPECT_NE(head.find("x-request-id: "), std::string::npos);
    EXPECT_EQ(client.rest(), http::close_frame(1000,
                                               "Not served by Glia: AI Search, AutoRAG, AI Gateway and web search by "
                                               "RPC; env.AI.run() is"));
  }
  EXPECT_TRUE(eventually([&] { return server->open_connections() == 0; }));
}

}  // namespace
}  // namespace glia::api
