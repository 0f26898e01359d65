#include "hub/listing.h"

#include <gtest/gtest.h>

#include "base/error.h"

namespace glia::hub {
namespace {

const std::string kSha(40, 'a');
const std::string kSha256(64, 'b');

std::string with(const std::string& siblings) { return R"({"sha":")" + kSha + R"(","siblings":)" + siblings + "}"; }
std::string file(const std::string& name, const std::string& rest) {
  return R"([{"rfilename":")" + name + "\"," + rest + "}]";
}
std::string refusal(const std::string& text) {
  try {
    parse_listing(text);
  } catch (const Error& error) {
    EXPECT_EQ(error.code(), ErrorCode::model_unavailable);
    return error.detail().substr(error.detail().find(": ") + 2);
  }
  return "taken";
}

TEST(Listing, SmallFilesByGitsDigestBigOnesByTheirOwn) {
  const auto listing =
      parse_listing(with(R"([{"rfilename":"config.json","size":2,"blobId":")" + kSha + R"(","lfs":null},
    {"rfilename":"d/model.safetensors","size":100,"blobId":")" +
                         kSha + R"(","lfs":{"sha256":")" + kSha256 + R"(","size":16060522496,"pointerSize":134}}])"));
  EXPECT_EQ(listing.commit, kSha);
  ASSERT_EQ(listing.files.size(), 2U);
  EXPECT_EQ(listing.files[0].blob, kSha);
  EXPECT_EQ(listing.files[0].kind, DigestKind::git_blob);
  EXPECT_EQ(listing.files[1].blob, kSha256);
  EXPECT_EQ(listing.files[1].bytes, 16060522496U) << "the file's, not its pointer's";
}

TEST(Listing, DigestsAreTheOnesGitAndSha256sumGive) {
  Digest git(DigestKind::git_blob, 6);
  git.add("hello\n");
  EXPECT_EQ(git.hex(), "ce013625030ba8dba906f756967f9e9ca394464a");
  Digest sha256(DigestKind::sha256, 3);
  sha256.add("a");
  sha256.add("bc");
  EXPECT_EQ(sha256.hex(), "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad");
}

TEST(Listing, NamesThatLeaveTheFolderAreRefused) {
  const std::string rest = R"("size":1,"blobId":")" + kSha + "\"";
  for (const char* name : {"../x", "/etc/passwd", "a/../../x", "a//b", "", ".", "a\\\\b", "a\\u0000b", "a\\nb"}) {
    EXPECT_EQ(refusal(with(file(name, rest))), "a file's name would leave its folder") << name;
  }
  EXPECT_EQ(refusal(with(file("ok.json", rest))), "taken");
}

TEST(Listing, WhatIsNoListIsRefused) {
  const std::string blob = R"("blobId":")" + kSha + "\"";
  EXPECT_EQ(refusal("[]"), "it is not an object");
  EXPECT_EQ(refusal("{}"), "it names no commit");
  EXPECT_EQ(refusal(R"({"sha":"main","siblings":[]})"), "it names no commit");
  EXPECT_EQ(refusal(R"({"sha":")" + kSha + "\"}"), "it has no files");
  EXPECT_EQ(refusal(with("[1]")), "a file is not an object");
  EXPECT_EQ(refusal(with(file("x", blob))), "it gives no size of x");
  for (const char* size : {"-1", "1.5", "\"1\"", "null", "1e30", "18446744073709551615", "17592186044417"}) {
    EXPECT_EQ(refusal(with(file("x", blob + R"(,"size":)" + size))), "it gives no size of x") << size;
  }
  EXPECT_EQ(refusal(with(file("x", R"("size":1,"blobId":"../../x")"))), "it gives no digest of x");
  EXPECT_EQ(refusal(with(file("x", R"("lfs":{"size":1,"sha256":"abc"})"))), "it gives no digest of x");
  EXPECT_EQ(refusal(with(R"([{"rfilename":"x","size":1,)" + blob + R"(},{"rfilename":"x","size":1,)" + blob + "}]")),
            "it names a file twice");
  EXPECT_NE(refusal("{"), "taken");
  EXPECT_NE(refusal(""), "taken");
  EXPECT_NE(refusal("<html>"), "taken");
}

}  // namespace
}  // namespace glia::hub
