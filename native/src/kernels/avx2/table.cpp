#include "kernels/avx2/avx2.h"

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
      avx2::int8_conv_pack_bytes,
      avx2::int8_conv_pack,
      avx2::int8_conv_units,
      avx2::int8_conv,
      avx2::quantize,
      avx2::binarize,
      avx2::pointwise,
      avx2::max_pool,
      avx2::average_pool,
  };
  return table;
}

}  // namespace onebit
