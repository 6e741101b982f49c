// The speed of one thread in the caches on layers of a good shape, from which a layer's floor is computed.
#pragma once

#include "kernels/kernels.h"
#include "kernels/training.h"
#include "onebit/onebit.h"

namespace onebit {

onebit_rates measure_rates(const Kernels& kernels);

// Products of 8-bit levels by signs per second, as in the weights' gradient: the unit of training's backward products.
double measure_level_rate(const TrainingKernels& kernels);

}  // namespace onebit
