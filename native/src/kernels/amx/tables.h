// The tables of AMX-INT8, and the convolution kernels that other tables may list.
#pragma once

#include "kernels/kernels.h"

namespace onebit::amx {

const Kernels& kernels();

extern const BinaryConvKernel binary_conv;
extern const Int8ConvKernel int8_conv;

}  // namespace onebit::amx
