// The convolutions on tiles of bytes against the reference, bit for bit, with the tile operations in plain C++: all of
// the kernels but their instructions, on any CPU.
#include "kernels/amx/tiled_binary_conv.h"
#include "kernels/amx/tiled_int8_conv.h"
#include "kernels/portable/isa.h"
#include "support/cross_binary_conv.h"
#include "support/cross_int8_conv.h"

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
    add_products<Sum, A, B, int8_t>();
  }

  template <int Sum, int A, int B>
  static void multiply_unsigned() {
    add_products<Sum, A, B, uint8_t>();
  }

  static void expand(uint64_t bits, int8_t* to) {
    for (int i = 0; i < 64; ++i) to[i] = bits >> i & 1 ? -1 : 1;
  }

  static void gather(const uint8_t* from, int64_t from_step, int64_t pieces, const uint64_t* masks,
                     const int64_t* offsets, int64_t rows, int8_t* to, int64_t to_step) {
    for (; rows > 0; --rows, from += from_step, to += to_step) {
      for (int i = 0; i < 64; ++i) {
        to[i] = 0;
        for (int64_t piece = 0; piece < pieces; ++piece)
          if (masks[piece] >> i & 1) to[i] = static_cast<int8_t>(from[offsets[piece] + i]);
      }
    }
  }

  template <int Sum, int A, int B, class Byte>
  static void add_products() {
    int32_t sums[16][16];
    std::memcpy(sums, tiles[Sum], sizeof(sums));
    for (int m = 0; m < 16; ++m) {
      for (int n = 0; n < 16; ++n) {
        for (int k = 0; k < 64; ++k) sums[m][n] += static_cast<Byte>(tiles[A][m][k]) * tiles[B][k / 4][4 * n + k % 4];
      }
    }
    std::memcpy(tiles[Sum], sums, sizeof(sums));
  }

  static inline int8_t tiles[8][16][64];
  static inline bool configured = false;
};

using Binary = TiledBinaryConv<Emulated>;
using Int8 = TiledInt8Conv<Emulated>;

constexpr BinaryConvKernel binary_kernel = BinaryConvKernel::of<Binary>("tiles in plain C++", true);
constexpr Int8ConvKernel int8_kernel = Int8ConvKernel::of<Int8>("int8 tiles in plain C++", true);

int64_t products(const ConvShape& s) {
  return int64_t{s.batch} * s.out_h * s.out_w * s.out_c * s.kernel_h * s.kernel_w * s.in_c;
}

// What the binary kernel takes, of at most about `work` products.
ConvShape binary_conv(Random& random, int64_t work) {
  for (;;) {
    ConvShape s = random_conv(random, std::numeric_limits<int64_t>::max());
    s.groups = 1;
    s.in_c = 64 * random.between(1, 5);
    s.out_c = 32 * random.between(1, 4);
    if (Binary::fits(s) && products(s) <= work) return s;
  }
}

// What the int8 kernel takes, some of whole steps a pixel.
ConvShape int8_conv(Random& random, int64_t work) {
  for (;;) {
    ConvShape s = padded_conv(random, std::numeric_limits<int64_t>::max());
    s.groups = 1;
    if (random.chance(40)) s.in_c = 64 * random.between(1, 3);
    if (Int8::fits(s) && products(s) <= work) return s;
  }
}

// A square image, 3x3, padding 1.
ConvShape square(int32_t side, int32_t in_c, int32_t out_c, int32_t stride) {
  const int32_t out = (side - 1) / stride + 1;
  return {1, side, side, in_c, out, out, out_c, 3, 3, stride, stride, 1, 1, 1, 1, 1};
}

// The same for the int8 kernel, whose image holds its padding.
ConvShape padded_square(int32_t side, int32_t in_c, int32_t out_c, int32_t stride, int32_t kernel) {
  const int32_t out = (side - kernel) / stride + 1;
  return {1, side, side, in_c, out, out, out_c, kernel, kernel, stride, stride, 0, 0, 1, 1, 1};
}

}  // namespace
}  // namespace onebit::test

int main() {
  using namespace onebit::test;
  const uint32_t shapes = case_count(400);
  for (uint32_t seed = 0; seed < shapes; ++seed) {
    Random random(seed);
    cross(seed, binary_conv(random, 2000000), seed % 10 == 0, {&binary_kernel});
    const auto extremes = seed % 10 == 0 ? Extremes::positive : seed % 10 == 1 ? Extremes::negative : Extremes::none;
    cross(seed, int8_conv(random, 1000000), extremes, {&int8_kernel});
  }
  // Several strips; weights that stay as bytes, and that go round.
  cross(shapes, square(20, 64, 32, 1), false, {&binary_kernel});
  cross(shapes + 1, square(30, 128, 32, 1), false, {&binary_kernel});
  cross(shapes + 2, square(15, 256, 32, 2), false, {&binary_kernel});
  cross(shapes + 3, square(7, 512, 32, 1), true, {&binary_kernel});
  // A tile of one pixel after a full one.
  cross(shapes + 4, {1, 1, 17, 64, 1, 17, 32, 1, 1, 1, 1, 0, 0, 1, 1, 1}, false, {&binary_kernel});
  // Rows of one output, so that a round of tiles has but a few.
  cross(shapes + 5, {1, 40, 13, 64, 40, 1, 32, 1, 13, 1, 1, 0, 0, 1, 1, 1}, false, {&binary_kernel});
  CHECK(!Binary::fits(square(1000, 64, 32, 1)), "a row longer than the kernel's memory");
  CHECK(!Binary::fits(square(7, 96, 32, 1)) && !Binary::fits(square(7, 64, 48, 1)), "no whole tiles");
  for (const Extremes extremes : {Extremes::positive, Extremes::negative, Extremes::none}) {
    cross(shapes, padded_square(41, 3, 20, 2, 7), extremes, {&int8_kernel});
    cross(shapes + 1, padded_square(22, 64, 48, 1, 3), extremes, {&int8_kernel});
    cross(shapes + 2, dense(1, 512, 1000), extremes, {&int8_kernel});
  }
  std::printf("%s and %s: %u shapes equal the reference\n", binary_kernel.name, int8_kernel.name, shapes + 6);
}
