#include "kernels/amx/isa.h"
#include "kernels/amx/tables.h"
#include "kernels/amx/tiled_int8_conv.h"

namespace onebit::amx {

constexpr Int8ConvKernel int8_conv = Int8ConvKernel::of<TiledInt8Conv<Amx>>("amx tiles", true);

}  // namespace onebit::amx
