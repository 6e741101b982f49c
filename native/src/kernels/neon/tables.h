// The tables of NEON, and the convolution kernels that other tables may list.
#pragma once

#include "kernels/kernels.h"

namespace onebit {
struct HeadKernels;
struct SignKernels;
struct TrainingKernels;
struct FusedKernels;
}  // namespace onebit

namespace onebit::neon {

const Kernels& kernels();
const HeadKernels& head();
const SignKernels& signs();
const TrainingKernels& training();
const FusedKernels& fused();

extern const BinaryConvKernel binary_conv;
extern const Int8ConvKernel int8_conv;

}  // namespace onebit::neon
