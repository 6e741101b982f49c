// Tiles of bytes for binary convolutions of whole multiples of 64 channels and 32 outputs; all else is avx512's.
#pragma once

#include "kernels/kernels.h"

namespace onebit::amx {

size_t binary_conv_pack_bytes(const ConvShape& shape);
void binary_conv_pack(const ConvShape& shape, const uint32_t* weight, void* packed);
int64_t binary_conv_units(const ConvShape& shape);
void binary_conv(const BinaryConvArgs& args, int64_t begin, int64_t end);

}  // namespace onebit::amx
