// The kernels of vectors.cpp, as vector_kernels.h describes them.
#pragma once

#include "kernels/vector_kernels.h"

namespace glia::kernels::GLIA_ISA {

extern const VectorKernels kVectorKernels;

}  // namespace glia::kernels::GLIA_ISA
