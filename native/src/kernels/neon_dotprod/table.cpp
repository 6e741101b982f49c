#include "kernels/neon/neon.h"
#include "kernels/neon_dotprod/neon_dotprod.h"

namespace onebit {

const Kernels& neon_dotprod_kernels() {
  static constexpr Kernels table = {
      "neon_dotprod",
      neon::float_conv_pack_bytes,
      neon::float_conv_pack,
      neon::float_conv_units,
      neon::float_conv,
      neon::binary_conv_pack_bytes,
      neon::binary_conv_pack,
      neon::binary_conv_units,
      neon::binary_conv,
      neon_dotprod::int8_conv_pack_bytes,
      neon_dotprod::int8_conv_pack,
      neon_dotprod::int8_conv_units,
      neon_dotprod::int8_conv,
      neon::quantize,
      neon::binarize,
      neon::pointwise,
      neon::max_pool,
      neon::average_pool,
  };
  return table;
}

}  // namespace onebit
