#include "kernels/vector/tail.h"

#include "kernels/portable/tables.h"

namespace onebit::portable {

const TailKernels& tail() {
  static constexpr TailKernels table = TailPasses::table("portable");
  return table;
}

}  // namespace onebit::portable
