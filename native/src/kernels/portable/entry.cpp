#include "kernels/portable/tables.h"
#include "kernels/registry.h"

namespace onebit::portable {

extern const Isa isa = {always, kernels, head, tail, signs, training, fused};

}  // namespace onebit::portable
