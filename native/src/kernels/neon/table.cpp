#include "kernels/vector/table.h"

#include "kernels/neon/isa.h"

namespace onebit {
namespace {

constexpr FloatConvKernel float_conv = vector_float_conv<Neon>("neon floats");

}  // namespace

const Kernels& neon_kernels() {
  static constexpr Kernels table = vector_table<Neon>(
      "neon", {{&float_conv}}, {{&neon::binary_conv, &portable::depthwise_binary_conv, &portable::general_binary_conv}},
      {{&neon::int8_conv, &portable::depthwise_int8_conv}});
  return table;
}

}  // namespace onebit
