// NEON with the instructions for dot products of bytes, which 64-bit ARM may have from version 8.2 on; all but the
// convolution of bytes is neon's.
#pragma once

#include "kernels/kernels.h"

namespace onebit::neon_dotprod {

size_t int8_conv_pack_bytes(const ConvShape& shape);
void int8_conv_pack(const ConvShape& shape, int32_t zero_point, const int8_t* weight, void* packed);
int64_t int8_conv_units(const ConvShape& shape);
void int8_conv(const Int8ConvArgs& args, int64_t begin, int64_t end);

}  // namespace onebit::neon_dotprod
