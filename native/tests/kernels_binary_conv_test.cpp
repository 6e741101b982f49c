// Every table's binary convolution against the reference, bit for bit.
#include "support/cross_binary_conv.h"

namespace onebit::test {
namespace {

// A dense layer of `terms` inputs: more than narrow counters hold, and more than the blocks' padding words.
ConvShape dense(int terms, int kernel) {
  ConvShape s = {};
  s.batch = 2;
  s.in_h = s.in_w = s.kernel_h = s.kernel_w = kernel;
  s.in_c = terms / (kernel * kernel);
  s.out_c = 35;
  s.out_h = s.out_w = s.stride_h = s.stride_w = s.dilation_h = s.dilation_w = s.groups = 1;
  return s;
}

}  // namespace
}  // namespace onebit::test

int main() {
  using namespace onebit::test;
  const uint32_t shapes = shape_count(2000);
  for (uint32_t seed = 0; seed < shapes; ++seed) {
    Random random(seed);
    cross(seed, random_conv(random, 150000), seed % 10 == 0, tables());
  }
  cross(shapes, dense(65535, 1), true, tables());
  cross(shapes + 1, dense(65536, 1), true, tables());
  cross(shapes + 2, dense(70000, 10), true, tables());
  cross(shapes + 3, dense(32 * 1024 + 1, 1), true, tables());
  for (const onebit::Kernels* kernels : tables())
    std::printf("%s: %u shapes equal the reference\n", kernels->name, shapes + 4);
}
