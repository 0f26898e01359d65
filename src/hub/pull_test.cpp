// Pulls from a hub on the loopback that behaves, and one that does not.
#include "hub/pull.h"

#include <gtest/gtest.h>

#include "base/error.h"
#include "hub/pull_fixture.h"

namespace glia::hub {
namespace {

TEST_F(PullTest, AFolderAppearsAsHuggingFacesToolsWouldHaveIt) {
  put_folder();
  const auto pulled = pull({"o/n"});
  EXPECT_EQ(pulled.commit, hub_.commit);
  EXPECT_EQ(pulled.path, layout_.snapshot(hub_.commit));
  for (const auto& [name, file] : hub_.files) {
    if (name == "README.md") continue;
    EXPECT_EQ(content(name), file.content) << name;
    const std::string blob = digest_of(file.content, file.lfs ? DigestKind::sha256 : DigestKind::git_blob);
    EXPECT_EQ(fs::read_symlink(layout_.snapshot(hub_.commit) / name), "../../blobs/" + blob);
    EXPECT_TRUE(fs::exists(layout_.lock(blob)));
  }
  EXPECT_FALSE(fs::exists(layout_.snapshot(hub_.commit) / "README.md")) << "not needed";
  EXPECT_EQ(text(layout_.ref("main")), hub_.commit);
  EXPECT_EQ(text(root_ / "CACHEDIR.TAG").substr(0, 43), "Signature: 8a477f597d28d172789f06886806bc55");
  EXPECT_TRUE(Store(root_).locate({"o/n"}).available);
  EXPECT_EQ(watcher_.plan.files, 5U);
  EXPECT_EQ(watcher_.last_moved, watcher_.plan.bytes);
  for (const auto& request : hub_.seen()) EXPECT_EQ(request.header("authorization"), "");
}

TEST_F(PullTest, ASecondPullFetchesNothingButTheList) {
  put_folder();
  pull({"o/n"});
  const auto before = hub_.seen().size();
  pull({"o/n"});
  EXPECT_EQ(hub_.seen().size(), before + 1);
  EXPECT_EQ(watcher_.plan.here, watcher_.plan.bytes);
}

TEST_F(PullTest, ANewCommitSharesWhatDidNotChange) {
  put_folder();
  pull({"o/n"});
  const std::string old = std::exchange(hub_.commit, std::string(40, 'f'));
  hub_.files["config.json"].content = R"({"new": 1})";
  pull({"o/n"});
  EXPECT_EQ(hub_.seen_of(std::string(40, 'f') + "/model.safetensors"), 0U);
  EXPECT_EQ(text(layout_.ref("main")), hub_.commit);
  EXPECT_TRUE(Store(root_).locate({"o/n", "", old}).available) << "what was pinned stays";
}

TEST_F(PullTest, ARevisionIsPinned) {
  put_gguf(100);
  pull({"o/n", "", "refs/pr/1"});
  EXPECT_EQ(hub_.seen().at(0).target, "/api/models/o/n/revision/refs%2Fpr%2F1?blobs=true");
  EXPECT_EQ(text(layout_.ref("refs/pr/1")), hub_.commit);
  EXPECT_FALSE(fs::exists(layout_.ref("main")));
  pull({"o/n", "", hub_.commit});
  EXPECT_FALSE(fs::exists(layout_.ref(hub_.commit))) << "a commit needs no ref";
}

TEST_F(PullTest, ABigFileComesInPartsAtOnce) {
  put_gguf(1'000'003);
  options_.part_bytes = 64 << 10;
  pull({"o/n"});
  EXPECT_EQ(content("m-Q4_0.gguf"), hub_.files["m-Q4_0.gguf"].content);
  EXPECT_EQ(hub_.seen_of("m-Q4_0.gguf"), 16U);
  EXPECT_FALSE(fs::exists(layout_.incomplete(gguf_blob())));
}

TEST_F(PullTest, OnlyTheNamedGgufComes) {
  put_gguf(1000);
  hub_.files["m-Q8_0.gguf"] = {"other", true};
  const auto pulled = pull({"o/n", "Q8_0"});
  EXPECT_EQ(pulled.path.filename(), "m-Q8_0.gguf");
  EXPECT_EQ(hub_.seen_of("Q4_0"), 0U);
}

TEST_F(PullTest, AServerWithoutRangesWillDo) {
  put_gguf(500'000);
  hub_.ranges = false;
  options_.part_bytes = 100'000;
  pull({"o/n"});
  EXPECT_EQ(content("m-Q4_0.gguf"), hub_.files["m-Q4_0.gguf"].content);
}

TEST_F(PullTest, EmptyFilesAndEqualFilesArePulled) {
  put_folder();
  hub_.files["a.json"] = {"", false};
  hub_.files["b.json"] = {"", false};
  pull({"o/n"});
  EXPECT_EQ(content("a.json"), "");
  EXPECT_EQ(fs::read_symlink(layout_.snapshot(hub_.commit) / "a.json"),
            fs::read_symlink(layout_.snapshot(hub_.commit) / "b.json"));
}

TEST_F(PullTest, ACutConnectionGoesOnWhereItEnded) {
  put_gguf(200'000);
  hub_.hook = [&](const SeenRequest& request, FakeConnection& connection) {
    if (!request.is_for("gguf") || hub_.seen_of("gguf") > 2) return false;
    const std::string range = request.header("range");
    const auto begin = range.empty() ? 0 : std::stoul(range.substr(6));
    const std::string rest = hub_.files["m-Q4_0.gguf"].content.substr(begin);
    if (range.empty()) {
      connection.answer(200, "", rest.substr(0, 50'000), 200'000);
    } else {
      connection.answer(206, "content-range: bytes " + range.substr(6) + "/200000\r\n", rest.substr(0, 50'000),
                        static_cast<std::int64_t>(rest.size()));
    }
    connection.close();
    return true;
  };
  pull({"o/n"});
  EXPECT_EQ(content("m-Q4_0.gguf"), hub_.files["m-Q4_0.gguf"].content);
  const auto seen = hub_.seen();
  EXPECT_EQ(seen.at(2).header("range"), "bytes=50000-199999");
  EXPECT_EQ(seen.at(3).header("range"), "bytes=100000-199999");
}

TEST_F(PullTest, WhatAnEarlierPullLeftIsNotFetchedAgain) {
  put_gguf(200'000);
  fs::create_directories(layout_.folder() / "blobs");
  std::ofstream(layout_.incomplete(gguf_blob())) << hub_.files["m-Q4_0.gguf"].content.substr(0, 150'000);
  pull({"o/n"});
  EXPECT_EQ(content("m-Q4_0.gguf"), hub_.files["m-Q4_0.gguf"].content);
  EXPECT_EQ(hub_.seen().at(1).header("range"), "bytes=150000-199999");
}

TEST_F(PullTest, BadBytesOfAnEarlierPullAreFetchedAnew) {
  put_gguf(1000);
  fs::create_directories(layout_.folder() / "blobs");
  std::ofstream(layout_.incomplete(gguf_blob())) << std::string(1000, 'x');
  pull({"o/n"});
  EXPECT_EQ(content("m-Q4_0.gguf"), hub_.files["m-Q4_0.gguf"].content);
  EXPECT_EQ(watcher_.sentences.at(0), "m-Q4_0.gguf has the wrong checksum; fetching it anew");
  std::ofstream(layout_.blob(gguf_blob())) << "short";
  pull({"o/n"});
  EXPECT_EQ(content("m-Q4_0.gguf"), hub_.files["m-Q4_0.gguf"].content) << "a blob of the wrong size is none";
}

TEST_F(PullTest, TheWrongChecksumTwiceIsAnErrorAndLeavesNothing) {
  put_gguf(1000);
  hub_.hook = [&](const SeenRequest& request, FakeConnection& connection) {
    if (!request.is_for("gguf")) return false;
    connection.answer(200, "", std::string(1000, 'x'));
    return true;
  };
  EXPECT_EQ(refusal({"o/n"}),
            "m-Q4_0.gguf came twice with bytes that are not the published ones (checksum); nothing of it is kept");
  EXPECT_EQ(hub_.seen_of("gguf"), 2U);
  EXPECT_FALSE(fs::exists(layout_.blob(gguf_blob())));
  EXPECT_EQ(fs::file_size(layout_.incomplete(gguf_blob())), 0U);
  EXPECT_FALSE(fs::exists(layout_.ref("main")));
}

TEST_F(PullTest, TheTokenStaysWithTheHub) {
  put_gguf(100'000);
  FakeHub cdn;
  cdn.files = hub_.files;
  hub_.cdn = cdn.url();
  options_.part_bytes = 20'000;
  options_.environment.token = "hf_secret";
  pull({"o/n"});
  for (const auto& request : hub_.seen()) EXPECT_EQ(request.header("authorization"), "Bearer hf_secret");
  ASSERT_GE(cdn.seen().size(), 5U);
  for (const auto& request : cdn.seen()) {
    EXPECT_EQ(request.header("authorization"), "");
    EXPECT_NE(request.header("range"), "");
  }
}

TEST_F(PullTest, AnAgedLinkOfTheCdnIsRenewed) {
  put_gguf(100'000);
  FakeHub cdn;
  cdn.files = hub_.files;
  hub_.cdn = cdn.url();
  options_.connections = 1;
  options_.part_bytes = 20'000;
  cdn.hook = [](const SeenRequest& request, FakeConnection& connection) {
    if (request.nth != 2) return false;
    connection.answer(403, "", "expired");
    return true;
  };
  pull({"o/n"});
  EXPECT_EQ(hub_.seen_of("gguf"), 2U) << "one link serves several parts";
  EXPECT_EQ(cdn.seen().size(), 6U);
}

TEST_F(PullTest, RenamedRepositoriesAreFollowed) {
  put_gguf(100);
  hub_.hook = [&](const SeenRequest& request, FakeConnection& connection) {
    if (!request.is_for("/old/name")) return false;
    std::string target = request.target;
    target.replace(target.find("old/name"), 8, "o/n");
    connection.answer(307, "location: " + target + "\r\n", "");
    return true;
  };
  options_.environment.token = "hf_secret";
  pull({"old/name"});
  EXPECT_TRUE(Store(root_).locate({"old/name"}).available) << "under the name that was asked for";
}

TEST_F(PullTest, RetriesWhatMayRecover) {
  put_gguf(100);
  hub_.hook = [&](const SeenRequest& request, FakeConnection& connection) {
    if (request.nth == 0) return connection.answer(503, "", "busy"), true;
    if (request.nth == 2) return connection.answer(500, "", "oops"), true;
    if (request.nth == 3) return connection.close(), true;
    return false;
  };
  pull({"o/n"});
  EXPECT_EQ(content("m-Q4_0.gguf"), hub_.files["m-Q4_0.gguf"].content);
  EXPECT_EQ(watcher_.sentences.at(0), "the hub answers with HTTP 503; asking again in 1 s");
}

TEST_F(PullTest, AServerThatStaysBrokenIsGivenUp) {
  put_gguf(100);
  hub_.hook = [](const SeenRequest&, FakeConnection& connection) { return connection.answer(502, "", ""), true; };
  EXPECT_EQ(refusal({"o/n"}), "the hub answers with HTTP 502 for o/n");
  EXPECT_EQ(hub_.seen().size(), 5U);
}

TEST_F(PullTest, RetryAfterIsWaitedForWithinReason) {
  put_gguf(100);
  hub_.hook = [](const SeenRequest& request, FakeConnection& connection) {
    if (request.nth != 0) return false;
    return connection.answer(429, "retry-after: 1\r\n", ""), true;
  };
  const auto begin = std::chrono::steady_clock::now();
  pull({"o/n"});
  EXPECT_GE(std::chrono::steady_clock::now() - begin, std::chrono::seconds(1));

  hub_.hook = [](const SeenRequest&, FakeConnection& connection) {
    return connection.answer(429, "retry-after: 4000\r\n", ""), true;
  };
  EXPECT_EQ(refusal({"o/n"}, ErrorCode::rate_limited),
            "the hub allows no more requests for now; pull again later to go on");
}

TEST_F(PullTest, RefusalsSayWhatToDo) {
  put_gguf(100);
  std::string code;
  int status = 0;
  std::string part;
  hub_.hook = [&](const SeenRequest& request, FakeConnection& connection) {
    if (!request.is_for(part)) return false;
    connection.answer(status, code.empty() ? "" : "x-error-code: " + code + "\r\n", "no");
    return true;
  };
  const auto said = [&](int with, const std::string& named, const std::string& at, const std::string& token) {
    status = with;
    code = named;
    part = at;
    options_.environment.token = token;
    return refusal({"o/n", "", "v2"});
  };
  EXPECT_EQ(said(401, "RepoNotFound", "/api/", ""),
            "there is no o/n on the hub, or it is private or gated: set HF_TOKEN to a token that may read it");
  EXPECT_EQ(said(403, "", "/api/", "t"),
            "there is no o/n on the hub, or it is private or gated: the token in use may not read it");
  EXPECT_EQ(said(404, "RepoNotFound", "/api/", "t"), "there is no o/n on the hub");
  EXPECT_EQ(said(404, "RevisionNotFound", "/api/", ""), "there is no revision v2 of o/n");
  EXPECT_EQ(said(401, "GatedRepo", "/resolve/", ""),
            "o/n is gated: agree to its terms at " + hub_.url() + "/o/n, and set HF_TOKEN to a token of that account");
  EXPECT_EQ(said(403, "GatedRepo", "/resolve/", "t"),
            "o/n is gated: agree to its terms at " + hub_.url() + "/o/n, with the account of the token in use");
  EXPECT_EQ(said(404, "EntryNotFound", "/resolve/", ""), "there is no m-Q4_0.gguf in o/n at " + hub_.commit);
  EXPECT_EQ(said(418, "", "/api/", ""), "the hub answers with HTTP 418 for o/n");
  EXPECT_EQ(hub_.seen_of("/api/"), 8U) << "nothing of this is tried again";
}

TEST_F(PullTest, NothingFitsIsSaidBeforeAnythingIsFetched) {
  hub_.files["pytorch_model.bin"] = {"x", true};
  EXPECT_EQ(refusal({"o/n"}), "o/n: there are no weights as safetensors or GGUF");
  put_gguf(10);
  EXPECT_EQ(refusal({"o/n", "Q2_K"}), "o/n: there is no GGUF Q2_K; there are Q4_0");
  EXPECT_EQ(hub_.seen_of("resolve"), 0U);
}

TEST_F(PullTest, OfflineOpensNoConnection) {
  put_gguf(100);
  options_.environment.offline = true;
  EXPECT_EQ(refusal({"o/n"}),
            "o/n is not here (no snapshot), and nothing is fetched offline (HF_HUB_OFFLINE, --offline)");
  options_.environment.offline = false;
  pull({"o/n"});
  const auto before = hub_.seen().size();
  options_.environment.offline = true;
  EXPECT_EQ(pull({"o/n"}).path.filename(), "m-Q4_0.gguf");
  EXPECT_EQ(hub_.seen().size(), before);
}

TEST_F(PullTest, AServerThatLiesIsRefused) {
  put_gguf(1000);
  std::string headers;
  std::string body(1000, 'x');
  int status = 200;
  hub_.hook = [&](const SeenRequest& request, FakeConnection& connection) {
    if (!request.is_for("resolve")) return false;
    connection.answer(status, headers, body);
    return true;
  };
  const auto said = [&](int with, const std::string& lines, std::size_t bytes) {
    status = with;
    headers = lines;
    body.assign(bytes, 'x');
    return refusal({"o/n"});
  };
  EXPECT_EQ(said(200, "", 1001), "the hub sends more than it should be for m-Q4_0.gguf");
  EXPECT_EQ(said(206, "content-range: bytes 5-999/1000\r\n", 1000), "the hub sends another range for m-Q4_0.gguf");
  EXPECT_EQ(said(206, "content-range: bytes 0-999/2000\r\n", 1000), "the hub sends another size for m-Q4_0.gguf");
  EXPECT_EQ(said(200, "x-linked-etag: \"abc\"\r\n", 1000), "the hub sends another version for m-Q4_0.gguf");
  EXPECT_EQ(said(200, "x-linked-size: 5\r\n", 1000), "the hub sends another size for m-Q4_0.gguf");
  EXPECT_EQ(said(200, "x-repo-commit: abc\r\n", 1000), "the hub sends another revision for m-Q4_0.gguf");
  EXPECT_EQ(said(302, "location: file:///etc/passwd\r\n", 0), "the hub redirects to what is no address");
  EXPECT_EQ(said(302, "location: /o/n/resolve/x\r\n", 0), "the hub redirects in a circle");
}

}  // namespace
}  // namespace glia::hub
