#include "models/encoder/encoder.h"

#include <algorithm>
#include <cassert>
#include <utility>
#include <vector>

#include "formats/safetensors.h"
#include "models/blocks/arena.h"

namespace glia::models::encoder {
namespace {

using kernels::Tensor;

enum class Behind { nothing, tanh, relu };

struct Product {
  std::unique_ptr<kernels::Matrix> weight;
  DeviceVector bias;
  std::int32_t rows = 0;
  Behind behind = Behind::nothing;

  std::size_t bytes() const { return weight->bytes() + bias.bytes(); }
};

/// Products over a text's one row: those of the folder's modules, or a classifier's.
using Products = std::vector<Product>;

Product bind_product(WeightBinder& binder, const std::string& stem, std::int32_t rows, std::int32_t cols,
                     bool with_bias) {
  Product p;
  p.rows = rows;
  p.weight = binder.matrix(stem + ".weight", rows, cols);
  if (with_bias) p.bias = binder.vector(stem + ".bias", rows);
  return p;
}

Products bind_classifier(WeightBinder& binder, const Description& d) {
  Products out;
  if (d.classifier.labels.empty()) return out;
  const Classifier& c = d.classifier;
  if (!c.dense.empty()) {
    out.push_back(bind_product(binder, c.dense, d.hidden, d.hidden, true));
    out.back().behind = c.tanh ? Behind::tanh : Behind::relu;
  }
  out.push_back(bind_product(binder, c.out, static_cast<std::int32_t>(c.labels.size()), d.hidden, true));
  return out;
}

Product bind_dense(WeightBinder& binder, const DenseModule& dense) {
  Product out = bind_product(binder, dense.stem, dense.out, dense.in, dense.bias);
  if (dense.tanh) out.behind = Behind::tanh;
  return out;
}

/// `binder`: of the model's own file.
Products bind_dense(const Modules& modules, WeightBinder& own, kernels::Device* device) {
  Products out;
  for (const DenseModule& dense : modules.dense) {
    if (dense.file.empty()) {
      out.push_back(bind_dense(own, dense));
      continue;
    }
    const auto file = formats::SafetensorsFile::open(dense.file);
    WeightBinder binder(file, device, own.rounding());
    out.push_back(bind_dense(binder, dense));
    binder.check_all_used("dense");
  }
  return out;
}

struct Weights {
  std::unique_ptr<Trunk> trunk;
  Products dense, classifier;

  std::size_t bytes() const {
    std::size_t n = trunk->bytes();
    for (const Products* products : {&dense, &classifier}) {
      for (const Product& p : *products) n += p.bytes();
    }
    return n;
  }
};

Weights bind_all(const Description& d, const Modules& modules, const formats::WeightSource& source,
                 kernels::Device* device) {
  WeightBinder binder(source, device, d.rounding);
  Weights w;
  w.trunk = d.bind(binder, device);
  w.classifier = bind_classifier(binder, d);
  for (const auto& name : d.unused) binder.ignore(name);
  for (const auto& prefix : d.unused_prefixes) binder.ignore_prefix(prefix);
  w.dense = bind_dense(modules, binder, device);
  binder.check_all_used(d.architecture);
  return w;
}

class LoadedEncoder final : public EncoderModel {
 public:
  LoadedEncoder(const Description& d, const Modules& modules, Weights weights, kernels::Device& device)
      : w_(std::move(weights)), device_(device), arena_(device) {
    info_.architecture = d.architecture;
    info_.vocab = d.vocab;
    info_.context = d.context;
    info_.advised_tokens = modules.advised_tokens > 0 ? std::min(modules.advised_tokens, d.context) : d.context;
    info_.types = d.types;
    info_.layers = d.layers;
    info_.hidden = d.hidden;
    info_.width = modules.dense.empty() ? d.hidden : modules.dense.back().out;
    info_.pooling = modules.pooling;
    info_.normalises = modules.normalise;
    info_.labels = d.classifier.labels;
    info_.exclusive = d.classifier.exclusive;
    info_.weight_bytes = w_.bytes();
    for (const Products* products : {&w_.dense, &w_.classifier}) {
      for (const Product& p : *products) widest_ = std::max(widest_, p.rows);
    }
    widest_ = std::max(widest_, info_.hidden);
  }

  const EncoderInfo& info() const override { return info_; }

  void forward(std::span<const EncoderText> texts) override {
    gather(texts);
    const auto n = static_cast<std::int64_t>(tokens_.size());
    arena_.begin(Arena::floats(n, info_.hidden) +
                 std::max(w_.trunk->scratch_floats(n), 3 * Arena::floats(std::ssize(texts), widest_)));
    const Tensor states = arena_.take(n, info_.hidden);
    w_.trunk->forward({tokens_, types_, lengths_}, arena_, states);
    give_states(texts, states);
    give_rows(texts, states, EncoderOutput::vector, w_.dense);
    give_rows(texts, states, EncoderOutput::logits, w_.classifier);
  }

 private:
  void gather(std::span<const EncoderText> texts) {
    tokens_.clear();
    types_.clear();
    lengths_.clear();
    for (const EncoderText& text : texts) {
      assert(!text.tokens.empty() && (text.types.empty() || text.types.size() == text.tokens.size()));
      tokens_.insert(tokens_.end(), text.tokens.begin(), text.tokens.end());
      types_.insert(types_.end(), text.types.begin(), text.types.end());
      types_.resize(tokens_.size(), 0);
      lengths_.push_back(static_cast<std::int32_t>(text.tokens.size()));
    }
  }

