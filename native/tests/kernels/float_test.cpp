// Every table's float operators against the reference, bit for bit.
#include "kernels/reference/tables.h"
#include "support/random_cases.h"

namespace onebit::test {
namespace {

void cross_conv(uint32_t seed) {
  Random random(seed);
  const ConvShape s = random_conv(random, 50000);
  const int64_t rows = int64_t{s.batch} * s.out_h, outputs = rows * s.out_w * s.out_c;
  auto input = reals(random, int64_t{s.batch} * s.in_h * s.in_w * s.in_c);
  auto weight = reals(random, int64_t{s.out_c} * s.kernel_h * s.kernel_w * (s.in_c / s.groups));
  RandomEpilogue epilogue(random, s.out_c, outputs);
  Array<float> expected(outputs);
  FloatConvArgs args = {s, input.data(), weight.data(), epilogue.epilogue, expected.data()};
  reference::float_conv.run(args, 0, rows);
  check_fits(&Kernels::float_conv, s);
  for (const FloatConvKernel* kernel : kernels_of(&Kernels::float_conv, tables())) {
    if (!kernel->fits(s)) continue;
    Packed packed(kernel->pack_bytes(s));
    kernel->pack(s, weight.data(), packed.data());
    Array<float> output(outputs);
    args.weight = packed.data();
    args.output = output.data();
    in_pieces(random, kernel->units(s), [&](int64_t begin, int64_t end) { kernel->run(args, begin, end); });
    if (!(output == expected)) print(s);
    CHECK(output == expected, "%s differs from reference, seed %u", kernel->name, seed);
  }
}

void cross_pool(uint32_t seed) {
  Random random(seed);
  PoolArgs args = {};
  args.batch = random.between(1, 3);
  args.channels = random.between(1, 70);
  args.in_h = random.between(1, 12), args.in_w = random.between(1, 12);
  args.kernel_h = random.between(1, args.in_h), args.kernel_w = random.between(1, args.in_w);
  args.stride_h = random.between(1, 3), args.stride_w = random.between(1, 3);
  args.pad_top = random.between(0, args.kernel_h - 1), args.pad_bottom = random.between(0, args.kernel_h - 1);
  args.pad_left = random.between(0, args.kernel_w - 1), args.pad_right = random.between(0, args.kernel_w - 1);
  args.out_h = (args.in_h + args.pad_top + args.pad_bottom - args.kernel_h) / args.stride_h + 1;
  args.out_w = (args.in_w + args.pad_left + args.pad_right - args.kernel_w) / args.stride_w + 1;
  // One more output, as pools that round the output side up have, where its window still touches the image.
  if (random.chance(30) && args.out_h * args.stride_h - args.pad_top < args.in_h) ++args.out_h;
  if (random.chance(30) && args.out_w * args.stride_w - args.pad_left < args.in_w) ++args.out_w;
  args.count_padding = random.chance(50);
  auto input = reals(random, int64_t{args.batch} * args.in_h * args.in_w * args.channels);
  args.input = input.data();
  const int64_t rows = int64_t{args.batch} * args.out_h, outputs = rows * args.out_w * args.channels;
  auto bounds = float_intervals(random, args.channels);
  for (auto pool : {&Kernels::max_pool, &Kernels::average_pool}) {
    Array<float> expected(outputs);
    Array<uint32_t> expected_bits(rows * args.out_w * words_for(args.channels));
    args.output = expected.data();
    args.bits = {expected_bits.data(), bounds.data()};
    (reference::kernels().*pool)(args, 0, rows);
    for (const Kernels* kernels : tables()) {
      Array<float> output(outputs);
      Array<uint32_t> output_bits(expected_bits.size());
      args.output = output.data();
      args.bits.words = output_bits.data();
      in_pieces(random, rows, [&](int64_t begin, int64_t end) { (kernels->*pool)(args, begin, end); });
      CHECK(output == expected && output_bits == expected_bits, "%s %s differs from reference, seed %u", kernels->name,
            pool == &Kernels::max_pool ? "max_pool" : "average_pool", seed);
    }
  }
}

void cross_pointwise(uint32_t seed) {
  Random random(seed);
  const int32_t channels = random.between(1, 150);
  const int64_t rows = random.between(1, 6), pixels_per_row = random.between(1, 9),
                values = rows * pixels_per_row * channels;
  auto input = reals(random, values);
  RandomEpilogue epilogue(random, channels, values);
  Array<float> expected(values);
  auto bounds = float_intervals(random, channels);
  Array<uint32_t> expected_bits(rows * pixels_per_row * words_for(channels));
  PointwiseArgs args = {pixels_per_row,    channels,        input.data(),
                        epilogue.epilogue, expected.data(), {expected_bits.data(), bounds.data()}};
  reference::kernels().pointwise(args, 0, rows);
  for (const Kernels* kernels : tables()) {
    Array<float> output(values);
    Array<uint32_t> output_bits(expected_bits.size());
    args.output = output.data();
    args.bits.words = output_bits.data();
    in_pieces(random, rows, [&](int64_t begin, int64_t end) { kernels->pointwise(args, begin, end); });
    CHECK(output == expected && output_bits == expected_bits, "%s pointwise differs from reference, seed %u",
          kernels->name, seed);
  }
}

void cross_binarize(uint32_t seed) {
  Random random(seed);
  const int32_t channels = random.between(1, 150);
  const int64_t rows = random.between(1, 6), pixels_per_row = random.between(1, 9);
  auto input = reals(random, rows * pixels_per_row * channels);
  auto interval = float_intervals(random, channels);
  for (int64_t i = 0; i < input.size(); ++i) {
    if (random.chance(10)) input[i] = interval[2 * (i % channels) + random.between(0, 1)];
    if (random.chance(2)) input[i] = random.chance(50) ? std::nanf("") : bound(random);
  }
  Array<uint32_t> expected(rows * pixels_per_row * words_for(channels));
  BinarizeArgs args = {pixels_per_row, channels, input.data(), interval.data(), expected.data()};
  reference::kernels().binarize(args, 0, rows);
  for (const Kernels* kernels : tables()) {
    Array<uint32_t> output(expected.size());
    args.output = output.data();
    in_pieces(random, rows, [&](int64_t begin, int64_t end) { kernels->binarize(args, begin, end); });
    CHECK(output == expected, "%s binarize differs from reference, seed %u", kernels->name, seed);
  }
}

}  // namespace
}  // namespace onebit::test

int main() {
  using namespace onebit::test;
  const uint32_t shapes = case_count(1500);
  for (uint32_t seed = 0; seed < shapes; ++seed) {
    cross_conv(seed);
    cross_pool(seed);
    cross_pointwise(seed);
    cross_binarize(seed);
  }
  for (const onebit::Kernels* kernels : tables())
    std::printf("%s: %u shapes equal the reference\n", kernels->name, shapes);
}
