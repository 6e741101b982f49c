#include "kernels/vector/fused.h"

#include "kernels/avx2/isa.h"

namespace onebit {

const FusedKernels& avx2_fused() {
  static constexpr FusedKernels table = Fused<Avx2>::table("avx2");
  return table;
}

}  // namespace onebit
