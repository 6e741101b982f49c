// The answer, in the plainest C++: weights stay as the file has them, every loop is written out.
#pragma once

#include "kernels/kernels.h"

namespace onebit::reference {

const Kernels& kernels();

extern const FloatConvKernel float_conv;
extern const BinaryConvKernel binary_conv;
extern const Int8ConvKernel int8_conv;

void quantize(const QuantizeArgs& args, int64_t begin, int64_t end);
void binarize(const BinarizeArgs& args, int64_t begin, int64_t end);
void pointwise(const PointwiseArgs& args, int64_t begin, int64_t end);
void max_pool(const PoolArgs& args, int64_t begin, int64_t end);
void average_pool(const PoolArgs& args, int64_t begin, int64_t end);

}  // namespace onebit::reference
