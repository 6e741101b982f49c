#include "kernels/vector/tail.h"

#include "kernels/avx2/tables.h"

namespace onebit::avx2 {

const TailKernels& tail() {
  static constexpr TailKernels table = TailPasses::table("avx2");
  return table;
}

}  // namespace onebit::avx2
