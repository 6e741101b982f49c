#include "kernels/vector/table.h"

#include "kernels/neon/isa.h"
#include "kernels/neon/tables.h"
#include "kernels/portable/tables.h"

namespace onebit::neon {
namespace {

constexpr FloatConvKernel float_conv = vector_float_conv<Neon>("neon floats");

}  // namespace

const Kernels& kernels() {
  static constexpr Kernels table = vector_table<Neon>(
      "neon", {{&float_conv}}, {{&binary_conv, &portable::depthwise_binary_conv, &portable::general_binary_conv}},
      {{&int8_conv, &portable::depthwise_int8_conv}});
  return table;
}

}  // namespace onebit::neon
