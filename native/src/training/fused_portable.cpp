// The passes of a fused unit for any CPU. Not in kernels/portable, which is the whole of a microcontroller's kernels.
#include "kernels/portable/isa.h"
#include "kernels/vector/fused.h"

namespace onebit {

const FusedKernels& portable_fused() {
  static constexpr FusedKernels table = Fused<Widening<Portable>>::table("portable");
  return table;
}

}  // namespace onebit
