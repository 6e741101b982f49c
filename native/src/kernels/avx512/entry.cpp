#include "kernels/avx512/tables.h"
#include "kernels/avx512bw/tables.h"
#include "kernels/registry.h"

namespace onebit::avx512 {

bool usable() {
  return avx512bw::usable() && __builtin_cpu_supports("avx512vpopcntdq") && __builtin_cpu_supports("avx512vnni");
}

extern const Isa isa = {usable, kernels, head, tail, avx512bw::signs, training, avx512bw::fused};

}  // namespace onebit::avx512
