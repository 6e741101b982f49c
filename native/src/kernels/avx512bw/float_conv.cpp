#include "kernels/vector/float_conv.h"

#include "kernels/avx512/isa.h"
#include "kernels/avx512bw/avx512bw.h"

namespace onebit::avx512bw {

using Conv = FloatConv<Avx512::kLanes, Avx512::kFloatVectors>;

size_t float_conv_pack_bytes(const ConvShape& shape) { return Conv::pack_bytes(shape); }

void float_conv_pack(const ConvShape& shape, const float* weight, void* packed) { Conv::pack(shape, weight, packed); }

int64_t float_conv_units(const ConvShape& shape) { return Conv::units(shape); }

void float_conv(const FloatConvArgs& args, int64_t begin, int64_t end) { Conv::run(args, begin, end); }

}  // namespace onebit::avx512bw
