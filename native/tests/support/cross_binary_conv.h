// Crosses binary convolutions with the reference on one shape.
#pragma once

#include "kernels/reference/tables.h"
#include "random_cases.h"

namespace onebit::test {

inline Array<int32_t> intervals(Random& random, const ConvShape& s) {
  const int terms = s.kernel_h * s.kernel_w * s.in_c / s.groups;
  Array<int32_t> interval(2 * s.out_c);
  for (int64_t o = 0; o < s.out_c; ++o) {
    const int kind = random.between(0, 3);
    interval[2 * o] = kind == 0 ? std::numeric_limits<int32_t>::min() : random.between(-terms / 4 - 1, terms / 4 + 1);
    interval[2 * o + 1] =
        kind == 1 ? std::numeric_limits<int32_t>::max() : random.between(-terms / 4 - 1, terms / 4 + 1);
  }
  return interval;
}

// Every product -1 (or, with the weights' bits also zero, +1): the most that a counter must hold.
inline void oppose(Random& random, const ConvShape& s, Array<uint32_t>& input, Array<uint32_t>& weight) {
  const int channels = s.in_c / s.groups;
  const int64_t words = words_for(channels);
  const bool minus = random.chance(80);
  for (int64_t i = 0; i < input.size(); ++i) input[i] = 0;
  for (int64_t i = 0; i < weight.size(); ++i) {
    const bool spare = channels % 32 && i % words == words - 1;
    weight[i] = !minus ? 0 : spare ? (1u << channels % 32) - 1 : ~0u;
  }
}

// Every kind of output, on random parts of the work, bit for bit as the reference. `opposed`: the largest counts.
inline void cross(uint32_t seed, const ConvShape& s, bool opposed,
                  const std::vector<const BinaryConvKernel*>& kernels) {
  Random random(seed);
  auto input = bits(random, int64_t{s.batch} * s.in_h * s.in_w, s.in_c);
  auto weight = bits(random, int64_t{s.out_c} * s.kernel_h * s.kernel_w, s.in_c / s.groups);
  if (opposed) oppose(random, s, input, weight);
  auto interval = intervals(random, s);
  const int64_t rows = int64_t{s.batch} * s.out_h, pixels = rows * s.out_w;
  RandomEpilogue epilogue(random, s.out_c, pixels * s.out_c);
  const int32_t pad_value = random.between(-1, 1);

  BinaryConvArgs args = {s,       pad_value, input.data(), weight.data(), epilogue.epilogue, interval.data(),
                         nullptr, nullptr};
  Array<float> floats(pixels * s.out_c);
  Array<uint32_t> words(pixels * words_for(s.out_c));
  args.output = floats.data();
  reference::binary_conv.run(args, 0, rows);
  args.output = nullptr;
  args.output_bits = words.data();
  reference::binary_conv.run(args, 0, rows);
  // What a binarize of the floats would give.
  auto bounds = float_intervals(random, s.out_c);
  Array<uint32_t> binarized(words.size());
  reference::kernels().binarize({s.out_w, s.out_c, floats.data(), bounds.data(), binarized.data()}, 0, rows);

  for (const BinaryConvKernel* kernel : kernels) {
    if (!kernel->fits(s)) continue;
    Packed packed(kernel->pack_bytes(s));
    kernel->pack(s, weight.data(), packed.data());
    args.weight = packed.data();
    Array<float> floats_here(pixels * s.out_c);
    Array<uint32_t> words_here(pixels * words_for(s.out_c)), binarized_here(words.size());
    const int64_t units = kernel->units(s);
    args.output = floats_here.data();
    args.output_bits = nullptr;
    args.bits = {binarized_here.data(), bounds.data()};
    in_pieces(random, units, [&](int64_t begin, int64_t end) { kernel->run(args, begin, end); });
    args.output = nullptr;
    args.output_bits = words_here.data();
    args.bits = {};
    in_pieces(random, units, [&](int64_t begin, int64_t end) { kernel->run(args, begin, end); });
    const bool same = floats_here == floats && words_here == words && binarized_here == binarized;
    if (!same) print(s);
    CHECK(same, "%s differs from reference, seed %u, padding %d", kernel->name, seed, pad_value);
  }
}

}  // namespace onebit::test
