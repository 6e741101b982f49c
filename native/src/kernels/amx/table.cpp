#include "kernels/convolutions.h"

namespace onebit {

// avx512's, and tiles of bytes for convolutions of bits and bytes.
const Kernels& amx_kernels() {
  static const Kernels table = [] {
    Kernels own = avx512_kernels();
    own.name = "amx";
    own.binary_conv = own.binary_conv.after(amx::binary_conv);
    own.int8_conv = own.int8_conv.after(amx::int8_conv);
    return own;
  }();
  return table;
}

}  // namespace onebit
