// The binary convolution on tiles of bytes against the reference, bit for bit, with the tile operations in plain C++:
// all of the kernel but its instructions, on any CPU.
#include "kernels/amx/tiled_binary_conv.h"
#include "kernels/portable/isa.h"
#include "support/cross_binary_conv.h"

namespace onebit::test {
namespace {

struct Emulated : Portable {
  static void configure() {
    CHECK(!configured, "configured twice");
    configured = true;
    std::memset(tiles, 0x5a, sizeof(tiles));
  }
  static void release() {
    CHECK(configured, "released without a configuration");
    configured = false;
  }

  template <int Tile>
  static void zero() {
    std::memset(tiles[Tile], 0, sizeof(tiles[Tile]));
  }

  template <int Tile>
  static void read(const void* from, int64_t stride) {
    CHECK(configured, "a tile without a configuration");
    for (int row = 0; row < 16; ++row)
      std::memcpy(tiles[Tile][row], static_cast<const int8_t*>(from) + row * stride, 64);
  }

  template <int Tile>
  static void write(void* to, int64_t stride) {
    for (int row = 0; row < 16; ++row) std::memcpy(static_cast<int8_t*>(to) + row * stride, tiles[Tile][row], 64);
  }

  template <int Sum, int A, int B>
  static void multiply() {
    int32_t sums[16][16];
    std::memcpy(sums, tiles[Sum], sizeof(sums));
    for (int m = 0; m < 16; ++m) {
      for (int n = 0; n < 16; ++n) {
        for (int k = 0; k < 64; ++k) sums[m][n] += tiles[A][m][k] * tiles[B][k / 4][4 * n + k % 4];
      }
    }
    std::memcpy(tiles[Sum], sums, sizeof(sums));
  }

  static void expand(uint64_t bits, int8_t* to) {
    for (int i = 0; i < 64; ++i) to[i] = bits >> i & 1 ? -1 : 1;
  }

  static inline int8_t tiles[8][16][64];
  static inline bool configured = false;
};

using Tiled = TiledBinaryConv<Emulated>;

constexpr BinaryConvKernel kernel = BinaryConvKernel::of<Tiled>("tiles in plain C++", true);

// What the kernel takes, of at most about `work` products.
ConvShape tiled_conv(Random& random, int64_t work) {
  for (;;) {
    ConvShape s = random_conv(random, std::numeric_limits<int64_t>::max());
    s.groups = 1;
    s.in_c = 64 * random.between(1, 5);
    s.out_c = 32 * random.between(1, 4);
    if (s.dilation_w != 1 || !Tiled::fits(s)) continue;
    const int64_t outputs = int64_t{s.batch} * s.out_h * s.out_w * s.out_c;
    if (outputs * s.kernel_h * s.kernel_w * s.in_c <= work) return s;
  }
}

// A square image, 3x3, padding 1.
ConvShape square(int32_t side, int32_t in_c, int32_t out_c, int32_t stride) {
  const int32_t out = (side - 1) / stride + 1;
  return {1, side, side, in_c, out, out, out_c, 3, 3, stride, stride, 1, 1, 1, 1, 1};
}

}  // namespace
}  // namespace onebit::test

int main() {
  using namespace onebit::test;
  const uint32_t shapes = 400;
  for (uint32_t seed = 0; seed < shapes; ++seed) {
    Random random(seed);
    cross(seed, tiled_conv(random, 2000000), seed % 10 == 0, {&kernel});
  }
  // Several strips, and several panels of weights.
  cross(shapes, square(20, 64, 32, 1), false, {&kernel});
  cross(shapes + 1, square(15, 256, 32, 2), false, {&kernel});
  cross(shapes + 2, square(7, 512, 32, 1), true, {&kernel});
  // A tile of one pixel after a full one.
  cross(shapes + 3, {1, 1, 17, 64, 1, 17, 32, 1, 1, 1, 1, 0, 0, 1, 1, 1}, false, {&kernel});
  CHECK(!Tiled::fits(square(400, 64, 32, 1)), "a row longer than the kernel's memory");
  CHECK(!Tiled::fits(square(7, 96, 32, 1)) && !Tiled::fits(square(7, 64, 48, 1)), "no whole tiles");
  std::printf("%s: %u shapes equal the reference\n", kernel.name, shapes + 4);
}
