#include "kernels/avx2/avx2.h"
#include "kernels/avx512bw/avx512bw.h"

namespace onebit {

const Kernels& avx512bw_kernels() {
  static constexpr Kernels table = {
      "avx512bw",
      avx512bw::float_conv_pack_bytes,
      avx512bw::float_conv_pack,
      avx512bw::float_conv_units,
      avx512bw::float_conv,
      avx512bw::binary_conv_pack_bytes,
      avx512bw::binary_conv_pack,
      avx512bw::binary_conv_units,
      avx512bw::binary_conv,
      avx2::int8_conv_pack_bytes,
      avx2::int8_conv_pack,
      avx2::int8_conv_units,
      avx2::int8_conv,
      avx512bw::quantize,
      avx512bw::binarize,
      avx512bw::pointwise,
      avx512bw::max_pool,
      avx512bw::average_pool,
  };
  return table;
}

}  // namespace onebit
