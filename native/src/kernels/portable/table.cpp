#include "kernels/portable/portable.h"

namespace onebit {

const Kernels& portable_kernels() {
  static constexpr Kernels table = {
      "portable",
      portable::float_conv_pack_bytes,
      portable::float_conv_pack,
      portable::float_conv,
      portable::binary_conv_pack_bytes,
      portable::binary_conv_pack,
      portable::binary_conv,
      portable::binarize,
      portable::pointwise,
      portable::max_pool,
      portable::average_pool,
  };
  return table;
}

}  // namespace onebit
