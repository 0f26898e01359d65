// CpuDevice's mixture of experts: rows are gathered by the expert that they chose, each expert's matrices are read once
// for all of its rows, and every row sums what its experts made of it. Where a row stands in that gathering changes
// nothing about its bits: an expert's product is the same for any neighbours, and the sum runs over ascending experts.
#include <algorithm>
#include <cassert>
#include <cmath>
#include <cstring>
#include <numeric>
#include <utility>

#include "kernels/cpu_device.h"
#include "kernels/cpu_product.h"

namespace glia::kernels {
namespace {

/// Rows routed at a time: bounds the scratch memory (used * (2 ff + hidden) floats a row).
constexpr std::int64_t kMostRows = 512;

float* row(const Tensor& t, std::int64_t r) { return t.data + r * t.stride; }

/// The chosen experts of one row, ascending, and their weights. order: [count], scratch.
void choose(const Experts& experts, const float* logits, std::int32_t* order, std::int32_t* chosen, float* weights) {
  // What is no number comes last: the order is total whatever a broken router says.
  const auto key = [&](std::int32_t e) { return std::isnan(logits[e]) ? -INFINITY : logits[e]; };
  std::iota(order, order + experts.count, 0);
  std::partial_sort(order, order + experts.used, order + experts.count,
                    [&](std::int32_t a, std::int32_t b) { return key(a) > key(b) || (key(a) == key(b) && a < b); });
  std::copy_n(order, experts.used, chosen);
  const auto most = static_cast<double>(logits[chosen[0]]);
  std::sort(chosen, chosen + experts.used);
  double total = 0;  // what the scores are divided by
  const auto score = [&](std::int32_t e) {
    const auto logit = static_cast<double>(logits[e]);
    return experts.score == RouterScore::softmax ? std::exp(logit - most) : 1 / (1 + std::exp(-logit));
  };
  if (experts.normalise) {
    for (std::int32_t k = 0; k < experts.used; k++) total += score(chosen[k]);
  } else if (experts.score == RouterScore::softmax) {
    for (std::int32_t e = 0; e < experts.count; e++) total += score(e);
  } else {
    total = 1;
  }
  for (std::int32_t k = 0; k < experts.used; k++) {
    weights[k] = static_cast<float>(score(chosen[k]) / total * static_cast<double>(experts.scale));
  }
}

/// Groups of the parts that make up rows [first_row, last_row) of a matrix; parts end there.
std::pair<std::int64_t, std::int64_t> groups_of(const CpuMatrix& w, std::int64_t first_row, std::int64_t last_row) {
  const auto at = [&](std::int64_t r) {
    if (r == w.rows()) return w.groups();
    const auto part =
        std::lower_bound(w.parts().begin(), w.parts().end(), r,
                         [](const CpuMatrix::Part& p, std::int64_t value) { return p.first_row < value; });
    assert(part != w.parts().end() && part->first_row == r);
    return part->first_group;
  };
  return {at(first_row), at(last_row)};
}

}  // namespace

void CpuDevice::route(const Experts& experts, Tensor logits) {
  const std::int64_t n = logits.rows;
  const auto choices = static_cast<std::size_t>(n * experts.used);
  routes_.order.resize(static_cast<std::size_t>(n * experts.count));
  routes_.chosen.resize(choices);
  routes_.weights.resize(choices);
  routes_.slots.resize(choices);
  for_rows(n, std::int64_t{16} * experts.count, [&](std::int64_t r, int) {
    choose(experts, row(logits, r), routes_.order.data() + r * experts.count, routes_.chosen.data() + r * experts.used,
           routes_.weights.data() + r * experts.used);
  });
  routes_.rows.assign(static_cast<std::size_t>(experts.count), 0);
  for (const std::int32_t e : routes_.chosen) routes_.rows[static_cast<std::size_t>(e)]++;
  routes_.first_slot.resize(routes_.rows.size());
  std::int64_t next = 0;
  for (std::size_t e = 0; e < routes_.rows.size(); e++) {
    routes_.first_slot[e] = next;
    next += (routes_.rows[e] + kPanelRows - 1) / kPanelRows * kPanelRows;
  }
  routes_.slot_count = next;
  std::vector<std::int64_t>& free = routes_.next_slot;
  free = routes_.first_slot;
  for (std::size_t i = 0; i < choices; i++) routes_.slots[i] = free[static_cast<std::size_t>(routes_.chosen[i])]++;
}

void CpuDevice::multiply_experts(const Product& product, std::int64_t expert_rows) {
  const auto shape = shape_of(product);
  expert_pieces_.clear();
  for (std::size_t e = 0; e < routes_.rows.size(); e++) {
    const std::int64_t rows = routes_.rows[e];
    if (rows == 0) continue;
    const std::int64_t first_output = static_cast<std::int64_t>(e) * expert_rows;
    const auto [first_group, last_group] = groups_of(product.w, first_output, first_output + expert_rows);
    for (std::int64_t r = 0; r < rows; r += shape.block_rows) {
      for (std::int64_t g = first_group; g < last_group; g += shape.piece_groups) {
        expert_pieces_.push_back({g, std::min(g + shape.piece_groups, last_group), routes_.first_slot[e] + r,
                                  std::min(shape.block_rows, rows - r), first_output});
      }
    }
  }
  pool_.for_each(static_cast<std::uint32_t>(expert_pieces_.size()),
                 [&](std::uint32_t i, int) { multiply(product, expert_pieces_[i]); });
}

void CpuDevice::run_experts(Tensor out, const Experts& experts, Tensor x, Norm norm, Tensor logits, bool accumulate) {
  const auto& gate_up = static_cast<const CpuMatrix&>(*experts.gate_up);
  const auto& down = static_cast<const CpuMatrix&>(*experts.down);
  const std::int64_t hidden = x.cols;
  const std::int64_t ff = down.cols();
  const std::int64_t used = experts.used;
  route(experts, logits);
  expert_hidden_.reserve(static_cast<std::size_t>(routes_.slot_count * 2 * ff) * sizeof(float));
  expert_out_.reserve(static_cast<std::size_t>(routes_.slot_count * hidden) * sizeof(float));
  const Tensor inner{expert_hidden_.as<float>(), routes_.slot_count, 2 * ff, 2 * ff};
  const Tensor outer{expert_out_.as<float>(), routes_.slot_count, hidden, hidden};

  const Product first = product_of(inner, gate_up, /*accumulate=*/false, experts.gate_up_bias);
  reserve_panels(first, routes_.slot_count);
  for_rows(x.rows, 2 * used * hidden, [&](std::int64_t r, int worker) {
    const float factor = norm.weight != nullptr ? kernels_.rms_factor(row(x, r), hidden, norm.eps) : 1.0F;
    for (std::int64_t i = r * used; i < (r + 1) * used; i++) {
      const std::int64_t slot = routes_.slots[static_cast<std::size_t>(i)];
      if (!experts.scale_input) {
        pack_row(first, slot, row(x, r), factor, norm.weight, worker);
      } else {
        float* scaled = row(outer, slot);  // free until the second product
        kernels_.scale_row(scaled, row(x, r), hidden, factor, norm.weight);
        kernels_.scale(scaled, hidden, routes_.weights[static_cast<std::size_t>(i)]);
        pack_row(first, slot, scaled, 1.0F, nullptr, worker);
      }
    }
  });
  multiply_experts(first, 2 * ff);

  const Product second = product_of(outer, down, /*accumulate=*/false, experts.down_bias);
  reserve_panels(second, routes_.slot_count);
  const GateKernel gate = kernels_.gates[static_cast<std::size_t>(experts.gate)];
  for_rows(x.rows * used, 3 * ff, [&](std::int64_t i, int worker) {
    const std::int64_t slot = routes_.slots[static_cast<std::size_t>(i)];
    float* gated = row(inner, slot);
    gate(gated, gated, gated + ff, ff);
    pack_row(second, slot, gated, 1.0F, nullptr, worker);
  });
  multiply_experts(second, hidden);

  for_rows(x.rows, used * hidden, [&](std::int64_t r, int) {
    if (!accumulate) std::memset(row(out, r), 0, static_cast<std::size_t>(hidden) * sizeof(float));
    for (std::int64_t i = r * used; i < (r + 1) * used; i++) {
      const auto at = static_cast<std::size_t>(i);
      kernels_.add(row(out, r), row(outer, routes_.slots[at]), hidden,
                   experts.scale_input ? 1.0F : routes_.weights[at]);
    }
  });
}

void CpuDevice::experts(Tensor out, const Experts& experts, Tensor x, Norm norm, Tensor logits, bool accumulate) {
  assert(experts.used > 0 && experts.used <= experts.count && logits.cols == experts.count && logits.rows == x.rows);
  assert(experts.gate_up->cols() == x.cols && experts.gate_up->rows() == experts.count * 2 * experts.down->cols());
  assert(experts.down->rows() == experts.count * x.cols && out.cols == x.cols && out.rows == x.rows);
  for (std::int64_t first = 0; first < x.rows; first += kMostRows) {
    const std::int64_t n = std::min(kMostRows, x.rows - first);
    run_experts(out.slice_rows(first, n), experts, x.slice_rows(first, n), norm, logits.slice_rows(first, n),
                accumulate);
  }
}

void CpuDevice::add_weighted(Tensor out, Tensor x, Tensor logit) {
  assert(out.cols == x.cols && out.rows == x.rows && logit.rows == x.rows && logit.cols == 1);
  for_rows(x.rows, x.cols, [&](std::int64_t r, int) {
    const double weight = 1 / (1 + std::exp(-static_cast<double>(*row(logit, r))));
    kernels_.add(row(out, r), row(x, r), x.cols, static_cast<float>(weight));
  });
}

}  // namespace glia::kernels
