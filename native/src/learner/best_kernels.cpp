#include "learner/best_kernels.h"

#include "base/error.h"

namespace onebit::learner {

const Kernels& best_kernels() {
  const Kernels* kernels = select_kernels("");
  if (!kernels) throw Error(ONEBIT_INVALID_ARGUMENT, "ONEBIT_ISA names no instruction set of this machine");
  return *kernels;
}

const HeadKernels& best_head() { return head_kernels(best_kernels().name); }

}  // namespace onebit::learner
