// The device seam: what a model may ask of a CPU (or, later, a GPU). Models hold Tensors and Matrices and call these
// ops; they never touch an element. cpu_device.cpp implements it with one source per kernel compiled for every
// instruction set; reference_device.cpp implements it in plain float64 loops and is what tests compare against.
//
// Numbers: activations are float32. MathMode::exact multiplies float32 activations with exactly dequantised weights;
// MathMode::fast rounds activations to 16-bit integers with one scale per 256 columns (Activations::int8: to 8 bits
// with one per 32 columns) and sums their products with quantised weights exactly; float weights, FP8 among them, it
// multiplies as exact mode does, unless it may round them (Rounding).
// Batch invariance: the bits of an output row depend only on that row's inputs, never on how many rows are in the call,
// how they are split over threads, or what the other rows hold.
// Errors: sizes that do not fit are programmer errors (assert); load_matrix throws glia::Error for unusable weights.
// Thread rule: one thread drives a device at a time; the device uses its own pool inside an op.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <span>
#include <string_view>
#include <vector>

#include "tensor/dtype.h"
#include "tensor/view.h"

namespace glia::kernels {

class PackedStore;

enum class MathMode { exact, fast };
/// What fast mode rounds the activations of a product with quantised weights to. int8, as llama.cpp rounds, multiplies
/// up to twice as fast; small models then take another token now and then (docs/settings.md has figures).
enum class Activations { int16, int8 };

/// Whether fast mode may round float32, float16 and bfloat16 weights, whose products then are those of integers too:
/// about twice as fast. Exact mode never does.
enum class Rounding { none, allowed };
/// What becomes of weights that may be rounded. int12: integers in [-2047, 2047] with a float32 scale per 128 columns,
/// times activations in [-8191, 8191] scaled likewise. int8: as Q8_0, times activations of 8 bits. Rows that are not
/// whole blocks of 32 columns are kept.
enum class FloatWeights { kept, int12, int8 };
constexpr FloatWeights rounded_weights(MathMode math, Activations activations) {
  if (math == MathMode::exact) return FloatWeights::kept;
  return activations == Activations::int8 ? FloatWeights::int8 : FloatWeights::int12;
}

/// Owned device memory. Freed with the object.
class Allocation {
 public:
  virtual ~Allocation() = default;
  virtual std::byte* data() = 0;
  virtual std::size_t bytes() const = 0;
};

/// Borrowed float32 matrix [rows, cols] on the device; row r starts at data + r * stride (in floats). `data` is device
/// memory: only the device reads it.
struct Tensor {
  float* data = nullptr;
  std::int64_t rows = 0;
  std::int64_t cols = 0;
  std::int64_t stride = 0;

