// The binary convolution of shapes that blocks do not fit: groups whose channels do not start at words, and the very
// large. Packed weights are the file's.
#pragma once

#include "kernels/kernels.h"

namespace onebit::portable {

size_t general_binary_conv_pack_bytes(const ConvShape& shape);
void general_binary_conv_pack(const ConvShape& shape, const uint32_t* weight, void* packed);
void general_binary_conv(const BinaryConvArgs& args, int64_t begin, int64_t end);

}  // namespace onebit::portable
