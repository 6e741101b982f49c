// The convolution kernels that the tables' lists are made of, by the instruction set that they need.
#pragma once

#include "kernels/kernels.h"

namespace onebit {

namespace reference {
extern const FloatConvKernel float_conv;
extern const BinaryConvKernel binary_conv;
extern const Int8ConvKernel int8_conv;
}  // namespace reference

namespace portable {
extern const BinaryConvKernel depthwise_binary_conv, blocked_binary_conv, general_binary_conv;
extern const Int8ConvKernel depthwise_int8_conv, general_int8_conv;
}  // namespace portable

namespace avx2 {
extern const BinaryConvKernel binary_conv, paired_binary_conv;
extern const Int8ConvKernel int8_conv, widened_int8_conv;
}  // namespace avx2

namespace avx512bw {
extern const BinaryConvKernel binary_conv;
}  // namespace avx512bw

namespace avx512 {
extern const BinaryConvKernel binary_conv_64x4, binary_conv_32x8;  // outputs x pixels of a tile
extern const Int8ConvKernel int8_conv;
}  // namespace avx512

namespace amx {
extern const BinaryConvKernel binary_conv;
extern const Int8ConvKernel int8_conv;
}  // namespace amx

namespace neon {
extern const BinaryConvKernel binary_conv;
extern const Int8ConvKernel int8_conv;
}  // namespace neon

namespace neon_dotprod {
extern const Int8ConvKernel int8_conv;
}  // namespace neon_dotprod

}  // namespace onebit