  /// Rows [first, first + count).
  Tensor slice_rows(std::int64_t first, std::int64_t count) const {
    return {data + first * stride, count, cols, stride};
  }
  /// Columns [first, first + count) of every row.
  Tensor slice_cols(std::int64_t first, std::int64_t count) const { return {data + first, rows, count, stride}; }
};

/// Weights in the layout that the device's matmul reads; one or several file tensors stacked by rows (q, k and v for
/// example), each in its own type.
class Matrix {
 public:
  virtual ~Matrix() = default;
  virtual std::int64_t rows() const = 0;  ///< outputs
  virtual std::int64_t cols() const = 0;  ///< inputs
  virtual std::size_t bytes() const = 0;  ///< resident
};

/// What keys and values are kept as. Exact mode keeps float32 whatever is asked for. f16 and bf16 multiply in float32;
/// int16 and int8 are integers with one scale per position and kv head, and multiply as integers.
enum class KvType { f32, f16, bf16, int16, int8 };

struct KvShape {
  std::int32_t layers = 0;
  std::int32_t kv_heads = 0;
  std::int32_t head_dim = 0;
  std::int32_t page_tokens = 0;  ///< positions per page
  std::int32_t pages = 0;
};

/// Keys and values of every layer in pages of `page_tokens` positions. Page ids are dense, [0, pages); who owns which
/// page is the engine's business.
class KvCache {
 public:
  virtual ~KvCache() = default;
  virtual const KvShape& shape() const = 0;
  virtual std::size_t bytes() const = 0;
};

/// Where the rows of a batch stand. Row i is position positions[i] of sequence sequences[i], whose position p lives in
/// page page_tables[sequences[i]][p / page_tokens], slot p % page_tokens. A row attends to positions [0, positions[i]]
/// of its own sequence, all of which must have been written (rows of the same batch count: a layer writes before it
/// attends).
struct Rows {
  std::span<const std::int32_t> positions;
  std::span<const std::int32_t> sequences;
  std::span<const std::span<const std::int32_t>> page_tables;
};

/// interleaved: pairs (2i, 2i+1), as GGUF's llama weights are permuted for. halves: pairs (i, i + dim/2), Hugging Face.
enum class RopeLayout { interleaved, halves };

struct Rope {
  RopeLayout layout = RopeLayout::halves;
  std::int32_t dims = 0;            ///< leading dimensions of a head that are rotated; even
  std::span<const float> inv_freq;  ///< [dims / 2], radians per position
  float attention_scale = 1.0F;     ///< multiplies cos and sin (yarn)
};

struct Norm {
  const float* weight = nullptr;  ///< [cols], device memory
  float eps = 0;
};

/// relu: max(x, 0). silu: x sigmoid(x). gelu_tanh: x (1 + tanh(sqrt(2 / pi) (x + 0.044715 x^3))) / 2. gelu: x (1 +
/// erf(x / sqrt 2)) / 2. clamped_swiglu (gpt-oss): y sigmoid(1.702 y), y = min(x, 7), and times clamp(up, -7, 7) + 1
/// where the others multiply by up.
enum class Gate { silu, gelu_tanh, gelu, clamped_swiglu, relu };

struct AttentionOptions {
  float scale = 1;               ///< of q k^T
  std::int32_t window = 0;       ///< a row at position p sees (p - window, p]; 0: all of [0, p]
  float softcap = 0;             ///< a score s becomes softcap tanh(s / softcap); 0: stays
  const float* sinks = nullptr;  ///< [heads], device memory: one more logit in the softmax's denominator; or null
  std::int32_t chunk = 0;        ///< a row at position p sees nothing before p - p % chunk; 0: that is no border
  /// The scores of the row at position p are multiplied by 1 + temperature_scale ln(1 + floor((p + 1) /
  /// temperature_floor)) first (Llama 4); 0: they are not.
  std::int32_t temperature_floor = 0;
  float temperature_scale = 0;
};

enum class RouterScore { softmax, sigmoid };

/// Rows to look up by number, each as the file has it. Unlike a Matrix it is no operand of a product.
class Table {
 public:
  virtual ~Table() = default;
  virtual std::int64_t rows() const = 0;
  virtual std::int64_t cols() const = 0;
  virtual std::size_t bytes() const = 0;  ///< resident
};

struct Lookup {
  const Table* table = nullptr;
  std::span<const std::int32_t> ids;  ///< [n], rows of the table
};

/// Of rows that see their whole text.
struct TextAttention {
  std::int32_t kv_heads = 0;  ///< head h reads kv head h / (heads / kv_heads)
  std::int32_t head_dim = 0;
  float scale = 1;          ///< of q k^T
  std::int32_t window = 0;  ///< a row at position p sees (p - window, p + window) of its text; 0: all of it
  bool causal = false;      ///< and nothing behind itself
};

/// What becomes of a text's rows: the first (BERT's [CLS]), the last, their mean, or the largest of each column.
enum class Pooling { first, last, mean, max };

/// Feed-forward blocks of which a router chooses a few per row:
///   out = sum over the chosen e of w_e (W_down,e (gate(W_gate,e x) * W_up,e x + b) + b'),
/// in ascending order of e. The chosen are the `used` largest router logits, the lower index where two are equal.
struct Experts {
  const Matrix* gate_up =
      nullptr;                   ///< [count * 2 ff, hidden]: per expert gate, then up; its parts end where experts do
  const Matrix* down = nullptr;  ///< [count * hidden, ff]: likewise
  const float* gate_up_bias = nullptr;  ///< [count * 2 ff], device memory, or null
  const float* down_bias = nullptr;     ///< [count * hidden], device memory, or null
  std::int32_t count = 0;
  std::int32_t used = 0;  ///< chosen per row, at most count
  Gate gate = Gate::silu;
  RouterScore score = RouterScore::softmax;  ///< of the logits, over all experts
  bool normalise = false;                    ///< the chosen scores are divided by their sum
  float scale = 1;                           ///< and multiplied by this: w
  bool scale_input = false;                  ///< w multiplies x instead of the expert's output
};

class Device {
 public:
  virtual ~Device() = default;
  virtual std::string_view name() const = 0;  ///< e.g. "cpu avx512", for logs and `glia version`
  virtual MathMode math() const = 0;

