#include "kernels/convolutions.h"

namespace onebit {

// neon's, and dot products of bytes.
const Kernels& neon_dotprod_kernels() {
  static const Kernels table = [] {
    Kernels own = neon_kernels();
    own.name = "neon_dotprod";
    own.int8_conv = own.int8_conv.after(neon_dotprod::int8_conv);
    return own;
  }();
  return table;
}

}  // namespace onebit
