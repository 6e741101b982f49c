#include "kernels/avx512/tables.h"
#include "kernels/avx512bw/tables.h"
#include "kernels/portable/tables.h"

namespace onebit::avx512 {

// avx512bw's but for the convolutions of bits and bytes.
const Kernels& kernels() {
  static const Kernels table = [] {
    Kernels own = avx512bw::kernels();
    own.name = "avx512";
    own.binary_conv = {
        {&binary_conv_64x4, &binary_conv_32x8, &portable::depthwise_binary_conv, &portable::general_binary_conv}};
    own.int8_conv = {{&int8_conv, &portable::depthwise_int8_conv}};
    return own;
  }();
  return table;
}

}  // namespace onebit::avx512
