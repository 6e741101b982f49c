#include "graph/rates.h"

#include <algorithm>
#include <chrono>
#include <cstring>
#include <limits>
#include <vector>

#include "base/bytes.h"
#include "kernels/autotune.h"

namespace onebit {
namespace {

// The shortest of the runs that fit into a tenth of a second, at least three of them; seconds.
template <class Work>
double shortest(const Work& work) {
  using Clock = std::chrono::steady_clock;
  const auto start = Clock::now();
  double best = std::numeric_limits<double>::infinity();
  for (int run = 0; run < 3 || Clock::now() - start < std::chrono::milliseconds(100); ++run) {
    const auto before = Clock::now();
    work();
    best = std::min(best, std::chrono::duration<double>(Clock::now() - before).count());
  }
  return best;
}

// A 3 x 3 convolution of a 16 x 16 image without padding: every tap is inside.
ConvShape good_shape(int32_t channels) { return {1, 16, 16, channels, 14, 14, channels, 3, 3, 1, 1, 0, 0, 1, 1, 1}; }

double products(const ConvShape& s) { return double(s.out_h) * s.out_w * s.out_c * s.kernel_h * s.kernel_w * s.in_c; }

double binary_rate(const Kernels& kernels) {
  const ConvShape s = good_shape(256);
  const auto channels = static_cast<size_t>(s.in_c);
  const BinaryConvKernel& kernel = kernels.binary_conv[choose_kernel(kernels.binary_conv, s)];
  const std::vector<uint32_t> input(16 * 16 * channels / 32, 0x5A5A5A5Au),
      weight(channels * 9 * channels / 32, 0xC3C3C3C3u);
  const std::vector<int32_t> interval(2 * channels, 0);
  std::vector<uint32_t> output(14 * 14 * channels / 32);
  const AlignedMemory packed = allocate_aligned(kernel.pack_bytes(s));
  kernel.pack(s, weight.data(), packed.get());
  const BinaryConvArgs args{s, 0, input.data(), packed.get(), {}, interval.data(), nullptr, output.data()};
  return products(s) / shortest([&] { kernel.run(args, 0, kernel.units(s)); });
}

double real_rate(const Kernels& kernels) {
  const ConvShape s = good_shape(64);
  const auto channels = static_cast<size_t>(s.in_c);
  const FloatConvKernel& kernel = kernels.float_conv[choose_kernel(kernels.float_conv, s)];
  const std::vector<float> input(16 * 16 * channels, 0.5f), weight(channels * 9 * channels, 0.25f);
  std::vector<float> output(14 * 14 * channels);
  const AlignedMemory packed = allocate_aligned(kernel.pack_bytes(s));
  kernel.pack(s, weight.data(), packed.get());
  const FloatConvArgs args{s, input.data(), packed.get(), {}, output.data()};
  return products(s) / shortest([&] { kernel.run(args, 0, kernel.units(s)); });
}

double int8_rate(const Kernels& kernels) {
  const ConvShape s = good_shape(64);
  const auto channels = static_cast<size_t>(s.in_c);
  const Int8ConvKernel& kernel = kernels.int8_conv[choose_kernel(kernels.int8_conv, s)];
  const std::vector<uint8_t> input(16 * 16 * channels + kInt8Slack, 200);
  const std::vector<int8_t> weight(channels * 9 * channels, 100);
  std::vector<float> output(14 * 14 * channels);
  const AlignedMemory packed = allocate_aligned(kernel.pack_bytes(s));
  kernel.pack(s, 128, weight.data(), packed.get());
  const Int8ConvArgs args{s, input.data(), packed.get(), {}, output.data()};
  return products(s) / shortest([&] { kernel.run(args, 0, kernel.units(s)); });
}

double byte_rate() {
  constexpr size_t size = 16 * 1024;
  constexpr int copies = 64;
  std::vector<uint8_t> from(size, 1), to(size);
  const double seconds = shortest([&] {
    for (int i = 0; i < copies; ++i) {
      std::memcpy(to.data(), from.data(), size);
      from[static_cast<size_t>(i)] = to[size - 1];  // keeps the compiler from leaving copies out
    }
  });
  return 2.0 * size * copies / seconds;
}

}  // namespace

onebit_rates measure_rates(const Kernels& kernels) {
  return {binary_rate(kernels), real_rate(kernels), byte_rate(), int8_rate(kernels)};
}

double measure_level_rate(const TrainingKernels& kernels) {
  constexpr int64_t vectors = 2, channels = 16, taps = 9, columns = channels * taps, steps = 128;
  constexpr int64_t plane = 4 * steps + kPlaneGranule;
  const auto lanes = static_cast<size_t>(kernels.lanes);
  const std::vector<uint8_t> quads(vectors * steps * 4 * lanes, 200);
  std::vector<int8_t> planes(channels * plane + kPlaneGranule);
  for (size_t i = 0; i < planes.size(); ++i) planes[i] = i % 2 ? -1 : 1;  // so that no sum grows
  std::vector<int64_t> offsets, starts;
  for (int64_t column = 0; column < columns; ++column) offsets.push_back(column / taps * plane + column % taps);
  for (int64_t step = 0; step < steps; ++step) starts.push_back(4 * step);
  std::vector<int32_t> sums(vectors * columns * lanes);
  const WeightGradientArgs args{vectors,       columns,        steps,         quads.data(), steps * 4 * kernels.lanes,
                                planes.data(), offsets.data(), starts.data(), sums.data(),  true};
  return double(vectors * columns * steps * 4) * double(lanes) / shortest([&] { kernels.weight_gradient(args); });
}

}  // namespace onebit
