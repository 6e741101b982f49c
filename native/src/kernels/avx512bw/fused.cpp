#include "kernels/vector/fused.h"

#include "kernels/avx512/isa.h"

namespace onebit {

const FusedKernels& avx512bw_fused() {
  static constexpr FusedKernels table = Fused<Avx512>::table("avx512bw");
  return table;
}

}  // namespace onebit
