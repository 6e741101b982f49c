// The tables for any CPU, and the convolution kernels that other tables list behind their own.
#pragma once

#include "kernels/kernels.h"

namespace onebit {
struct HeadKernels;
struct TailKernels;
struct SignKernels;
struct TrainingKernels;
struct FusedKernels;
}  // namespace onebit

namespace onebit::portable {

const Kernels& kernels();
const HeadKernels& head();
const TailKernels& tail();
const SignKernels& signs();
const TrainingKernels& training();
const FusedKernels& fused();

extern const BinaryConvKernel depthwise_binary_conv, blocked_binary_conv, general_binary_conv;
extern const Int8ConvKernel depthwise_int8_conv, general_int8_conv;

}  // namespace onebit::portable
