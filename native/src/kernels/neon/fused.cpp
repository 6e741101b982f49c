#include "kernels/vector/fused.h"

#include "kernels/neon/isa.h"

namespace onebit {

const FusedKernels& neon_fused() {
  static constexpr FusedKernels table = Fused<Widening<Neon>>::table("neon");
  return table;
}

}  // namespace onebit
