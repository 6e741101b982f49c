#include "kernels/vector/int8_conv.h"

#include "kernels/neon/isa.h"
#include "kernels/neon_dotprod/tables.h"

namespace onebit::neon_dotprod {
namespace {

// SDOT: 16 products, 4 of each of 4 outputs. An input byte q becomes the signed q - 128 (its highest bit turned), and
// the zero point shrinks by 128 too.
struct Dots : Neon {
  static constexpr int kVectors = 4;

  static constexpr int pixels(int vectors) { return vectors == 1 ? 12 : 24 / vectors; }

  static void place(const int8_t* four, int64_t lane, uint8_t* step) { std::memcpy(step + 4 * lane, four, 4); }

  template <int V, int P>
  static void step(const uint8_t* const (&input)[P], int64_t at, const uint8_t* weight, Vector<4>::Int (&sum)[P][V]) {
    int8x16_t weights[V];
#pragma GCC unroll 4
    for (int v = 0; v < V; ++v) weights[v] = vreinterpretq_s8_u8(vld1q_u8(weight + 16 * v));
#pragma GCC unroll 16
    for (int p = 0; p < P; ++p) {
      const uint8x8_t four = vreinterpret_u8_u32(vdup_n_u32(load<uint32_t>(input[p] + at)));
      const int8x8_t centred = vreinterpret_s8_u8(veor_u8(four, vdup_n_u8(128)));
#pragma GCC unroll 4
      for (int v = 0; v < V; ++v)
        sum[p][v] = (Vector<4>::Int)vdotq_lane_s32((int32x4_t)sum[p][v], weights[v], centred, 0);
    }
  }
};

}  // namespace

constexpr Int8ConvKernel int8_conv = Int8ConvKernel::of<CentredInt8Conv<Dots>>("neon_dotprod dots", true);

}  // namespace onebit::neon_dotprod