  virtual std::unique_ptr<Allocation> allocate(std::size_t bytes) = 0;
  /// Host to device and back; counts are in floats.
  virtual void upload(float* device, std::span<const float> host) = 0;
  virtual void download(std::span<float> host, const float* device) = 0;

  /// Packs `parts` ([rows_i, cols] each, same cols) stacked by rows. The views may be dropped afterwards.
  virtual std::unique_ptr<Matrix> load_matrix(std::span<const tensor::View> parts,
                                              Rounding rounding = Rounding::none) = 0;
  /// load_matrix asks `store` first from now on; null: none. It must live until another is set.
  virtual void use_store(PackedStore* /*store*/) {}
  virtual std::unique_ptr<KvCache> create_kv_cache(const KvShape& shape) = 0;
  /// [rows, cols] of any type but integers, which is kept. The view may be dropped afterwards.
  virtual std::unique_ptr<Table> load_table(const tensor::View& view) = 0;

  /// out[i, :] = table[ids[i], :], exactly dequantised in both modes. out: [ids.size(), table.cols()]
  virtual void embed(Tensor out, const Matrix& table, std::span<const std::int32_t> ids) = 0;
  /// out[i, j] = x[i, j] * weight[j] / sqrt(mean_j(x[i, j]^2) + eps). out may be x.
  virtual void rms_norm(Tensor out, Tensor x, Norm norm) = 0;
  /// The experts' weighted sum for every row of x, or out += it with `accumulate`; x is RMS-normalised first where
  /// norm.weight is set. out, x: [n, hidden], out may be x; logits: [n, count], of the router.
  virtual void experts(Tensor out, const Experts& experts, Tensor x, Norm norm, Tensor logits, bool accumulate) = 0;
  /// out[i, :] += sigmoid(logit[i, 0]) * x[i, :]
  virtual void add_weighted(Tensor out, Tensor x, Tensor logit) = 0;
  /// out = x W^T, or out += x W^T with `accumulate`; x is RMS-normalised first where norm.weight is set (x itself is
  /// left alone). x: [n, W.cols()], out: [n, W.rows()]. `bias`: [W.rows()] or null.
  virtual void matmul(Tensor out, const Matrix& w, Tensor x, Norm norm = {}, bool accumulate = false,
                      const float* bias = nullptr) = 0;
  /// In place, every head of every row: x[j] *= norm.weight[j] / sqrt(mean_j(x[j]^2) + eps). x: [n, heads * head_dim],
  /// norm.weight: [head_dim]
  virtual void head_norm(Tensor x, std::int32_t head_dim, Norm norm) = 0;
  /// out[i, j] = (x[i, j] - mean_i) / sqrt(variance_i + eps) * weight[j] + bias[j]. weight: [cols], bias: [cols] or
  /// null, device memory. out may be x.
  virtual void layer_norm(Tensor out, Tensor x, const float* weight, const float* bias, float eps) = 0;
  /// out[i, j] = gate(x[i, j]) * x[i, cols/2 + j] for j < cols/2. x: [n, 2f] (gate, up), out: [n, f].
  virtual void gate(Tensor out, Tensor x, Gate gate) = 0;
  /// x = gate(x)
  virtual void activate(Tensor x, Gate gate) = 0;
  /// x *= factor
  virtual void scale(Tensor x, float factor) = 0;
  /// x = cap tanh(x / cap), cap > 0
  virtual void softcap(Tensor x, float cap) = 0;
  /// out += x
  virtual void add(Tensor out, Tensor x) = 0;
  /// Rotates every head of every row in place. x: [n, heads * head_dim]
  virtual void rope(Tensor x, std::int32_t head_dim, const Rope& rope, std::span<const std::int32_t> positions) = 0;
  /// Stores k and v ([n, kv_heads * head_dim]) at the rows' places in `layer`.
  virtual void kv_write(KvCache& cache, std::int32_t layer, Tensor k, Tensor v, const Rows& rows) = 0;
  /// Causal attention with grouped queries: head h reads kv head h / (heads / kv_heads); softmax(scale * q k^T) v, with
  /// what the options add. out, q: [n, heads * head_dim]
  virtual void attention(Tensor out, Tensor q, const KvCache& cache, std::int32_t layer,
                         const AttentionOptions& options, const Rows& rows) = 0;

