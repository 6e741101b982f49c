#include <cstring>

#include "kernels/training.h"

namespace onebit {

const TrainingKernels* training_kernels(const char* table) {
  const auto is = [&](const char* name) { return std::strcmp(table, name) == 0; };
#ifdef ONEBIT_HAVE_AVX512
  if (is("avx512") || is("amx")) return &avx512_training();
#endif
#ifdef ONEBIT_HAVE_AVX512BW
  if (is("avx512bw")) return &avx512bw_training();
#endif
#ifdef ONEBIT_HAVE_AVX2
  if (is("avx2")) return &avx2_training();
#endif
#ifdef ONEBIT_HAVE_NEON_DOTPROD
  if (is("neon_dotprod")) return &neon_dotprod_training();
#endif
#ifdef ONEBIT_HAVE_NEON
  if (is("neon")) return &neon_training();
#endif
  return is("portable") ? &portable_training() : nullptr;
}

}  // namespace onebit
