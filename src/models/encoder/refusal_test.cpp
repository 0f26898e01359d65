// Encoder folders that this code would compute wrongly, or that lie about their shapes, are refused with the name of
// the field, module or tensor. Each case is a golden folder with one thing changed; the last ones change bytes at
// random.
#include <gtest/gtest.h>
#include <unistd.h>

#include <filesystem>
#include <fstream>
#include <functional>
#include <iterator>
#include <limits>
#include <random>

#include "base/error.h"
#include "base/json.h"
#include "formats/safetensors.h"
#include "models/encoder_model.h"
#include "models/sequence_runner.h"

namespace glia::models {
namespace {

namespace fs = std::filesystem;

std::string said(const std::function<void()>& call) {
  try {
    call();
  } catch (const Error& e) {
    EXPECT_EQ(e.code(), ErrorCode::model_unavailable);
    return e.detail();
  }
  return "accepted";
}

std::string content(const fs::path& path) {
  std::ifstream file(path, std::ios::binary);
  return {std::istreambuf_iterator<char>(file), {}};
}

class EncoderRefuses : public ::testing::Test {
 protected:
  void SetUp() override {
    const auto* test = ::testing::UnitTest::GetInstance()->current_test_info();
    dir_ = fs::path(::testing::TempDir()) /
           ("glia_encoder_refuses_" + std::string(test->name()) + "_" + std::to_string(::getpid()));
  }
  void TearDown() override { fs::remove_all(dir_); }

  void copy(const std::string& name) {
    fs::remove_all(dir_);
    fs::copy(testing::golden_folder("encoders") / name, dir_, fs::copy_options::recursive);
  }
  void write(const std::string& file, const std::string& text) {
    std::ofstream(dir_ / file, std::ios::binary | std::ios::trunc) << text;
  }
  std::string refusal() const {
    const auto device = kernels::make_reference_device();
    return said([&] {
      const auto folder = formats::HfFolder::open(dir_);
      estimate_encoder_memory(folder);
      const auto model = load_encoder(folder, *device);
      const std::vector<std::int32_t> tokens = {0, 1, 2};
      std::vector<float> out(static_cast<std::size_t>(model->info().width));
      const EncoderText text{.tokens = tokens, .types = {}, .out = out};
      model->forward({&text, 1});
    });
  }
  /// One field of a JSON file of the folder, another; null takes it away.
  std::string with(const std::string& name, const std::string& file, std::string_view key, const json::value& value) {
    copy(name);
    json::object object = parse_json(content(dir_ / file)).as_object();
    if (value.is_null()) {
      object.erase(key);
    } else {
      object[key] = value;
    }
    write(file, json::serialize(object));
    return refusal();
  }
  void expect(const std::string& name, const std::string& file, std::string_view key, const json::value& value,
              std::string_view part) {
    const std::string text = with(name, file, key, value);
    EXPECT_NE(text.find(part), std::string::npos) << name << " " << key << ": it said: " << text;
  }

