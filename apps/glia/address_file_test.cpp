#include "address_file.h"

#include <gtest/gtest.h>

#include <cstdlib>
#include <fstream>
#include <sstream>

#include "base/json.h"
#include "settings.h"

namespace glia::cli {
namespace {

namespace fs = std::filesystem;

class AddressFileTest : public testing::Test {
 protected:
  AddressFileTest() {
    std::string name = (fs::temp_directory_path() / "glia-address-XXXXXX").string();
    folder = ::mkdtemp(name.data());
  }
  ~AddressFileTest() override { fs::remove_all(folder); }
  std::string content() const {
    std::ostringstream text;
    text << std::ifstream(folder / "address").rdbuf();
    return text.str();
  }
  fs::path folder;
};

TEST_F(AddressFileTest, OneServesAndTheOthersSeeIt) {
  auto first = AddressFile::take(folder / "address");
  ASSERT_TRUE(first);
  EXPECT_EQ(content(), "") << "nothing yet";
  EXPECT_FALSE(AddressFile::take(folder / "address"));
  first->write("http://127.0.0.1:1", "0.1.0");
  EXPECT_FALSE(AddressFile::take(folder / "address")) << "and its content stays";
  const auto said = parse_json(content()).as_object();
  EXPECT_EQ(said.at("url"), "http://127.0.0.1:1");
  EXPECT_EQ(said.at("pid"), ::getpid());
}

TEST_F(AddressFileTest, TheNextOneFindsNothingOfTheLast) {
  {
    auto first = AddressFile::take(folder / "address");
    ASSERT_TRUE(first);
    first->write("http://127.0.0.1:1", "0.1.0");
    const AddressFile moved = std::move(*first);
    EXPECT_TRUE(fs::exists(folder / "address"));
  }
  EXPECT_FALSE(fs::exists(folder / "address"));
  std::ofstream(folder / "address") << "what a killed one left";
  const auto second = AddressFile::take(folder / "address");
  ASSERT_TRUE(second);
  EXPECT_EQ(content(), "");
}

TEST_F(AddressFileTest, ALinkOrAMissingFolderIsRefused) {
  fs::create_symlink(folder / "elsewhere", folder / "link");
  EXPECT_THROW(AddressFile::take(folder / "link"), UsageError);
  EXPECT_THROW(AddressFile::take(folder / "no" / "address"), UsageError);
}

}  // namespace
}  // namespace glia::cli
