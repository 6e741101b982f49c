#include <cstring>

#include "kernels/fused.h"

namespace onebit {

const FusedKernels& fused_kernels(const char* table) {
  [[maybe_unused]] const auto is = [table](const char* name) { return std::strcmp(table, name) == 0; };
#ifdef ONEBIT_HAVE_AVX512BW
  if (is("avx512bw") || is("avx512") || is("amx")) return avx512bw_fused();
#endif
#ifdef ONEBIT_HAVE_AVX2
  if (is("avx2")) return avx2_fused();
#endif
#ifdef ONEBIT_HAVE_NEON
  if (is("neon") || is("neon_dotprod")) return neon_fused();
#endif
  return portable_fused();
}

}  // namespace onebit
