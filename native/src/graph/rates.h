// How fast one thread goes in the caches on layers of a good shape: what a layer's floor is computed from.
#pragma once

#include "kernels/kernels.h"
#include "onebit/onebit.h"

namespace onebit {

onebit_rates measure_rates(const Kernels& kernels);

}  // namespace onebit
