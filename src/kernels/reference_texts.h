// The reference device's ops over whole texts: plain float64 loops, the definition that tests compare against.
#pragma once

#include <cstdint>
#include <memory>
#include <span>

#include "kernels/device.h"

namespace glia::kernels::reference {

std::unique_ptr<Table> load_table(const tensor::View& view);
void lookup(Tensor out, std::span<const Lookup> lookups);
void text_attention(Tensor out, Tensor q, Tensor k, Tensor v, std::span<const std::int32_t> lengths,
                    const TextAttention& options);
void pool(Tensor out, Tensor x, std::span<const std::int32_t> lengths, Pooling pooling);
void normalise(Tensor x);

}  // namespace glia::kernels::reference
