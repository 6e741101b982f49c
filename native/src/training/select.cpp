#include <cstring>

#include "kernels/training.h"

namespace onebit {

const TrainingKernels* training_kernels(const char* table) {
#ifdef ONEBIT_HAVE_AVX512
  if (std::strcmp(table, "avx512") == 0 || std::strcmp(table, "amx") == 0) return &avx512_training();
#endif
  return std::strcmp(table, "portable") == 0 ? &portable_training() : nullptr;
}

}  // namespace onebit
