#pragma once

#include "kernels/kernels.h"

namespace onebit::neon {

size_t float_conv_pack_bytes(const ConvShape& shape);
void float_conv_pack(const ConvShape& shape, const float* weight, void* packed);
int64_t float_conv_units(const ConvShape& shape);
void float_conv(const FloatConvArgs& args, int64_t begin, int64_t end);

size_t binary_conv_pack_bytes(const ConvShape& shape);
void binary_conv_pack(const ConvShape& shape, const uint32_t* weight, void* packed);
int64_t binary_conv_units(const ConvShape& shape);
void binary_conv(const BinaryConvArgs& args, int64_t begin, int64_t end);

size_t int8_conv_pack_bytes(const ConvShape& shape);
void int8_conv_pack(const ConvShape& shape, int32_t zero_point, const int8_t* weight, void* packed);
int64_t int8_conv_units(const ConvShape& shape);
void int8_conv(const Int8ConvArgs& args, int64_t begin, int64_t end);
void quantize(const QuantizeArgs& args, int64_t begin, int64_t end);

void binarize(const BinarizeArgs& args, int64_t begin, int64_t end);
void pointwise(const PointwiseArgs& args, int64_t begin, int64_t end);
void max_pool(const PoolArgs& args, int64_t begin, int64_t end);
void average_pool(const PoolArgs& args, int64_t begin, int64_t end);

}  // namespace onebit::neon
