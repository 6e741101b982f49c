// The instruction set that learners use: the best one here, or that of the environment variable ONEBIT_ISA.
#pragma once

#include "kernels/head.h"
#include "kernels/kernels.h"

namespace onebit::learner {

// Throws Error if ONEBIT_ISA names none of this machine.
const Kernels& best_kernels();
const HeadKernels& best_head();

}  // namespace onebit::learner
