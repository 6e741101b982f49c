#include "kernels/vector/tail.h"

namespace onebit {

const TailKernels& avx2_tail() {
  static constexpr TailKernels table = TailPasses::table("avx2");
  return table;
}

}  // namespace onebit
