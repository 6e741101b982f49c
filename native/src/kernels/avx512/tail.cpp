#include "kernels/vector/tail.h"

#include "kernels/avx512/tables.h"

namespace onebit::avx512 {

const TailKernels& tail() {
  static constexpr TailKernels table = TailPasses::table("avx512");
  return table;
}

}  // namespace onebit::avx512
