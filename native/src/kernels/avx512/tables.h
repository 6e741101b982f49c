// The tables of AVX-512 with VPOPCNTDQ and VNNI, and the convolution kernels that other tables may list.
#pragma once

#include "kernels/kernels.h"

namespace onebit {
struct HeadKernels;
struct TailKernels;
struct TrainingKernels;
}  // namespace onebit

namespace onebit::avx512 {

bool usable();

const Kernels& kernels();
const HeadKernels& head();
const TailKernels& tail();
const TrainingKernels& training();

extern const BinaryConvKernel binary_conv_64x4, binary_conv_32x8;  // outputs x pixels of a tile
extern const Int8ConvKernel int8_conv;

}  // namespace onebit::avx512