  fs::path dir_;
};

TEST_F(EncoderRefuses, nothing_of_a_good_folder) {
  for (const auto& entry : fs::directory_iterator(testing::golden_folder("encoders"))) {
    if (!entry.is_directory()) continue;
    copy(entry.path().filename().string());
    EXPECT_EQ(refusal(), "accepted") << entry.path();
  }
}

TEST_F(EncoderRefuses, what_it_would_compute_wrongly) {
  expect("bert", "config.json", "position_embedding_type", "relative_key", "position_embedding_type");
  expect("bert", "config.json", "position_embedding_type", "absolute", "accepted");
  expect("bert", "config.json", "is_decoder", true, "is_decoder");
  expect("bert", "config.json", "add_cross_attention", true, "add_cross_attention");
  expect("bert", "config.json", "pruned_heads", json::object{{"0", json::array{1}}}, "pruned_heads");
  expect("bert", "config.json", "hidden_act", "tanh", "hidden_act");
  expect("bert", "config.json", "alibi", true, "alibi");
  expect("bert", "config.json", "sliding_window", 128, "sliding_window");
  expect("bert", "config.json", "model_type", "nomic_bert", "model_type");
  expect("bert", "config.json", "architectures", json::array{"NomicBertModel"}, "NomicBertModel");
  expect("bert", "config.json", "architectures", json::array{"BertForTokenClassification"},
         "BertForTokenClassification");
  expect("bert", "config.json", "architectures", json::array{}, "architectures");
  expect("bert_classifier", "config.json", "problem_type", "ranking", "problem_type");
  expect("bert_classifier", "config.json", "id2label", json::object{{"0", "a"}, {"2", "b"}}, "id2label");
  expect("bert_classifier", "config.json", "id2label", json::object{{"0", "a"}, {"1", "b"}}, "classifier.weight");
}

TEST_F(EncoderRefuses, what_it_would_compute_wrongly_of_a_decoders_layers) {
  expect("qwen3_embedding", "config.json", "use_bidirectional_attention", true, "use_bidirectional_attention");
  expect("qwen3_embedding", "config.json", "is_causal", false, "is_causal");
  expect("qwen3_embedding", "config.json", "num_experts", 4, "num_experts");
  expect("qwen3_embedding", "config.json", "attention_bias", true, "q_proj.bias");
  expect("qwen3_embedding", "config.json", "num_hidden_layers", 1, "layers.1.");
  expect("qwen3_embedding", "config.json", "num_hidden_layers", 3, "layers.2.");
  expect("qwen3_embedding", "config.json", "head_dim", 30, "q_proj.weight");
  expect("qwen3_embedding", "config.json", "rope_scaling", json::object{{"rope_type", "dynamic"}}, "dynamic");
  expect("qwen3_embedding", "config.json", "architectures", json::array{"Qwen3ForSequenceClassification"},
         "Qwen3ForSequenceClassification");
  expect("embedding_gemma", "config.json", "use_bidirectional_attention", "yes", "use_bidirectional_attention");
  expect("embedding_gemma", "config.json", "attn_logit_softcapping", 50, "attn_logit_softcapping");
  expect("embedding_gemma", "config.json", "sliding_window", nullptr, "accepted");  // the class's default
  expect("embedding_gemma", "config.json", "attention_chunk_size", 8, "attention_chunk_size");
  expect("embedding_gemma", "config.json", "model_type", "gemma3", "model_type");
  expect("embedding_gemma", "config.json", "vocab_size", 56, "embed_tokens.weight");
}

/// Without modules.json it is a chat model's folder.
TEST_F(EncoderRefuses, a_decoder_that_nobody_says_encodes) {
  copy("qwen3_embedding");
  EXPECT_TRUE(encodes(formats::HfFolder::open(dir_)));
  fs::remove(dir_ / "modules.json");
  EXPECT_FALSE(encodes(formats::HfFolder::open(dir_)));
}

TEST_F(EncoderRefuses, dimensions_that_do_not_fit) {
  const json::value bad[] = {0, -1, 1.5, "36", 1e300, std::numeric_limits<std::int64_t>::max(), json::array{}, true};
  for (const char* key : {"vocab_size", "hidden_size", "num_hidden_layers", "num_attention_heads", "intermediate_size",
                          "max_position_embeddings", "type_vocab_size"}) {
    for (const json::value& value : bad) {
      EXPECT_NE(with("bert", "config.json", key, value), "accepted") << key << " " << json::serialize(value);
    }
    EXPECT_NE(with("bert", "config.json", key, 35), "accepted") << key;
  }
  for (const char* key : {"vocab_size", "dim", "n_heads", "hidden_dim", "n_layers"}) {
    expect("distilbert", "config.json", key, nullptr, key);
  }
  expect("bert", "config.json", "num_attention_heads", 5, "attention heads");
  expect("bert", "config.json", "layer_norm_eps", -1, "epsilon");
  expect("roberta", "config.json", "pad_token_id", 35, "padding");
  expect("roberta", "config.json", "pad_token_id", -1, "pad_token_id");
}

TEST_F(EncoderRefuses, modules_it_does_not_know) {
  const std::string pooling = "1_Pooling/config.json";
  expect("sentences_cls", pooling, "embedding_dimension", 63, "embedding_dimension");
  expect("sentences_cls", pooling, "pooling_mode", "weightedmean", "pooling_mode");
  expect("sentences_cls", pooling, "pooling_mode", json::array{"cls", "mean"}, "pooling_mode");
  expect("sentences_cls", pooling, "pooling_mode", "middle", "middle");
  expect("sentences_cls", pooling, "something_new", 1, "something_new");
  expect("sentences_dense", "2_Dense/config.json", "activation_function", "torch.nn.GELU", "activation_function");
  expect("sentences_dense", "2_Dense/config.json", "in_features", 63, "in_features");
  expect("sentences_dense", "2_Dense/config.json", "out_features", 47, "3_Dense");
  expect("sentences_dense", "2_Dense/config.json", "use_residual", true, "use_residual");
  expect("sentences_dense", "3_Dense/config.json", "in_features", 64, "in_features");
  expect("sentences_dense", "3_Dense/config.json", "out_features", 21, "linear.weight");
  expect("sentences_dense", "3_Dense/config.json", "bias", true, "linear.bias");
  expect("sentences_cls", "sentence_bert_config.json", "do_lower_case", true, "do_lower_case");
  expect("sentences_cls", "sentence_bert_config.json", "max_seq_length", 0, "max_seq_length");
}

TEST_F(EncoderRefuses, pooling_flags_that_are_no_choice) {
  const auto flags = [&](const json::object& modes) {
    copy("sentences_cls");
    json::object config{{"word_embedding_dimension", 64}};
    for (const auto& mode : modes) config[mode.key()] = mode.value();
    write("1_Pooling/config.json", json::serialize(config));
    return refusal();
  };
  EXPECT_EQ(flags({{"pooling_mode_cls_token", true}, {"pooling_mode_mean_tokens", false}}), "accepted");
  EXPECT_EQ(flags({}), "accepted") << "the mean, as sentence-transformers reads it";
  EXPECT_NE(flags({{"pooling_mode_cls_token", true}, {"pooling_mode_mean_tokens", true}}).find("beside"),
            std::string::npos);
  EXPECT_NE(flags({{"pooling_mode_weightedmean_tokens", true}}).find("weightedmean"), std::string::npos);
  EXPECT_NE(flags({{"pooling_mode_cls_token", 1}}).find("boolean"), std::string::npos);
}

TEST_F(EncoderRefuses, lists_of_modules_in_another_order) {
  const json::object transformer{{"path", ""}, {"type", "sentence_transformers.models.Transformer"}};
  const json::object pooling{{"path", "1_Pooling"}, {"type", "sentence_transformers.models.Pooling"}};
  const json::object normalise{{"path", "2_Normalize"}, {"type", "sentence_transformers.models.Normalize"}};
  const auto with_list = [&](const json::value& list) {
    copy("sentences_cls");
    write("modules.json", json::serialize(list));
    return refusal();
  };
  const auto of = [](std::string path, std::string type) {
    return json::object{{"path", std::move(path)}, {"type", std::move(type)}};
  };
  EXPECT_EQ(with_list(json::array{transformer, pooling, normalise}), "accepted");
  EXPECT_EQ(with_list(json::array{transformer, pooling}), "accepted");
  EXPECT_NE(with_list(json::array{pooling, transformer}), "accepted");
  EXPECT_NE(with_list(json::array{transformer}), "accepted");
  EXPECT_NE(with_list(json::array{transformer, pooling, pooling}), "accepted");
  EXPECT_NE(with_list(json::array{transformer, normalise, pooling}), "accepted");
  EXPECT_NE(with_list(json::array{transformer, pooling, normalise, pooling}), "accepted");
  EXPECT_NE(with_list(json::array{}), "accepted");
  EXPECT_NE(with_list(json::object{}), "accepted");
  EXPECT_NE(with_list(json::array{transformer, 3}), "accepted");
  EXPECT_NE(with_list(json::array(40, transformer)), "accepted");
  EXPECT_NE(with_list(json::array{of("0_Transformer", "sentence_transformers.models.Transformer"), pooling}),
            "accepted");
  EXPECT_NE(with_list(json::array{transformer, of("../1_Pooling", "sentence_transformers.models.Pooling")}),
            "accepted");
  EXPECT_NE(with_list(json::array{transformer, of("", "sentence_transformers.models.Pooling")}), "accepted");
  EXPECT_NE(with_list(json::array{transformer, of("9_Pooling", "sentence_transformers.models.Pooling")}), "accepted");
  EXPECT_NE(with_list(json::array{transformer, pooling, of("x", "sentence_transformers.models.LSTM")}).find("LSTM"),
            std::string::npos);
  EXPECT_NE(with_list(json::array{transformer, of("1_Pooling", "custom.Pooling")}).find("custom"), std::string::npos);
}

TEST_F(EncoderRefuses, a_folder_that_only_generates) {
  const auto llama = formats::HfFolder::open(testing::golden_folder("llama") / "odd");
  EXPECT_FALSE(encodes(llama));
  EXPECT_NE(said([&] { estimate_encoder_memory(llama); }).find("LlamaForCausalLM"), std::string::npos);
}

/// Every file of a folder with bytes changed or cut: an error of ours, or a model that runs.
TEST_F(EncoderRefuses, hostile_bytes_without_harm) {
  std::mt19937 random(7);
  for (const std::string name :
       {"sentences_dense", "distilbert_sentiment", "xlm_roberta_reranker", "qwen3_embedding", "embedding_gemma"}) {
    copy(name);
    std::vector<std::pair<fs::path, std::string>> files;
    for (const auto& entry : fs::recursive_directory_iterator(dir_)) {
      if (entry.is_regular_file()) files.emplace_back(entry.path(), content(entry.path()));
    }
    for (int round = 0; round < 150; round++) {
      const auto& [path, good] = files[random() % files.size()];
      std::string bad = good;
      if (round % 3 == 0 && !bad.empty()) bad.resize(random() % bad.size());
      const std::size_t range = std::min<std::size_t>(bad.size(), round % 2 == 0 ? 300 : bad.size());
      for (int i = 0; i < 3 && range > 0; i++) bad[random() % range] = static_cast<char>(random() % 128);
      std::ofstream(path, std::ios::binary | std::ios::trunc) << bad;
      refusal();
      std::ofstream(path, std::ios::binary | std::ios::trunc) << good;
    }
  }
}

}  // namespace
}  // namespace glia::models
