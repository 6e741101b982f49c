// The passes of the tail for any CPU, and which go with which table. Not in kernels/portable, which is the whole of a
// microcontroller's kernels.
#include "kernels/vector/tail.h"

namespace onebit {

const TailKernels& portable_tail() {
  static constexpr TailKernels table = TailPasses::table("portable");
  return table;
}

const TailKernels& tail_kernels(const char* table) {
  static_cast<void>(table);
#ifdef ONEBIT_HAVE_AVX512
  if (std::strcmp(table, "avx512") == 0 || std::strcmp(table, "amx") == 0) return avx512_tail();
#endif
#ifdef ONEBIT_HAVE_AVX2
  if (std::strcmp(table, "avx2") == 0 || std::strcmp(table, "avx512bw") == 0) return avx2_tail();
#endif
  return portable_tail();
}

}  // namespace onebit
