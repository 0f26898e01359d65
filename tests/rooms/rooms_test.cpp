// Holds the code against the architecture: includes against src/rooms.json, and no abort, exit or printing in a
// library.
#include <gtest/gtest.h>

#include "source_scan.h"

namespace glia::rooms {
namespace {

const std::filesystem::path kRoot = GLIA_SOURCE_DIR;

Table table() { return read_table(kRoot / "src/rooms.json"); }

bool is_test(const std::filesystem::path& path) {
  const std::string stem = path.stem().string();
  return stem.ends_with("_test") || stem.ends_with("_fuzz") || stem.starts_with("test_") ||
         path.string().find("/testing/") != std::string::npos;
}

TEST(Rooms, EveryFolderUnderSrcIsInTheTable) {
  const Table rooms = table();
  for (const auto& entry : std::filesystem::directory_iterator(kRoot / "src")) {
    if (!entry.is_directory()) continue;
    const std::string room = entry.path().filename().string();
    EXPECT_TRUE(rooms.contains(room)) << "src/" << room << " is not in src/rooms.json";
    EXPECT_NE(room, "util");
    EXPECT_NE(room, "common");
  }
}

TEST(Rooms, IncludeOnlyWhatTheTableAllows) {
  const Table rooms = table();
  int files = 0;
  for (const auto& [room, allowed] : rooms) {
    if (!std::filesystem::is_directory(kRoot / "src" / room)) continue;
    for (const auto& path : sources_under(kRoot / "src" / room)) {
      files++;
      for (const auto& f : forbidden_includes(read_text(path), room, rooms)) {
        ADD_FAILURE() << std::filesystem::relative(path, kRoot).string() << ":" << f.line << ": " << f.what;
      }
    }
  }
  EXPECT_GT(files, 10) << "the scan found too few files to mean anything";
}

TEST(Rooms, LibrariesNeverEndTheProcessOrPrint) {
  for (const auto& path : sources_under(kRoot / "src")) {
    if (is_test(path)) continue;
    for (const auto& f : process_endings_and_prints(read_text(path))) {
      ADD_FAILURE() << std::filesystem::relative(path, kRoot).string() << ":" << f.line << ": " << f.what;
    }
  }
}

// The checks themselves: what they must catch, and what they must let pass.

TEST(RoomsScan, CatchesAForbiddenInclude) {
  const Table rooms = table();
  const std::string source = "#include <vector>\n#include \"kernels/device.h\"\n  #  include \"http/server.h\"\n";
  const auto in_kernels = forbidden_includes(source, "kernels", rooms);
  ASSERT_EQ(in_kernels.size(), 1u);
  EXPECT_EQ(in_kernels[0].line, 3);
  EXPECT_EQ(forbidden_includes(source, "base", rooms).size(), 2u);
  EXPECT_EQ(forbidden_includes("#include \"util/x.h\"", "base", rooms).size(), 1u);
  EXPECT_TRUE(forbidden_includes("#include \"base/error.h\"", "engine", rooms).empty()) << "transitive";
}

TEST(RoomsScan, CatchesEndingsAndPrints) {
  for (const char* bad : {"abort();", "std::abort();", "::exit(1);", "  printf(\"x\");", "std::cerr << 1;",
                          "std::fprintf(stderr, \"x\");", "if (x) _exit(2);", "std::terminate();"}) {
    EXPECT_EQ(process_endings_and_prints(bad).size(), 1u) << bad;
  }
  for (const char* good :
       {"// abort();", "/* exit(1); */", "auto s = \"printf(\";", "snprintf(b, n, f);", "run.abort();",
        "request->exit();", "bool on_exit(int);", "auto r = R\"(exit(1))\";", "const char c = '\"'; f();"}) {
    EXPECT_TRUE(process_endings_and_prints(good).empty()) << good;
  }
}

}  // namespace
}  // namespace glia::rooms
