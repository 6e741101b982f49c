#include "kernels/amx/isa.h"
#include "kernels/amx/tiled_binary_conv.h"
#include "kernels/convolutions.h"

namespace onebit::amx {

constexpr BinaryConvKernel binary_conv = BinaryConvKernel::of<TiledBinaryConv<Amx>>("amx tiles", true);

}  // namespace onebit::amx
