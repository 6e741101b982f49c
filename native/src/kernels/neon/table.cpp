#include "kernels/neon/neon.h"

namespace onebit {

const Kernels& neon_kernels() {
  static constexpr Kernels table = {
      "neon",
      neon::float_conv_pack_bytes,
      neon::float_conv_pack,
      neon::float_conv_units,
      neon::float_conv,
      neon::binary_conv_pack_bytes,
      neon::binary_conv_pack,
      neon::binary_conv_units,
      neon::binary_conv,
      neon::int8_conv_pack_bytes,
      neon::int8_conv_pack,
      neon::int8_conv_units,
      neon::int8_conv,
      neon::quantize,
      neon::binarize,
      neon::pointwise,
      neon::max_pool,
      neon::average_pool,
  };
  return table;
}

}  // namespace onebit
