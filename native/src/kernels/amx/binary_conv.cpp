#include "kernels/amx/isa.h"
#include "kernels/amx/tables.h"
#include "kernels/amx/tiled_binary_conv.h"

namespace onebit::amx {

constexpr BinaryConvKernel binary_conv = BinaryConvKernel::of<TiledBinaryConv<Amx>>("amx tiles", true);

}  // namespace onebit::amx
