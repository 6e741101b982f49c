#include "gradient/products.h"

#include <atomic>
#include <cmath>

#include "kernels/autotune.h"
#include "kernels/shape.h"

namespace onebit {
namespace {

constexpr int64_t kExact = int64_t{1} << 24;  // integers up to here are floats
constexpr int64_t kMaxTaps = 64;             // per axis: a bit each

const float* nonnegative(int64_t channels, Scratch<float>& memory) {
  float* interval = memory.at_least(2 * channels);
  for (int64_t c = 0; c < channels; ++c) interval[2 * c] = 0.0f, interval[2 * c + 1] = INFINITY;
  return interval;
}

}  // namespace

const char* Products::unfit(const ConvShape& s) {
  if (s.groups != 1) return "groups";
  if (s.dilation_h != 1 || s.dilation_w != 1) return "dilation";
  if (s.kernel_h > kMaxTaps || s.kernel_w > kMaxTaps) return "a kernel of more than 64 rows or columns";
  if (taps_of(s) * s.in_c > kExact || 255 * taps_of(s) * s.out_c > kExact) return "sums beyond 2^24 of its channels";
  if (255 * rows_of(s) * s.out_w > INT32_MAX) return "sums beyond 2^31 of a batch";
  return nullptr;
}

bool Products::pack(const float* values, int64_t rows, int64_t channels, uint32_t* words) {
  const std::lock_guard lock(mutex_);
  const float* interval = nonnegative(channels, intervals_);
  std::atomic<bool> signs{true};
  pool_.split(rows, [&](int64_t begin, int64_t end, size_t) {
    kernels_.binarize({1, static_cast<int32_t>(channels), values, interval, words}, begin, end);
    int32_t others = 0;
    for (int64_t i = begin * channels; i < end * channels; ++i) others |= std::fabs(values[i]) != 1.0f;
    if (others) signs = false;
  });
  return signs;
}

void Products::forward(const ConvShape& s, const float* x, const uint32_t* weight, uint32_t* bits, float* output) {
  const std::lock_guard lock(mutex_);
  ConvShape one = s;
  one.batch = 1;
  const BinaryConvKernel& kernel = kernels_.binary_conv[choose_kernel(kernels_.binary_conv, one)];
  void* packed = packed_.at_least(static_cast<int64_t>(kernel.pack_bytes(s)));
  kernel.pack(s, weight, packed);
  const float* interval = nonnegative(s.in_c, intervals_);
  const int64_t image = int64_t{s.in_h} * s.in_w, words = words_of(s.in_c);
  pool_.split(s.batch, [&](int64_t begin, int64_t end, size_t) {
    kernels_.binarize({image, s.in_c, x, interval, bits}, begin, end);
    ConvShape some = s;
    some.batch = static_cast<int32_t>(end - begin);
    const Epilogue none = {nullptr, nullptr, nullptr, nullptr, nullptr, Activation::none};
    float* to = output + begin * s.out_h * s.out_w * s.out_c;
    kernel.run({some, 0, bits + begin * image * words, packed, none, nullptr, to, nullptr}, 0, kernel.units(some));
  });
}

void Products::backward(const ConvShape& s, const float* gradient, const Rounding& rounding, const uint32_t* weight,
                        const uint32_t* bits, const float* x, Estimator estimator, float* input_gradient,
                        float* weight_gradient) {
  const std::lock_guard lock(mutex_);
  const GradientAxis rows(s.in_h, s.out_h, s.kernel_h, s.stride_h, s.pad_top);
  const GradientAxis columns(s.in_w, s.out_w, s.kernel_w, s.stride_w, s.pad_left);
  gradient_.measure(s, gradient, rounding, pool_, threads_);
  const Grid& grid = gradient_.grid();
  const int64_t chunk = std::min<int64_t>(chunk_samples(s), s.batch), image = rows.size * columns.size * s.out_c;
  int64_t sums = 0;
  if (input_gradient) {
    input_gradient_.prepare(s, rows, columns, weight, pool_, threads_);
    input_gradient_.set_grid(grid);
    for (const InputGradient::Part& part : input_gradient_.parts())
      sums = std::max(sums, chunk * part.pixels() * part.channels);
  }
  if (weight_gradient) weight_gradient_.prepare(s, rows, columns, chunk, threads_);
  for (Own& own : own_) own.levels.at_least(chunk * image + kInt8Slack), own.sums.at_least(sums);

  const int64_t input_words = inputs_of(s) * words_of(s.in_c);
  pool_.split((s.batch + chunk - 1) / chunk, [&](int64_t begin, int64_t end, size_t thread) {
    uint8_t* levels = own_[thread].levels.data();
    for (int64_t n = begin * chunk; n < std::min<int64_t>(end * chunk, s.batch); n += chunk) {
      const int64_t samples = std::min(chunk, s.batch - n);
      gradient_.quantize(s, rows, columns, gradient, rounding, n, n + samples, levels);
      if (weight_gradient) weight_gradient_.add(levels, bits + n * input_words, samples, thread);
      if (!input_gradient) continue;
      for (const InputGradient::Part& part : input_gradient_.parts()) {
        float* to = own_[thread].sums.data();
        input_gradient_.product(part, levels, samples, to);
        input_gradient_.finish(part, to, n, samples, x, estimator, input_gradient);
      }
    }
  });
  if (weight_gradient) weight_gradient_.finish(grid, weight_gradient, pool_);
}

}  // namespace onebit
