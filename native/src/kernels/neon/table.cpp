#include "kernels/neon/neon.h"
#include "kernels/portable/portable.h"

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
      portable::int8_conv_pack_bytes,
      portable::int8_conv_pack,
      portable::int8_conv_units,
      portable::int8_conv,
      portable::quantize,
      neon::binarize,
      neon::pointwise,
      neon::max_pool,
      neon::average_pool,
  };
  return table;
}

}  // namespace onebit
