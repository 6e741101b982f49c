#include "kernels/vector/int8_conv.h"

#include "kernels/neon/isa.h"
#include "kernels/neon/tables.h"

namespace onebit::neon {
namespace {

// An input byte q becomes the signed q - 128 (its highest bit turned), and the zero point shrinks by 128 too. Two
// products of a signed byte and a weight, at most 128 * 127 each, still fit 16 bits: 16 products, 4 of each of 4
// outputs, are SMULL (bytes 0 and 1), SMLAL (2 and 3) and SADALP, which adds neighbours to the 32-bit sums.
struct Pairs : Neon {
  static constexpr int kVectors = 4;

#ifdef __aarch64__
  static constexpr int pixels(int vectors) { return vectors == 1 ? 8 : 4; }
#else
  static constexpr int pixels(int vectors) { return vectors == 1 ? 4 : 2; }  // for 16 registers instead of 32
#endif

  static void place(const int8_t* four, int64_t lane, uint8_t* step) {
    uint8_t* to = step + lane / kLanes * 16 + lane % kLanes * 2;
    std::memcpy(to, four, 2);
    std::memcpy(to + 8, four + 2, 2);
  }

  template <int V, int P>
  static void step(const uint8_t* const (&input)[P], int64_t at, const uint8_t* weight, Vector<4>::Int (&sum)[P][V]) {
    int8x16_t weights[V];
#pragma GCC unroll 4
    for (int v = 0; v < V; ++v) weights[v] = vreinterpretq_s8_u8(vld1q_u8(weight + 16 * v));
#pragma GCC unroll 8
    for (int p = 0; p < P; ++p) {
      const uint8x8_t four = vreinterpret_u8_u32(vdup_n_u32(load<uint32_t>(input[p] + at)));
      const int16x4_t centred = vreinterpret_s16_u8(veor_u8(four, vdup_n_u8(128)));
      const int8x8_t first = vreinterpret_s8_s16(vdup_lane_s16(centred, 0));
      const int8x8_t second = vreinterpret_s8_s16(vdup_lane_s16(centred, 1));
#pragma GCC unroll 4
      for (int v = 0; v < V; ++v) {
        const int16x8_t pairs = vmull_s8(vget_low_s8(weights[v]), first);
        sum[p][v] =
            (Vector<4>::Int)vpadalq_s16((int32x4_t)sum[p][v], vmlal_s8(pairs, vget_high_s8(weights[v]), second));
      }
    }
  }
};

}  // namespace

constexpr Int8ConvKernel int8_conv = Int8ConvKernel::of<CentredInt8Conv<Pairs>>("neon pairs", true);

}  // namespace onebit::neon
