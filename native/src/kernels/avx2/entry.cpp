#include "kernels/avx2/tables.h"
#include "kernels/registry.h"

namespace onebit::avx2 {

bool usable() { return __builtin_cpu_supports("avx2"); }

extern const Isa isa = {usable, kernels, head, tail, signs, training, fused};

}  // namespace onebit::avx2
