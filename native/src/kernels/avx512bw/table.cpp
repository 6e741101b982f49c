#include "kernels/vector/table.h"

#include "kernels/avx2/tables.h"
#include "kernels/avx512/isa.h"
#include "kernels/avx512bw/tables.h"
#include "kernels/portable/tables.h"

namespace onebit::avx512bw {
namespace {

constexpr FloatConvKernel float_conv = vector_float_conv<Avx512>("avx512bw floats");

}  // namespace

const Kernels& kernels() {
  static constexpr Kernels table = vector_table<Avx512>(
      "avx512bw", {{&float_conv}},
      {{&binary_conv, &avx2::paired_binary_conv, &avx2::binary_conv, &portable::depthwise_binary_conv,
        &portable::blocked_binary_conv, &portable::general_binary_conv}},
      {{&avx2::widened_int8_conv, &avx2::int8_conv, &portable::depthwise_int8_conv}});
  return table;
}

}  // namespace onebit::avx512bw
