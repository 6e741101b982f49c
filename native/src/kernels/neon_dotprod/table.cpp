#include "kernels/neon/tables.h"
#include "kernels/neon_dotprod/tables.h"

namespace onebit::neon_dotprod {

// neon's, and dot products of bytes.
const Kernels& kernels() {
  static const Kernels table = [] {
    Kernels own = neon::kernels();
    own.name = "neon_dotprod";
    own.int8_conv = own.int8_conv.after(int8_conv);
    return own;
  }();
  return table;
}

}  // namespace onebit::neon_dotprod
