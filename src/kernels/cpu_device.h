// The CPU's implementation of the device interface: cuts every op into pieces for the pool and calls the chosen
// instruction set's kernels on them. Scratch memory grows to the largest batch seen and is kept.
#pragma once

#include <algorithm>
#include <memory>
#include <vector>

#include "base/thread_pool.h"
#include "kernels/cpu_isa.h"
#include "kernels/cpu_kv_cache.h"
#include "kernels/cpu_matrix.h"
#include "kernels/device.h"
#include "kernels/page_buffer.h"

namespace glia::kernels {

class CpuDevice final : public Device {
 public:
  CpuDevice(const Isa& isa, const CpuOptions& options);
  ~CpuDevice() override;

  std::string_view name() const override { return isa_.device_name; }
  MathMode math() const override { return math_; }
  std::unique_ptr<Allocation> allocate(std::size_t bytes) override;
  void upload(float* device, std::span<const float> host) override;
  void download(std::span<float> host, const float* device) override;
  std::unique_ptr<Matrix> load_matrix(std::span<const tensor::View> parts, Rounding rounding) override;
  void use_store(PackedStore* store) override { store_ = store; }
  std::unique_ptr<KvCache> create_kv_cache(const KvShape& shape) override;

  void embed(Tensor out, const Matrix& table, std::span<const std::int32_t> ids) override;
  void rms_norm(Tensor out, Tensor x, Norm norm) override;
  void matmul(Tensor out, const Matrix& w, Tensor x, Norm norm, bool accumulate, const float* bias) override;
  void head_norm(Tensor x, std::int32_t head_dim, Norm norm) override;
  void layer_norm(Tensor out, Tensor x, const float* weight, const float* bias, float eps) override;
  void gate(Tensor out, Tensor x, Gate gate) override;
  void activate(Tensor x, Gate gate) override;
  void scale(Tensor x, float factor) override;
  void softcap(Tensor x, float cap) override;
  void add(Tensor out, Tensor x) override;
  void experts(Tensor out, const Experts& experts, Tensor x, Norm norm, Tensor logits, bool accumulate) override;
  void add_weighted(Tensor out, Tensor x, Tensor logit) override;
  void rope(Tensor x, std::int32_t head_dim, const Rope& rope, std::span<const std::int32_t> positions) override;
  void kv_write(KvCache& cache, std::int32_t layer, Tensor k, Tensor v, const Rows& rows) override;
  void attention(Tensor out, Tensor q, const KvCache& cache, std::int32_t layer, const AttentionOptions& options,
                 const Rows& rows) override;

  std::unique_ptr<Table> load_table(const tensor::View& view) override;
  void lookup(Tensor out, std::span<const Lookup> lookups) override;
  void text_attention(Tensor out, Tensor q, Tensor k, Tensor v, std::span<const std::int32_t> lengths,
                      const TextAttention& options) override;
  void pool(Tensor out, Tensor x, std::span<const std::int32_t> lengths, Pooling pooling) override;
  void normalise(Tensor x) override;

 private:
  /// Queries [first_query, first_query + queries) of the rows of one sequence from first_row on, counted row by row and
  /// within a row over the heads that share kv_head.
  struct AttentionTile {
    std::int64_t first_row;
    std::int32_t first_query;
    std::int32_t queries;
    std::int32_t kv_head;
    std::int32_t begin = 0, end = 0;  ///< positions of a part of a tile, in whole chunks; 0, 0: all
    std::int64_t partial = 0;         ///< of a part: floats before its results
  };
  /// Rows from `first` on whose keys and values go to the places from `place` on, counted through all pages.
  struct TextRun {
    std::int64_t first;
    std::int32_t place, tokens;
  };
  /// Queries [first_query, first_query + queries) of a text, counted as above, that read one kv head.
  struct TextTile {
    std::int64_t first_row;
    std::int64_t first_page;
    std::int32_t length;
    std::int32_t first_query;
    std::int32_t queries;
    std::int32_t kv_head;
  };
  struct Product;
  struct Piece;
  struct PieceShape;

  /// Which experts the rows of one call chose, and where their activations lie: one slot per choice, slots of the same
  /// expert side by side, each expert's starting at a panel.
  struct Routes {
    std::vector<std::int32_t> order;                        ///< [rows * experts], scratch
    std::vector<std::int32_t> chosen;                       ///< [rows * used], ascending within a row
    std::vector<float> weights;                             ///< [rows * used]
    std::vector<std::int64_t> slots;                        ///< [rows * used]
    std::vector<std::int64_t> rows, first_slot, next_slot;  ///< by expert
    std::int64_t slot_count = 0;
  };

