#include "kernels/avx2/avx2.h"
#include "kernels/reference/reference.h"

namespace onebit {

const Kernels& avx2_kernels() {
  static constexpr Kernels table = {
      "avx2",
      avx2::float_conv_pack_bytes,
      avx2::float_conv_pack,
      avx2::float_conv_units,
      avx2::float_conv,
      avx2::binary_conv_pack_bytes,
      avx2::binary_conv_pack,
      avx2::binary_conv_units,
      avx2::binary_conv,
      reference::int8_conv_pack_bytes,
      reference::int8_conv_pack,
      reference::int8_conv_units,
      reference::int8_conv,
      reference::quantize,
      avx2::binarize,
      avx2::pointwise,
      avx2::max_pool,
      avx2::average_pool,
  };
  return table;
}

}  // namespace onebit
