#pragma once

#include "kernels/kernels.h"

namespace onebit::avx512bw {

size_t float_conv_pack_bytes(const ConvShape& shape);
void float_conv_pack(const ConvShape& shape, const float* weight, void* packed);
int64_t float_conv_units(const ConvShape& shape);
void float_conv(const FloatConvArgs& args, int64_t begin, int64_t end);

size_t binary_conv_pack_bytes(const ConvShape& shape);
void binary_conv_pack(const ConvShape& shape, const uint32_t* weight, void* packed);
int64_t binary_conv_units(const ConvShape& shape);
void binary_conv(const BinaryConvArgs& args, int64_t begin, int64_t end);

void quantize(const QuantizeArgs& args, int64_t begin, int64_t end);

void binarize(const BinarizeArgs& args, int64_t begin, int64_t end);
void pointwise(const PointwiseArgs& args, int64_t begin, int64_t end);
void max_pool(const PoolArgs& args, int64_t begin, int64_t end);
void average_pool(const PoolArgs& args, int64_t begin, int64_t end);

}  // namespace onebit::avx512bw
