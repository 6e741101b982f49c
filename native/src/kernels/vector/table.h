// The table of an instruction set whose kernels are those of this folder, except the convolutions of bits and bytes.
#pragma once

#include "kernels/kernels.h"
#include "kernels/vector/binarize.h"
#include "kernels/vector/float_conv.h"
#include "kernels/vector/pointwise.h"
#include "kernels/vector/pool.h"
#include "kernels/vector/quantize.h"

namespace onebit {
namespace {

template <class Isa>
constexpr FloatConvKernel vector_float_conv(const char* name) {
  return FloatConvKernel::of<FloatConv<Isa::kLanes, Isa::kFloatVectors>>(name, false);
}

template <class Isa>
constexpr Kernels vector_table(const char* name, const KernelList<FloatConvKernel>& float_conv,
                               const KernelList<BinaryConvKernel>& binary_conv,
                               const KernelList<Int8ConvKernel>& int8_conv) {
  return {name,
          float_conv,
          binary_conv,
          int8_conv,
          quantize_rows,
          binarize_rows<Isa>,
          pointwise_rows<Isa>,
          max_pool_rows<Isa>,
          average_pool_rows<Isa>};
}

}  // namespace
}  // namespace onebit
