// Crosses int8 convolutions with the reference on one shape.
#pragma once

#include "kernels/reference/tables.h"
#include "random_cases.h"

namespace onebit::test {

// A random convolution whose image holds its padding.
inline ConvShape padded_conv(Random& random, int64_t work) {
  ConvShape s = random_conv(random, work);
  if (random.chance(20)) s.in_c = s.groups = 1;  // spans that are no multiple of 4
  s.in_h = (s.out_h - 1) * s.stride_h + (s.kernel_h - 1) * s.dilation_h + 1 + random.between(0, s.stride_h - 1);
  s.in_w = (s.out_w - 1) * s.stride_w + (s.kernel_w - 1) * s.dilation_w + 1 + random.between(0, s.stride_w - 1);
  s.pad_top = s.pad_left = 0;
  return s;
}

// Rows of many pixels and whole vectors of outputs; some windows of so many channels that not all pixels of a row are
// at hand at once.
inline ConvShape wide_conv(Random& random) {
  ConvShape s = {};
  s.batch = random.between(1, 2);
  s.out_h = random.between(1, 2), s.out_w = random.between(5, 20), s.out_c = 16 * random.between(1, 6);
  s.in_c = random.chance(10) ? random.between(500, 700) : random.between(1, 9);
  s.kernel_h = s.kernel_w = random.between(1, 4);
  s.stride_h = s.stride_w = random.between(1, 2);
  s.dilation_h = random.between(1, 2), s.dilation_w = s.groups = 1;
  s.in_h = (s.out_h - 1) * s.stride_h + (s.kernel_h - 1) * s.dilation_h + 1;
  s.in_w = (s.out_w - 1) * s.stride_w + s.kernel_w;
  return s;
}

// Of bytes as large as they can be, the sums too.
enum class Extremes { none, positive, negative };

// On random parts of the work, bit for bit as the reference.
inline void cross(uint32_t seed, const ConvShape& s, Extremes extremes,
                  const std::vector<const Int8ConvKernel*>& kernels) {
  Random random(seed);
  const int32_t zero_points[] = {0, 255, random.between(1, 254)};
  int32_t zero_point = zero_points[random.between(0, 2)];
  Array<uint8_t> input(int64_t{s.batch} * s.in_h * s.in_w * s.in_c + kInt8Slack);
  Array<int8_t> weight(int64_t{s.out_c} * s.kernel_h * s.kernel_w * (s.in_c / s.groups));
  for (int64_t i = 0; i < input.size(); ++i) input[i] = static_cast<uint8_t>(random.between(0, 255));
  for (int64_t i = 0; i < weight.size(); ++i) weight[i] = static_cast<int8_t>(random.between(-127, 127));
  if (extremes != Extremes::none) {
    zero_point = random.chance(50) ? 0 : 255;
    const bool up = (extremes == Extremes::positive) == (zero_point == 0);
    for (int64_t i = 0; i < input.size(); ++i) input[i] = static_cast<uint8_t>(255 - zero_point);
    for (int64_t i = 0; i < weight.size(); ++i) weight[i] = up ? 127 : -127;
  }
  const int64_t rows = int64_t{s.batch} * s.out_h, outputs = rows * s.out_w * s.out_c;
  RandomEpilogue epilogue(random, s.out_c, outputs);

  Array<float> expected(outputs);
  {
    Packed packed(reference::int8_conv.pack_bytes(s));
    reference::int8_conv.pack(s, zero_point, weight.data(), packed.data());
    reference::int8_conv.run({s, input.data(), packed.data(), epilogue.epilogue, expected.data()}, 0, rows);
  }
  for (const Int8ConvKernel* kernel : kernels) {
    if (!kernel->fits(s)) continue;
    Packed packed(kernel->pack_bytes(s));
    kernel->pack(s, zero_point, weight.data(), packed.data());
    Array<float> output(outputs);
    const Int8ConvArgs args = {s, input.data(), packed.data(), epilogue.epilogue, output.data()};
    in_pieces(random, kernel->units(s), [&](int64_t begin, int64_t end) { kernel->run(args, begin, end); });
    if (!(output == expected)) print(s);
    CHECK(output == expected, "%s (int8) differs from reference, seed %u, zero point %d", kernel->name, seed,
          zero_point);
  }
}

// A dense layer.
inline ConvShape dense(int kernel, int channels, int outputs) {
  ConvShape s = {};
  s.batch = 2;
  s.in_h = s.in_w = s.kernel_h = s.kernel_w = kernel;
  s.in_c = channels;
  s.out_c = outputs;
  s.out_h = s.out_w = s.stride_h = s.stride_w = s.dilation_h = s.dilation_w = s.groups = 1;
  return s;
}

}  // namespace onebit::test
