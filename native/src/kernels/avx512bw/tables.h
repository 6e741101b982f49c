// The tables of AVX-512 BW, and the convolution kernels that other tables may list.
#pragma once

#include "kernels/kernels.h"

namespace onebit {
struct SignKernels;
struct TrainingKernels;
struct FusedKernels;
}  // namespace onebit

namespace onebit::avx512bw {

bool usable();

const Kernels& kernels();
const SignKernels& signs();
const TrainingKernels& training();
const FusedKernels& fused();

extern const BinaryConvKernel binary_conv;

}  // namespace onebit::avx512bw
