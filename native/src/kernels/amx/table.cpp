#include "kernels/amx/amx.h"
#include "kernels/avx512/avx512.h"

namespace onebit {

const Kernels& amx_kernels() {
  static constexpr Kernels table = {
      "amx",
      avx512::float_conv_pack_bytes,
      avx512::float_conv_pack,
      avx512::float_conv_units,
      avx512::float_conv,
      amx::binary_conv_pack_bytes,
      amx::binary_conv_pack,
      amx::binary_conv_units,
      amx::binary_conv,
      avx512::int8_conv_pack_bytes,
      avx512::int8_conv_pack,
      avx512::int8_conv_units,
      avx512::int8_conv,
      avx512::quantize,
      avx512::binarize,
      avx512::pointwise,
      avx512::max_pool,
      avx512::average_pool,
  };
  return table;
}

}  // namespace onebit