  /// Calls body(row) for every row: here when the work is small, else over the pool. `row_work`: elements touched.
  template <class Body>
  void for_rows(std::int64_t rows, std::int64_t row_work, Body body);
  Product product_of(Tensor out, const CpuMatrix& w, bool accumulate, const float* bias) const;
  PieceShape shape_of(const Product& product) const;
  /// Room for that many rows of activations as `product` reads them.
  void reserve_panels(const Product& product, std::int64_t rows);
  std::int64_t quant_bytes() const { return int8_ ? 1 : kQuantBytes; }
  /// x * factor * weight (x where weight is null) as row r of the panels.
  void pack_row(const Product& product, std::int64_t r, const float* x, float factor, const float* weight, int worker);
  void multiply(const Product& product, const Piece& piece) const;
  /// Its groups [begin, end) of a part of words.
  void multiply_words(const Product& product, const Piece& piece, const CpuMatrix::Part& part, std::int64_t begin,
                      std::int64_t end) const;
  void route(const Experts& experts, Tensor logits);
  void multiply_experts(const Product& product, std::int64_t expert_rows);
  void run_experts(Tensor out, const Experts& experts, Tensor x, Norm norm, Tensor logits, bool accumulate);
  /// Fills tiles_; `split`: into tiles whose positions are shared out, else into tiles that every thread gets some of.
  void cut_attention(const Rows& rows, std::int32_t kv_heads, std::int32_t group, bool split);
  /// Fills parts_: every tile cut into ranges of chunks.
  void split_tiles(const Rows& rows, std::int32_t group, const AttentionOptions& options, std::int64_t value_cols);
  AttentionTask task_of(const AttentionTile& tile, int worker, Tensor out, Tensor q, const CpuKvCache& cache,
                        std::int32_t layer, const AttentionOptions& options, const Rows& rows) const;
  AttentionKernel attention_kernel(KvType type) const;
  /// Puts the texts' keys and values into text_kv_ and fills text_tiles_. Returns the work, in elements of products.
  std::int64_t cut_texts(Tensor k, Tensor v, std::span<const std::int32_t> lengths, const TextAttention& options,
                         std::int32_t group);
  void attend_text(const TextTile& tile, int worker, Tensor out, Tensor q, const TextAttention& options) const;
  const float* angles(const Rope& rope, std::span<const std::int32_t> positions);

  /// Elements below which waking other threads costs more than it saves.
  static constexpr std::int64_t kInlineWork = 8192;
  /// The same of attention, in products of a query's and a key's elements.
  static constexpr std::int64_t kInlineAttention = 65536;

  const Isa& isa_;
  const KernelTable& kernels_;
  MathMode math_;
  KvType kv_type_;
  bool int8_;             ///< activations
  FloatWeights rounded_;  ///< of those that may be
  ThreadPool pool_;
  PackedStore* store_ = nullptr;
  PageBuffer x_quants_, x_scales_, x_floats_;  ///< activation panels
  PageBuffer x_words_, x_word_scales_;         ///< for words
  std::vector<PageBuffer> row_scratch_;        ///< one row of floats per worker
  std::vector<PageBuffer> attention_scratch_;  ///< per worker
  std::vector<AttentionTile> tiles_, parts_;
  PageBuffer partials_;
  std::unique_ptr<CpuKvCache> text_kv_;  ///< keys and values of one layer's texts; grows, is kept
  std::vector<TextRun> text_runs_;
  std::vector<std::int32_t> text_pages_;
  std::vector<TextTile> text_tiles_;
  Routes routes_;
  std::vector<Piece> expert_pieces_;
  PageBuffer expert_hidden_, expert_out_;  ///< a row per slot: between the two products, and behind them
  // Cosines and sines of the last batch: every layer asks for the same ones.
  std::vector<std::int32_t> angle_positions_;
  std::vector<float> angle_inv_freq_;
  float angle_scale_ = 0;
  PageBuffer angles_;
};

template <class Body>
void CpuDevice::for_rows(std::int64_t rows, std::int64_t row_work, Body body) {
  if (rows * row_work <= kInlineWork || pool_.size() == 1) {
    for (std::int64_t r = 0; r < rows; r++) body(r, 0);
    return;
  }
  const std::int64_t chunk = std::max<std::int64_t>(1, kInlineWork / 2 / row_work);
  pool_.for_each(static_cast<std::uint32_t>((rows + chunk - 1) / chunk), [&](std::uint32_t i, int worker) {
    const std::int64_t end = std::min(rows, (i + std::int64_t{1}) * chunk);
    for (std::int64_t r = i * chunk; r < end; r++) body(r, worker);
  });
}

}  // namespace glia::kernels
