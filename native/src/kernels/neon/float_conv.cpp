#include "kernels/vector/float_conv.h"

#include "kernels/neon/isa.h"
#include "kernels/neon/neon.h"

namespace onebit::neon {

using Conv = FloatConv<Neon::kLanes, Neon::kFloatVectors>;

size_t float_conv_pack_bytes(const ConvShape& shape) { return Conv::pack_bytes(shape); }

void float_conv_pack(const ConvShape& shape, const float* weight, void* packed) { Conv::pack(shape, weight, packed); }

int64_t float_conv_units(const ConvShape& shape) { return Conv::units(shape); }

void float_conv(const FloatConvArgs& args, int64_t begin, int64_t end) { Conv::run(args, begin, end); }

}  // namespace onebit::neon
