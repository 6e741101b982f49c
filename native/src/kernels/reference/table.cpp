#include "kernels/reference/reference.h"

namespace onebit {

const Kernels& reference_kernels() {
  static constexpr Kernels table = {
      "reference",
      {{&reference::float_conv}},
      {{&reference::binary_conv}},
      {{&reference::int8_conv}},
      reference::quantize,
      reference::binarize,
      reference::pointwise,
      reference::max_pool,
      reference::average_pool,
  };
  return table;
}

}  // namespace onebit