  void download(std::span<float> out, Tensor rows) {
    const auto cols = static_cast<std::size_t>(rows.cols);
    assert(out.size() == static_cast<std::size_t>(rows.rows) * cols);
    for (std::int64_t r = 0; r < rows.rows; r++) {
      device_.download(out.subspan(static_cast<std::size_t>(r) * cols, cols), rows.slice_rows(r, 1).data);
    }
  }

  void give_states(std::span<const EncoderText> texts, Tensor states) {
    std::int64_t first = 0;
    for (const EncoderText& text : texts) {
      const Tensor rows = states.slice_rows(first, std::ssize(text.tokens));
      first += rows.rows;
      if (text.output != EncoderOutput::states) continue;
      if (text.normalise) device_.normalise(rows);
      download(text.out, rows);
    }
  }

  /// One row of each text that wants `output`, through the products.
  void give_rows(std::span<const EncoderText> texts, Tensor states, EncoderOutput output, const Products& products) {
    const auto wanted = [output](const EncoderText& text) { return text.output == output; };
    const std::int64_t count = std::count_if(texts.begin(), texts.end(), wanted);
    if (count == 0) return;
    const std::int64_t mark = arena_.mark();
    Tensor rows = pool(texts, states, output, count);
    Tensor other = arena_.take(count, widest_);
    Tensor next = arena_.take(count, widest_);
    for (const Product& p : products) {
      const Tensor out = next.slice_cols(0, p.rows);
      device_.matmul(out, *p.weight, rows, {}, /*accumulate=*/false, p.bias.data());
      if (p.behind == Behind::tanh) device_.softcap(out, 1.0F);
      if (p.behind == Behind::relu) device_.activate(out, kernels::Gate::relu);
      rows = out;
      std::swap(next, other);
    }
    std::int64_t row = 0;
    for (const EncoderText& text : texts) {
      if (!wanted(text)) continue;
      const Tensor one = rows.slice_rows(row++, 1);
      if (text.normalise && output == EncoderOutput::vector) device_.normalise(one);
      download(text.out, one);
    }
    arena_.rewind(mark);
  }

  Tensor pool(std::span<const EncoderText> texts, Tensor states, EncoderOutput output, std::int64_t count) {
    const Tensor rows = arena_.take(count, widest_).slice_cols(0, info_.hidden);
    std::int64_t first = 0;
    std::int64_t row = 0;
    for (const EncoderText& text : texts) {
      const std::int32_t length = static_cast<std::int32_t>(text.tokens.size());
      if (text.output == output) {
        const auto pooling = output == EncoderOutput::vector ? text.pooling : kernels::Pooling::first;
        device_.pool(rows.slice_rows(row++, 1), states.slice_rows(first, length), {&length, 1}, pooling);
      }
      first += length;
    }
    return rows;
  }

  Weights w_;
  kernels::Device& device_;
  Arena arena_;
  EncoderInfo info_;
  std::int32_t widest_ = 0;
  std::vector<std::int32_t> tokens_, types_, lengths_;  ///< of the batch
};

/// What the weights take, and of the file while they are packed: one tensor, or what a layer stacks into one.
void measure(const Description& d, const formats::WeightSource& source, kernels::FloatWeights floats,
             MemoryEstimate& out) {
  std::size_t all = 0;
  for (const auto& name : source.names()) {
    const auto begins = [&](const auto& prefix) { return name.starts_with(prefix); };
    if (std::any_of(d.unused_prefixes.begin(), d.unused_prefixes.end(), begins)) continue;
    const auto view = source.find(name);
    if (!view) continue;
    const bool table = std::find(d.tables.begin(), d.tables.end(), name) != d.tables.end();
    out.weight_bytes += table ? static_cast<std::size_t>(view->bytes()) : kernels::packed_bytes(*view, floats);
    out.mapped_bytes = std::max<std::size_t>(out.mapped_bytes, view->bytes());
    all += table ? 0 : view->bytes();
  }
  out.mapped_bytes = std::max<std::size_t>(out.mapped_bytes, all / static_cast<std::size_t>(std::max(d.layers, 1)));
}

/// Of one with a file of its own; measure() counts the others.
std::size_t weight_bytes(const DenseModule& dense, kernels::FloatWeights floats) {
  if (dense.file.empty()) return 0;
  std::size_t bytes = 0;
  const auto file = formats::SafetensorsFile::open(dense.file);
  for (const auto& name : file.names()) {
    if (const auto view = file.find(name)) bytes += kernels::packed_bytes(*view, floats);
  }
  return bytes;
}

}  // namespace

std::unique_ptr<EncoderModel> load(const Description& description, const Modules& modules,
                                   const formats::WeightSource& source, kernels::Device& device) {
  bind_all(description, modules, source, nullptr);
  return std::make_unique<LoadedEncoder>(description, modules, bind_all(description, modules, source, &device), device);
}

MemoryEstimate estimate(const Description& description, const Modules& modules, const formats::WeightSource& source,
                        kernels::FloatWeights floats) {
  if (description.rounding == kernels::Rounding::none) floats = kernels::FloatWeights::kept;
  bind_all(description, modules, source, nullptr);
  MemoryEstimate out;
  measure(description, source, floats, out);
  std::size_t widest = static_cast<std::size_t>(description.hidden);
  for (const DenseModule& dense : modules.dense) {
    out.weight_bytes += weight_bytes(dense, floats);
    widest = std::max(widest, static_cast<std::size_t>(dense.out));
  }
  out.context = description.context;
  out.least_rows = description.context;
  // What follows the trunk takes its scratch memory over. Texts of one token each have as many rows there: three in the
  // arena, and the device's copy of the operand, at most twice as large.
  const std::size_t behind = (static_cast<std::size_t>(description.hidden) + 5 * widest) * sizeof(float);
  out.row_bytes = std::max(description.row_bytes, behind);
  return out;
}

}  // namespace glia::models::encoder
