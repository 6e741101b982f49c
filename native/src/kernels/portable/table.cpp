#include "kernels/portable/portable.h"

namespace onebit {

const Kernels& portable_kernels() {
  static constexpr Kernels table = {
      "portable",
      portable::float_conv_pack_bytes,
      portable::float_conv_pack,
      portable::float_conv_units,
      portable::float_conv,
      portable::binary_conv_pack_bytes,
      portable::binary_conv_pack,
      portable::binary_conv_units,
      portable::binary_conv,
      portable::int8_conv_pack_bytes,
      portable::int8_conv_pack,
      portable::int8_conv_units,
      portable::int8_conv,
      portable::quantize,
      portable::binarize,
      portable::pointwise,
      portable::max_pool,
      portable::average_pool,
  };
  return table;
}

}  // namespace onebit
