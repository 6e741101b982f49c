// Every kernel of every table's binary convolution against the reference, bit for bit.
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

// Rows of a few pixels with windows of many words.
ConvShape deep(int channels) {
  ConvShape s = {};
  s.batch = s.stride_h = s.stride_w = s.dilation_h = s.dilation_w = s.groups = 1;
  s.in_h = s.out_h = 2;
  s.in_w = s.out_w = 7;
  s.kernel_h = s.kernel_w = 3;
  s.pad_top = s.pad_left = 1;
  s.in_c = channels;
  s.out_c = 35;
  return s;
}

}  // namespace
}  // namespace onebit::test

int main() {
  using namespace onebit::test;
  const auto kernels = kernels_of(&onebit::Kernels::binary_conv, tables());
  const uint32_t shapes = case_count(2000);
  for (uint32_t seed = 0; seed < shapes; ++seed) {
    Random random(seed);
    const onebit::ConvShape shape = random_conv(random, 150000);
    check_fits(&onebit::Kernels::binary_conv, shape);
    cross(seed, shape, seed % 10 == 0, kernels);
  }
  uint32_t seed = shapes;
  for (const onebit::ConvShape& shape :
       {dense(65535, 1), dense(65536, 1), dense(70000, 10), dense(32 * 1024 + 1, 1), deep(800), deep(1030)}) {
    check_fits(&onebit::Kernels::binary_conv, shape);
    cross(seed++, shape, true, kernels);
  }
  for (const onebit::BinaryConvKernel* kernel : kernels)
    std::printf("%s: those of %u shapes that fit equal the reference\n", kernel->name, seed);
}