  // Whole texts, end to end without padding: the first lengths[0] rows are one text, the next lengths[1] another. What
  // comes out for a text depends on its rows alone, to the bit. Each length is at least 1; their sum is n.

  /// out[i, :] = the float32 sum, in order, of every lookup's table[ids[i], :] exactly dequantised. out: [n, cols]
  virtual void lookup(Tensor out, std::span<const Lookup> lookups) = 0;
  /// Attention within each text: softmax(scale q k^T) v over the rows that the window leaves.
  /// out, q: [n, heads * head_dim]; k, v: [n, kv_heads * head_dim]; out must not overlap k or v.
  virtual void text_attention(Tensor out, Tensor q, Tensor k, Tensor v, std::span<const std::int32_t> lengths,
                              const TextAttention& options) = 0;
  /// One row per text. out: [lengths.size(), cols], x: [n, cols]
  virtual void pool(Tensor out, Tensor x, std::span<const std::int32_t> lengths, Pooling pooling) = 0;
  /// Divides every row by its length, by 1e-12 where that is more.
  virtual void normalise(Tensor x) = 0;
};

/// What a CPU device's load_matrix will take for a tensor of a file, [rows, cols] or a stack [n, rows, cols] whose
/// matrices are packed one by one; a vector's own bytes. `floats`: what becomes of float weights.
std::size_t packed_bytes(const tensor::View& view, FloatWeights floats = FloatWeights::kept);

/// Bytes of keys and values in one page of one layer, as a CPU device keeps them.
std::size_t kv_page_bytes(MathMode math, KvType type, std::int32_t kv_heads, std::int32_t head_dim,
                          std::int32_t page_tokens);

inline constexpr KvType kDefaultKvType = KvType::int16;

struct CpuOptions {
  std::int32_t threads = 0;  ///< 0: every core this process may use
  MathMode math = MathMode::fast;
  std::string_view isa = {};                     ///< as available_isas(); "" takes GLIA_CPU, else the best this CPU has
  KvType kv = kDefaultKvType;                    ///< in fast mode
  Activations activations = Activations::int16;  ///< in fast mode
};

/// Errors: throws glia::Error(invalid_input) for an instruction set that is unknown or that this CPU lacks.
std::unique_ptr<Device> make_cpu_device(const CpuOptions& options);
/// Plain float64 loops over exactly dequantised weights; slow, for tests.
std::unique_ptr<Device> make_reference_device();
/// Instruction sets compiled in that this CPU can run, best first.
std::vector<std::string_view> available_isas();

}  // namespace glia::kernels
