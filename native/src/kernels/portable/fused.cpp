#include "kernels/vector/fused.h"

#include "kernels/portable/isa.h"
#include "kernels/portable/tables.h"

namespace onebit::portable {

const FusedKernels& fused() {
  static constexpr FusedKernels table = Fused<Widening<Portable>>::table("portable");
  return table;
}

}  // namespace onebit::portable
