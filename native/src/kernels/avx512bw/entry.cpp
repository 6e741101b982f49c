#include "kernels/avx2/tables.h"
#include "kernels/avx512bw/tables.h"
#include "kernels/registry.h"

namespace onebit::avx512bw {

bool usable() {
  return __builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512bw") &&
         __builtin_cpu_supports("avx512vl") && __builtin_cpu_supports("avx512dq") && avx2::usable();
}

extern const Isa isa = {usable, kernels, avx2::head, avx2::tail, signs, training, fused};

}  // namespace onebit::avx512bw
