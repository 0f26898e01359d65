#include "base/file_name.h"

#include <gtest/gtest.h>

namespace glia {
namespace {

std::string_view quantisation(std::string_view stem) {
  const std::size_t start = quantisation_start(stem);
  return start == std::string_view::npos ? std::string_view("none") : stem.substr(start);
}

TEST(FileName, ReadsAsAPatternOfDigits) {
  EXPECT_TRUE(reads_as("model-00012-of-00345", "model-00000-of-00000"));
  EXPECT_TRUE(reads_as("", ""));
  for (const std::string_view other : {"model-0001-of-00002", "model-00001-of-000022", "Model-00001-of-00002",
                                       "model-0000x-of-00002", "", "amodel-00001-of-00002"}) {
    EXPECT_FALSE(reads_as(other, "model-00000-of-00000")) << other;
  }
  EXPECT_EQ(ascii_upper("aZ09-_\xC3\xA4z{"), "AZ09-_\xC3\xA4Z{");
}

TEST(FileName, QuantisationAtTheEnd) {
  for (const std::string_view name :
       {"Q4_0", "q4_k_m", "IQ2_XXS", "iq4_nl", "Q8_0_L", "Q4_0_4_4", "Q10", "BF16", "f16", "FP16", "F32", "fp32",
        "TQ1_0", "tq2_0", "MXFP4", "mxfp4_moe", "UD-Q2_K_XL", "ud-IQ1_S", "UD-BF16"}) {
    EXPECT_EQ(quantisation(name), name);
    for (const std::string_view before : {"m-", "m.", "m_", "folder/", "m-Q4-", "2.5-", "-", "m__"}) {
      EXPECT_EQ(quantisation(std::string(before) + std::string(name)), name) << before;
    }
    for (const std::string_view before : {"m", "\xC3\xA9", " ", "m+"}) {
      const std::string whole = std::string(before) + std::string(name);
      if (name.find('-') == std::string_view::npos) {
        EXPECT_EQ(quantisation(whole), "none") << whole;
      } else {
        EXPECT_EQ(quantisation(whole), name.substr(3)) << "the prefix is another word's end: " << whole;
      }
    }
    for (const std::string_view after : {"-", ".", "__", "-x", " ", "_\xC3\xA9", "!"}) {
      EXPECT_EQ(quantisation(std::string(name) + std::string(after)), "none") << after;
    }
  }
}

TEST(FileName, TheLongestQuantisationThatFits) {
  EXPECT_EQ(quantisation("m_Q4_Q5_K"), "Q4_Q5_K");
  EXPECT_EQ(quantisation("m_Q4__Q5_K"), "Q5_K");
  EXPECT_EQ(quantisation("m-Q4_K_F16"), "Q4_K_F16");
  EXPECT_EQ(quantisation("m_x_F16"), "F16");
  EXPECT_EQ(quantisation("UD-m_Q4"), "Q4");
}

TEST(FileName, NoQuantisation) {
  for (const std::string_view name : {"", "_", "-", "Q", "IQ", "QA", "I4", "Q4K", "TQ1", "TQ1_00", "MXFP8", "F64",
                                      "BF16_K", "model", "2.5", "UD-", "UD-x", "_K_M"}) {
    EXPECT_EQ(quantisation(name), "none") << name;
  }
}

TEST(FileName, PartsOfASplitFile) {
  using Names = std::vector<std::string>;
  EXPECT_EQ(part_names("a-00002-of-00003.gguf"),
            (Names{"a-00001-of-00003.gguf", "a-00002-of-00003.gguf", "a-00003-of-00003.gguf"}));
  EXPECT_EQ(part_names("-00001-of-00001.gguf"), Names{"-00001-of-00001.gguf"});
  EXPECT_EQ(part_names("a-00001-of-04096.gguf").back(), "a-04096-of-04096.gguf");
  for (const char* whole :
       {"", "a.gguf", "00001-of-00003.gguf", "a-1-of-3.gguf", "a-00001-of-00000.gguf", "a-00001-of-04097.gguf",
        "a-00001-of-99999.gguf", "a-00001-of-00003.GGUF", "a-00001-of-00003.gguf.part", "a-0000x-of-00003.gguf"}) {
    EXPECT_EQ(part_names(whole), Names{whole});
  }
}

// What a stranger's repository may list. A matcher that recurses, or starts anew at each character, does not come back.
TEST(FileName, NamesOfAMegabyte) {
  constexpr std::size_t kLong = std::size_t{1} << 20;
  const auto repeated = [](std::string_view part) {
    std::string out;
    while (out.size() < kLong) out += part;
    return out;
  };
  for (const std::string_view part : {"a", "_", "-", "Q4_", "_Q4", "Q4_A", "IQ", "-Q4", "UD-", "4", "_A", "\xFF"}) {
    const std::string name = repeated(part);
    EXPECT_EQ(quantisation(name + "-!"), "none") << part;
    EXPECT_EQ(quantisation("!" + name + "__"), "none") << part;
    EXPECT_EQ(quantisation(name + "-Q4_0"), "Q4_0") << part;
    EXPECT_FALSE(reads_as(name, "model-00000"));
  }
  EXPECT_EQ(quantisation("m-Q4" + repeated("_A")).size(), kLong + 2);
  EXPECT_EQ(quantisation("m-Q" + repeated("4")).size(), kLong + 1);
}

}  // namespace
}  // namespace glia
