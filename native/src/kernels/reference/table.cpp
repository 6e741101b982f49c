#include "kernels/reference/tables.h"

namespace onebit::reference {

const Kernels& kernels() {
  static constexpr Kernels table = {
      "reference",
      {{&float_conv}},
      {{&binary_conv}},
      {{&int8_conv}},
      quantize,
      binarize,
      pointwise,
      max_pool,
      average_pool,
  };
  return table;
}

}  // namespace onebit::reference
