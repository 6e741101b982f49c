#include "kernels/vector/table.h"

#include "kernels/portable/isa.h"

namespace onebit {
namespace {

constexpr FloatConvKernel float_conv = vector_float_conv<Portable>("portable floats");

}  // namespace

// No rivals: a program for a device must be the same on every host that compiles it.
const Kernels& portable_kernels() {
  static constexpr Kernels table = vector_table<Portable>(
      "portable", {{&float_conv}},
      {{&portable::depthwise_binary_conv, &portable::blocked_binary_conv, &portable::general_binary_conv}},
      {{&portable::depthwise_int8_conv, &portable::general_int8_conv}});
  return table;
}

}  // namespace onebit
