#include "api/openai/embeddings.h"

#include <algorithm>
#include <bit>
#include <cmath>
#include <cstring>
#include <span>
#include <vector>

#include <boost/beast/core/detail/base64.hpp>

#include "api/encoding_format.h"
#include "base/error.h"

namespace glia::api {
namespace {

static_assert(std::endian::native == std::endian::little);

constexpr std::int64_t kMostDimensions = 1 << 16;

json::value texts_of(json::value input) {
  const auto is_number = [](const json::value& v) { return v.is_number(); };
  if (input.is_array()) {
    const auto& list = input.get_array();
    const bool ids = std::any_of(list.begin(), list.end(), [&](const json::value& v) {
      return is_number(v) || (v.is_array() && !v.get_array().empty() && is_number(v.get_array()[0]));
    });
    if (ids) refuse_parameter("input", "token ids are of another model's vocabulary here; send the texts");
  }
  return input;
}

/// The first `width` values, of length 1 again.
std::vector<float> shortened(std::span<const float> vector, std::size_t width) {
  std::vector<float> out(vector.begin(), vector.begin() + static_cast<std::ptrdiff_t>(width));
  double squares = 0;
  for (const float x : out) squares += static_cast<double>(x) * static_cast<double>(x);
  if (squares > 0 && width < vector.size()) {
    for (float& x : out) x = static_cast<float>(static_cast<double>(x) / std::sqrt(squares));
  }
  return out;
}

class EmbeddingsFormat final : public TextFormat {
 public:
  EmbeddingsFormat(bool base64, std::optional<std::size_t> dimensions) : base64_(base64), dimensions_(dimensions) {}

  std::string encoded(const tasks::RunInfo& info, const tasks::EncodingResult& result) override {
    const auto& vectors = std::get<tasks::Embeddings>(result.answer);
    const std::size_t width = std::min(dimensions_.value_or(vectors.width), vectors.width);
    std::string out = R"({"object":"list","data":[)";
    out.reserve(vectors.values.size() * 13 + 256);
    for (std::size_t at = 0, i = 0; at < vectors.values.size(); at += vectors.width, i++) {
      if (i > 0) out += ',';
      out += R"({"object":"embedding","index":)" + std::to_string(i) + R"(,"embedding":)";
      append_vector(out, shortened(std::span(vectors.values).subspan(at, vectors.width), width));
      out += '}';
    }
    out += R"(],"model":)" + json::serialize(json::string(info.model)) + R"(,"usage":)";
    const auto tokens = result.usage.prompt_tokens;
    return out + json::serialize(json::object{{"prompt_tokens", tokens}, {"total_tokens", tokens}}) + "}";
  }

  // The route takes ids of the task Text Embeddings alone, which give no text.
  std::string whole(const tasks::RunInfo&, const tasks::TextResult&) override { throw Error(ErrorCode::internal); }
  std::string piece(std::string_view) override { throw Error(ErrorCode::internal); }
  std::string last(const tasks::TextResult&) override { throw Error(ErrorCode::internal); }

 private:
  void append_vector(std::string& out, const std::vector<float>& vector) const {
    if (!base64_) return append_floats(out, vector);
    namespace base64 = boost::beast::detail::base64;
    const std::size_t bytes = vector.size() * sizeof(float);
    std::string text(base64::encoded_size(bytes), 0);
    text.resize(base64::encode(text.data(), vector.data(), bytes));
    out += '"' + text + '"';
  }

  const bool base64_;
  const std::optional<std::size_t> dimensions_;
};

}  // namespace

EmbeddingsRequest read_embeddings_request(json::object body) {
  EmbeddingsRequest out;
  out.model = model_of(body);
  if (!body.contains("input")) refuse_parameter("input", "missing");
  for (auto& [key, value] : body) {
    const std::string name(key);
    if (name == "input") {
      out.inputs["text"] = texts_of(std::move(value));
    } else if (name == "encoding_format") {
      if (value.is_null()) continue;
      if (!value.is_string() || (value.get_string() != "float" && value.get_string() != "base64")) {
        refuse_parameter(name, "\"float\" or \"base64\" is expected");
      }
      out.base64 = value.get_string() == "base64";
    } else if (name == "dimensions") {
      if (value.is_null()) continue;
      if (!value.is_int64() || value.get_int64() < 1 || value.get_int64() > kMostDimensions) {
        refuse_parameter(name, "an integer from 1 is expected");
      }
      out.dimensions = static_cast<std::size_t>(value.get_int64());
    } else if (name == "model" || name == "user") {
      continue;
    } else if (name == "options") {
      out.options = std::move(value);
    } else {
      out.inputs[name] = std::move(value);  // the task's own (pooling); what it does not know is named in a note
    }
  }
  return out;
}

std::unique_ptr<TextFormat> embeddings_format(bool base64, std::optional<std::size_t> dimensions) {
  return std::make_unique<EmbeddingsFormat>(base64, dimensions);
}

}  // namespace glia::api
