// CpuDevice's ops over whole texts. Attention is the paged kernels' (isa/attention_tile.h): keys and values of a layer
// go into pages of a cache that lives for the call, and a query may see its text from end to end instead of up to
// itself. The bits of a row then depend on positions within its text alone, as there.
#include <algorithm>
#include <cassert>
#include <cmath>
#include <cstring>

#include "base/error.h"
#include "kernels/cpu_device.h"

namespace glia::kernels {
namespace {

constexpr std::int32_t kPageTokens = 64;
/// Tokens whose keys share cache lines: one thread writes them, or two would take the lines from each other.
constexpr std::int32_t kLineTokens = 16;
/// Queries that a thread takes at a time: enough to be worth its while, and the keys stay in its cache.
constexpr std::int32_t kTileQueries = 64;

float* row(const Tensor& t, std::int64_t r) { return t.data + r * t.stride; }

class CpuTable final : public Table {
 public:
  explicit CpuTable(const tensor::View& view)
      : type_(view.dtype),
        rows_(static_cast<std::int64_t>(view.rows())),
        cols_(static_cast<std::int64_t>(view.cols())),
        row_bytes_(static_cast<std::size_t>(tensor::row_bytes(view.dtype, view.cols()))),
        data_(static_cast<std::size_t>(view.bytes())) {
    constexpr std::uint64_t kRows = 1024;
    std::vector<std::byte> scratch;
    for (std::uint64_t first = 0; first < view.rows(); first += kRows) {
      const auto rows = tensor::read_rows(view, first, std::min(kRows, view.rows() - first), scratch);
      std::memcpy(data_.data() + first * row_bytes_, rows.data(), rows.size());
    }
  }
  std::int64_t rows() const override { return rows_; }
  std::int64_t cols() const override { return cols_; }
  std::size_t bytes() const override { return data_.bytes(); }

  void read_row(std::int64_t r, float* out) const {
    assert(r >= 0 && r < rows_);
    const std::span<const std::byte> in(
        reinterpret_cast<const std::byte*>(data_.data()) + static_cast<std::size_t>(r) * row_bytes_, row_bytes_);
    if (type_ == tensor::DType::f32) {
      std::memcpy(out, in.data(), in.size());
    } else {
      tensor::dequantize_row(type_, in, {out, static_cast<std::size_t>(cols_)});
    }
  }

