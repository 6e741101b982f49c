#include "kernels/vector/table.h"

#include "kernels/portable/isa.h"
#include "kernels/portable/tables.h"

namespace onebit::portable {
namespace {

constexpr FloatConvKernel float_conv = vector_float_conv<Portable>("portable floats");

}  // namespace

// No candidates: a program for a device must be the same on every host that compiles it.
const Kernels& kernels() {
  static constexpr Kernels table = vector_table<Portable>(
      "portable", {{&float_conv}}, {{&depthwise_binary_conv, &blocked_binary_conv, &general_binary_conv}},
      {{&depthwise_int8_conv, &general_int8_conv}});
  return table;
}

}  // namespace onebit::portable
