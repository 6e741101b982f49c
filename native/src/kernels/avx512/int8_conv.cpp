#include "kernels/vector/int8_conv.h"

#include "kernels/avx512/isa.h"
#include "kernels/avx512/tables.h"

namespace onebit::avx512 {
namespace {

// VPDPBUSD: 64 products, 4 of each of 16 outputs. 24 accumulators: 6 pixels x 64 outputs.
struct Vnni : Avx512 {
  static constexpr int kVectors = 4;

  static constexpr int pixels(int vectors) { return vectors < 4 ? 8 : 6; }

  static void place(const int8_t* four, int64_t lane, uint8_t* step) { std::memcpy(step + 4 * lane, four, 4); }

  template <int V, int P>
  static void step(const uint8_t* const (&input)[P], int64_t at, const uint8_t* weight, Vector<16>::Int (&sum)[P][V]) {
    __m512i weights[V];
#pragma GCC unroll 16
    for (int v = 0; v < V; ++v) weights[v] = _mm512_loadu_si512(weight + 64 * v);
#pragma GCC unroll 16
    for (int p = 0; p < P; ++p) {
      const __m512i four = _mm512_set1_epi32(load<int32_t>(input[p] + at));
#pragma GCC unroll 16
      for (int v = 0; v < V; ++v)
        sum[p][v] = (Vector<16>::Int)_mm512_dpbusd_epi32((__m512i)sum[p][v], four, weights[v]);
    }
  }
};

}  // namespace

constexpr Int8ConvKernel int8_conv = Int8ConvKernel::of<BlockedInt8Conv<Vnni>>("avx512 vnni", true);

}  // namespace onebit::avx512
