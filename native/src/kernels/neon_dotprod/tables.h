// The tables of NEON with dot products, and the convolution kernels that other tables may list.
#pragma once

#include "kernels/kernels.h"

namespace onebit {
struct TrainingKernels;
}  // namespace onebit

namespace onebit::neon_dotprod {

const Kernels& kernels();
const TrainingKernels& training();

extern const Int8ConvKernel int8_conv;

}  // namespace onebit::neon_dotprod
