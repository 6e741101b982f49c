#include "kernels/vector/tail.h"

namespace onebit {

const TailKernels& avx512_tail() {
  static constexpr TailKernels table = TailPasses::table("avx512");
  return table;
}

}  // namespace onebit
