// The tables of AVX2, and the convolution kernels that other tables may list.
#pragma once

#include "kernels/kernels.h"

namespace onebit {
struct HeadKernels;
struct TailKernels;
struct SignKernels;
struct TrainingKernels;
struct FusedKernels;
}  // namespace onebit

namespace onebit::avx2 {

bool usable();

const Kernels& kernels();
const HeadKernels& head();
const TailKernels& tail();
const SignKernels& signs();
const TrainingKernels& training();
const FusedKernels& fused();

extern const BinaryConvKernel binary_conv, paired_binary_conv;
extern const Int8ConvKernel int8_conv, widened_int8_conv;

}  // namespace onebit::avx2
