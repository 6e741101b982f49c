#include "kernels/vector/table.h"

#include "kernels/avx512/isa.h"

namespace onebit {
namespace {

constexpr FloatConvKernel float_conv = vector_float_conv<Avx512>("avx512bw floats");

}  // namespace

const Kernels& avx512bw_kernels() {
  static constexpr Kernels table = vector_table<Avx512>(
      "avx512bw", {{&float_conv}},
      {{&avx512bw::binary_conv, &avx2::paired_binary_conv, &avx2::binary_conv, &portable::depthwise_binary_conv,
        &portable::blocked_binary_conv, &portable::general_binary_conv}},
      {{&avx2::widened_int8_conv, &avx2::int8_conv, &portable::depthwise_int8_conv}});
  return table;
}

}  // namespace onebit
