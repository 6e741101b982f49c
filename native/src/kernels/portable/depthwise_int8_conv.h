// The depthwise convolution of bytes: one channel in, one out, a group. Lanes are channels. Packed weights: the zero
// point, then int8 [tap][channel].
#pragma once

#include "kernels/kernels.h"

namespace onebit::portable {

bool is_depthwise_int8_conv(const ConvShape& shape);
size_t depthwise_int8_conv_pack_bytes(const ConvShape& shape);
void depthwise_int8_conv_pack(const ConvShape& shape, int32_t zero_point, const int8_t* weight, void* packed);
void depthwise_int8_conv(const Int8ConvArgs& args, int64_t begin, int64_t end);

}  // namespace onebit::portable
