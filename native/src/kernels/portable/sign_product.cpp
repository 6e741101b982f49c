#include "kernels/vector/sign_product.h"

#include "kernels/portable/tables.h"

namespace onebit::portable {
namespace {

struct Plain {
  static constexpr int kTerms = 4, kColumns = 8, kVectors = 2, kRows = 2;
  static constexpr int64_t kVectorBytes = 32, kLeftBytes = 4;
  static constexpr int64_t kSteps = 32767 / (4 * 128);
  typedef int8_t Bytes __attribute__((vector_size(8)));
  typedef int16_t Sums __attribute__((vector_size(16)));

  static void expand(const uint32_t (&words)[4], uint8_t* to) { expand_terms(words, to); }

  static void spread(const int8_t* h, int64_t steps, uint8_t* to) {
    std::memcpy(to, h, static_cast<size_t>(4 * steps));
  }

  template <int V, int R>
  static void step(const uint8_t* left, int64_t row_bytes, const uint8_t* right, Sums (&sums)[R][V]) {
#pragma GCC unroll 4
    for (int k = 0; k < 4; ++k) {
#pragma GCC unroll 2
      for (int v = 0; v < V; ++v) {
        Bytes bits;
        std::memcpy(&bits, right + 32 * v + 8 * k, 8);
        const Sums wide = __builtin_convertvector(bits, Sums);
#pragma GCC unroll 2
        for (int r = 0; r < R; ++r)
          sums[r][v] += wide * static_cast<int16_t>(static_cast<int8_t>(left[r * row_bytes + k]));
      }
    }
  }

  static void widen(Sums sums, int32_t* totals) {
    for (int i = 0; i < 8; ++i) totals[i] += sums[i];
  }
};

}  // namespace

const SignKernels& signs() {
  static constexpr SignKernels table = SignProduct<Plain>::table("portable");
  return table;
}

}  // namespace onebit::portable
