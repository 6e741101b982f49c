#include "kernels/amx/tables.h"
#include "kernels/avx512/tables.h"

namespace onebit::amx {

// avx512's, and tiles of bytes for convolutions of bits and bytes.
const Kernels& kernels() {
  static const Kernels table = [] {
    Kernels own = avx512::kernels();
    own.name = "amx";
    own.binary_conv = own.binary_conv.after(binary_conv);
    own.int8_conv = own.int8_conv.after(int8_conv);
    return own;
  }();
  return table;
}

}  // namespace onebit::amx
