#include "kernels/amx/amx.h"
#include "kernels/amx/isa.h"
#include "kernels/amx/tiled_binary_conv.h"
#include "kernels/avx512/avx512.h"

namespace onebit::amx {

using Tiled = TiledBinaryConv<Amx>;

size_t binary_conv_pack_bytes(const ConvShape& shape) {
  return Tiled::fits(shape) ? Tiled::pack_bytes(shape) : avx512::binary_conv_pack_bytes(shape);
}

void binary_conv_pack(const ConvShape& shape, const uint32_t* weight, void* packed) {
  return Tiled::fits(shape) ? Tiled::pack(shape, weight, packed) : avx512::binary_conv_pack(shape, weight, packed);
}

int64_t binary_conv_units(const ConvShape& shape) {
  return Tiled::fits(shape) ? Tiled::units(shape) : avx512::binary_conv_units(shape);
}

void binary_conv(const BinaryConvArgs& args, int64_t begin, int64_t end) {
  return Tiled::fits(args.shape) ? Tiled::run(args, begin, end) : avx512::binary_conv(args, begin, end);
}

}  // namespace onebit::amx
