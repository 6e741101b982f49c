#include "kernels/convolutions.h"

namespace onebit {

// avx512bw's but for the convolutions of bits and bytes.
const Kernels& avx512_kernels() {
  static const Kernels table = [] {
    Kernels own = avx512bw_kernels();
    own.name = "avx512";
    own.binary_conv = {{&avx512::binary_conv_64x4, &avx512::binary_conv_32x8, &portable::depthwise_binary_conv,
                        &portable::general_binary_conv}};
    own.int8_conv = {{&avx512::int8_conv, &portable::depthwise_int8_conv}};
    return own;
  }();
  return table;
}

}  // namespace onebit
