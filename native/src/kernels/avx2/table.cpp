#include "kernels/vector/table.h"

#include "kernels/avx2/isa.h"

namespace onebit {
namespace {

constexpr FloatConvKernel float_conv = vector_float_conv<Avx2>("avx2 floats");

}  // namespace

const Kernels& avx2_kernels() {
  static constexpr Kernels table =
      vector_table<Avx2>("avx2", {{&float_conv}},
                         {{&avx2::paired_binary_conv, &avx2::binary_conv, &portable::depthwise_binary_conv,
                           &portable::blocked_binary_conv, &portable::general_binary_conv}},
                         {{&avx2::widened_int8_conv, &avx2::int8_conv, &portable::depthwise_int8_conv}});
  return table;
}

}  // namespace onebit