 private:
  tensor::DType type_;
  std::int64_t rows_, cols_;
  std::size_t row_bytes_;
  PageBuffer data_;
};

}  // namespace

std::unique_ptr<Table> CpuDevice::load_table(const tensor::View& view) {
  if (tensor::is_integer(view.dtype) || view.dtype == tensor::DType::f8_e4m3) {
    throw Error(ErrorCode::model_unavailable,
                "a table of type " + std::string(tensor::info(view.dtype).name) + " cannot be looked up");
  }
  return std::make_unique<CpuTable>(view);
}

void CpuDevice::lookup(Tensor out, std::span<const Lookup> lookups) {
  for (PageBuffer& scratch : row_scratch_) scratch.reserve(static_cast<std::size_t>(out.cols) * sizeof(float));
  for_rows(out.rows, static_cast<std::int64_t>(lookups.size()) * out.cols, [&](std::int64_t r, int worker) {
    auto* more = row_scratch_[static_cast<std::size_t>(worker)].as<float>();
    for (std::size_t i = 0; i < lookups.size(); i++) {
      const auto& table = static_cast<const CpuTable&>(*lookups[i].table);
      assert(table.cols() == out.cols);
      table.read_row(lookups[i].ids[static_cast<std::size_t>(r)], i == 0 ? row(out, r) : more);
      if (i > 0) kernels_.add(row(out, r), more, out.cols, 1.0F);
    }
  });
}

std::int64_t CpuDevice::cut_texts(Tensor k, Tensor v, std::span<const std::int32_t> lengths,
                                  const TextAttention& options, std::int32_t group) {
  text_runs_.clear();
  text_tiles_.clear();
  std::int64_t work = 0;
  std::int32_t pages = 0;
  std::int64_t first = 0;
  for (const std::int32_t n : lengths) {
    for (std::int32_t p = 0; p < n; p += kLineTokens) {
      text_runs_.push_back({first + p, pages * kPageTokens + p, std::min(kLineTokens, n - p)});
    }
    for (std::int32_t head = 0; head < options.kv_heads; head++) {
      for (std::int32_t query = 0; query < n * group; query += kTileQueries) {
        text_tiles_.push_back({first, pages, n, query, std::min(kTileQueries, n * group - query), head});
      }
    }
    first += n;
    pages += (n + kPageTokens - 1) / kPageTokens;
    work += std::int64_t{n} * n * options.kv_heads * group * options.head_dim;
  }
  assert(first == k.rows);
  // Long texts first, so that no thread starts one at the end.
  std::stable_sort(text_tiles_.begin(), text_tiles_.end(),
                   [](const TextTile& a, const TextTile& b) { return a.length > b.length; });
  while (static_cast<std::int32_t>(text_pages_.size()) < pages) {
    text_pages_.push_back(static_cast<std::int32_t>(text_pages_.size()));
  }
  const bool fits = text_kv_ && text_kv_->shape().pages >= pages && text_kv_->shape().kv_heads == options.kv_heads &&
                    text_kv_->shape().head_dim == options.head_dim;
  if (!fits) {
    text_kv_.reset();
    text_kv_ = std::make_unique<CpuKvCache>(
        KvShape{1, options.kv_heads, options.head_dim, kPageTokens, std::max(pages, 8)}, kv_type_);
  }
  for_rows(static_cast<std::int64_t>(text_runs_.size()), 4 * kLineTokens * k.cols, [&](std::int64_t i, int) {
    const TextRun& run = text_runs_[static_cast<std::size_t>(i)];
    for (std::int32_t t = 0; t < run.tokens; t++) {
      const std::int32_t place = run.place + t;
      text_kv_->write(kernels_, 0, place / kPageTokens, place % kPageTokens, row(k, run.first + t),
                      row(v, run.first + t));
    }
  });
  return work;
}

void CpuDevice::attend_text(const TextTile& tile, int worker, Tensor out, Tensor q,
                            const TextAttention& options) const {
  const auto group = static_cast<std::int32_t>(q.cols / options.head_dim / options.kv_heads);
  const AttentionKernel kernel = attention_kernel(text_kv_->type());
  AttentionTask task;
  task.kv = text_kv_->view(0, tile.kv_head);
  task.pages = text_pages_.data() + tile.first_page;
  task.scratch = attention_scratch_[static_cast<std::size_t>(worker)].as<float>();
  for (std::int32_t done = 0; done < tile.queries; done += task.queries) {
    task.queries = std::min(kernels_.queries, tile.queries - done);
    for (std::int32_t i = 0; i < task.queries; i++) {
      const std::int32_t query = tile.first_query + done + i;
      const std::int32_t position = query / group;
      const std::int64_t column = (std::int64_t{tile.kv_head} * group + query % group) * options.head_dim;
      task.q[i] = row(q, tile.first_row + position) + column;
      task.out[i] = row(out, tile.first_row + position) + column;
      task.first[i] = options.window > 0 ? std::max(0, position - options.window + 1) : 0;
      const std::int32_t reach = options.causal ? 1 : options.window > 0 ? options.window : tile.length;
      task.length[i] = std::min(tile.length, position + reach);
      task.scale[i] = options.scale;
    }
    kernel(task);
  }
}

void CpuDevice::text_attention(Tensor out, Tensor q, Tensor k, Tensor v, std::span<const std::int32_t> lengths,
                               const TextAttention& options) {
  assert(q.cols % (std::int64_t{options.head_dim} * options.kv_heads) == 0 && out.cols == q.cols);
  assert(k.cols == std::int64_t{options.head_dim} * options.kv_heads && v.cols == k.cols);
  const auto group = static_cast<std::int32_t>(q.cols / k.cols);
  const std::int64_t work = cut_texts(k, v, lengths, options, group);
  const std::int64_t value_cols = text_kv_->view(0, 0).value_cols;
  const auto floats = static_cast<std::size_t>(kScratchScores + kScratchPerColumn * value_cols);
  for (PageBuffer& scratch : attention_scratch_) scratch.reserve(floats * sizeof(float));
  if (work <= kInlineAttention) {
    for (const TextTile& tile : text_tiles_) attend_text(tile, 0, out, q, options);
    return;
  }
  pool_.for_each(static_cast<std::uint32_t>(text_tiles_.size()),
                 [&](std::uint32_t i, int worker) { attend_text(text_tiles_[i], worker, out, q, options); });
}

void CpuDevice::pool(Tensor out, Tensor x, std::span<const std::int32_t> lengths, Pooling pooling) {
  assert(out.cols == x.cols && out.rows == static_cast<std::int64_t>(lengths.size()));
  const auto bytes = static_cast<std::size_t>(x.cols) * sizeof(float);
  std::int64_t first = 0;
  for (std::size_t i = 0; i < lengths.size(); first += lengths[i], i++) {
    float* to = row(out, static_cast<std::int64_t>(i));
    std::memcpy(to, row(x, pooling == Pooling::last ? first + lengths[i] - 1 : first), bytes);
    if (pooling == Pooling::first || pooling == Pooling::last) continue;
    for (std::int64_t r = first + 1; r < first + lengths[i]; r++) {
      if (pooling == Pooling::mean) {
        kernels_.add(to, row(x, r), x.cols, 1.0F);
      } else {
        for (std::int64_t c = 0; c < x.cols; c++) to[c] = std::max(to[c], row(x, r)[c]);
      }
    }
    if (pooling == Pooling::mean) kernels_.scale(to, x.cols, 1.0F / static_cast<float>(lengths[i]));
  }
}

void CpuDevice::normalise(Tensor x) {
  for_rows(x.rows, x.cols, [&](std::int64_t r, int) {
    kernels_.scale(row(x, r), x.cols, 1.0F / std::max(kernels_.length(row(x, r), x.cols), 1e-12F));
  });
}

}  // namespace glia::kernels
