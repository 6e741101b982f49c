#include "kernels/vector/table.h"

#include "kernels/avx2/isa.h"
#include "kernels/avx2/tables.h"
#include "kernels/portable/tables.h"

namespace onebit::avx2 {
namespace {

constexpr FloatConvKernel float_conv = vector_float_conv<Avx2>("avx2 floats");

}  // namespace

const Kernels& kernels() {
  static constexpr Kernels table =
      vector_table<Avx2>("avx2", {{&float_conv}},
                         {{&paired_binary_conv, &binary_conv, &portable::depthwise_binary_conv,
                           &portable::blocked_binary_conv, &portable::general_binary_conv}},
                         {{&widened_int8_conv, &int8_conv, &portable::depthwise_int8_conv}});
  return table;
}

}  // namespace onebit::avx2
