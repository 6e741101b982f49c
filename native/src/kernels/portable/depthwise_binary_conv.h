// The binary depthwise convolution: one channel in, one out, a group; up to 31 taps. Packed weights: [tap][word], a bit
// a channel.
#pragma once

#include "kernels/kernels.h"

namespace onebit::portable {

bool is_depthwise_binary_conv(const ConvShape& shape);
size_t depthwise_binary_conv_pack_bytes(const ConvShape& shape);
void depthwise_binary_conv_pack(const ConvShape& shape, const uint32_t* weight, void* packed);
void depthwise_binary_conv(const BinaryConvArgs& args, int64_t begin, int64_t end);

}  // namespace onebit::portable
