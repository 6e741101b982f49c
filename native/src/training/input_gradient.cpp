#include "training/input_gradient.h"

#include <cmath>

#include "graph/choice.h"
#include "kernels/shape.h"

namespace onebit {
namespace {

constexpr int64_t kChannels = 64;            // of a part
constexpr int64_t kSumsInCache = 64 * 1024;  // floats

// The sets of taps that positions are reached by, and which one each has.
void classify(const GradientAxis& axis, int64_t size, std::vector<int32_t>& classes, std::vector<uint64_t>& taps) {
  classes.clear();
  taps.clear();
  for (int64_t i = 0; i < size; ++i) {
    const uint64_t reaching = axis.reaching(i);
    const auto known = std::find(taps.begin(), taps.end(), reaching);
    classes.push_back(static_cast<int32_t>(known - taps.begin()));
    if (known == taps.end()) taps.push_back(reaching);
  }
}

inline float derivative(Estimator estimator, float x) {
  const float distance = std::fabs(x);
  if (estimator == Estimator::clipped) return distance <= 1.0f ? 1.0f : 0.0f;
  const float slope = distance * -2.0f + 2.0f;
  return slope < 0.0f ? 0.0f : slope;
}

// y = scale * (sum - shift) + offset, times the derivative.
template <Estimator E>
void finish_pixel(const float* __restrict sums, const float* __restrict shift, const float* __restrict offset,
                  const float* __restrict x, float scale, int64_t channels, float* __restrict y) {
  for (int64_t c = 0; c < channels; ++c) {
    const float gradient = scale * (sums[c] - shift[c]) + offset[c];
    y[c] = E == Estimator::none ? gradient : derivative(E, x[c]) * gradient;
  }
}

}  // namespace

struct InputGradient::Call {
  const ConvShape& s;
  const GradientAxis &y, &x;
  const GridGradient& gradient;
  const uint32_t* weight;
  const float* input;
  Estimator estimator;
  float* output;
  int64_t most_samples(const Part& part) const {
    return std::max<int64_t>(1, kSumsInCache / (part.y.count * part.x.count * kChannels));
  }
};

void InputGradient::plan(const ConvShape& s, const GradientAxis& y, const GradientAxis& x) {
  parts_.clear();
  int64_t packed = 0;
  for (int64_t first = 0; first < s.in_c; first += kChannels) {
    for (const Phase& row : y.phases) {
      for (const Phase& column : x.phases) {
        Part part = {row, column, first, std::min<int64_t>(kChannels, s.in_c - first), {}, nullptr, packed};
        if (row.taps > 0 && column.taps > 0) {
          const auto narrow = [](int64_t value) { return static_cast<int32_t>(value); };
          part.shape = {1,
                        narrow(y.size),
                        narrow(x.size),
                        s.out_c,
                        narrow(row.count),
                        narrow(column.count),
                        narrow(part.channels),
                        narrow(row.taps),
                        narrow(column.taps),
                        1,
                        1,
                        0,
                        0,
                        1,
                        1,
                        1};
          part.kernel = &kernels_.int8_conv[choose_kernel(kernels_.int8_conv, part.shape)];
          packed += round_up(static_cast<int64_t>(part.kernel->pack_bytes(part.shape)), kAlignment);
        }
        parts_.push_back(part);
      }
    }
  }
  packed_.at_least(packed);
}

void InputGradient::run(const ConvShape& s, const GradientAxis& y, const GradientAxis& x, const GridGradient& gradient,
                        const uint32_t* weight, const float* input, Estimator estimator, float* output, Pool& pool,
                        int threads) {
  const Call call = {s, y, x, gradient, weight, input, estimator, output};
  plan(s, y, x);
  const int64_t part_signs = kChannels * taps_of(s) * s.out_c;
  signs_.at_least(threads * part_signs);
  tap_sums_.at_least(taps_of(s) * s.in_c);
  const auto parts = static_cast<int64_t>(parts_.size());
  pool.split(parts, [&](int64_t begin, int64_t end, size_t thread) {
    for (int64_t i = begin; i < end; ++i)
      pack(call, parts_[static_cast<size_t>(i)], signs_.data() + static_cast<int64_t>(thread) * part_signs);
  });
  sum_borders(call);

  int64_t most = 0;
  for (const Part& part : parts_)
    most = std::max(most, call.most_samples(part) * part.y.count * part.x.count * kChannels);
  sums_.at_least(threads * most);
  pool.split(parts * s.batch, [&](int64_t begin, int64_t end, size_t thread) {
    float* sums = sums_.data() + static_cast<int64_t>(thread) * most;
    while (begin < end) {
      const Part& part = parts_[static_cast<size_t>(begin / s.batch)];
      const int64_t first = begin % s.batch, last = std::min<int64_t>({s.batch, first + end - begin});
      const int64_t step = call.most_samples(part);
      for (int64_t n = first; n < last; n += step) samples(call, part, n, std::min(n + step, last), sums);
      begin += last - first;
    }
  });
}

// The signs of a part's taps as bytes, [channel][tap in reverse][out_c], then as its kernel reads them; and the sums
// over out_c of each tap and channel.
void InputGradient::pack(const Call& call, const Part& part, int8_t* signs) {
  if (!part.kernel) return;
  const ConvShape& s = call.s;
  const int64_t words = words_of(s.in_c), taps = taps_of(s), part_taps = part.y.taps * part.x.taps;
  for (int64_t i = 0; i < part_taps; ++i) {
    const int64_t ky = part.y.tap + s.stride_h * (part.y.taps - 1 - i / part.x.taps);
    const int64_t kx = part.x.tap + s.stride_w * (part.x.taps - 1 - i % part.x.taps), tap = ky * s.kernel_w + kx;
    int32_t* tap_sums = tap_sums_.data() + tap * s.in_c + part.first;
    for (int64_t c = 0; c < part.channels; ++c) tap_sums[c] = 0;
    for (int64_t o = 0; o < s.out_c; o += kSamples) {
      const int64_t outputs = std::min(kSamples, s.out_c - o);
      for (int64_t c = 0; c < part.channels; c += 32) {
        const int64_t channels = std::min<int64_t>(32, part.channels - c);
        uint32_t word[kSamples] = {};
        for (int64_t j = 0; j < outputs; ++j)
          word[j] = call.weight[((o + j) * taps + tap) * words + (part.first + c) / 32];
        alignas(64) int8_t block[32 * kSamples];
        training_.expand(word, channels, block, kSamples);
        for (int64_t j = 0; j < channels; ++j) {
          const int8_t* from = block + j * kSamples;
          std::copy_n(from, outputs, signs + ((c + j) * part_taps + i) * s.out_c + o);
          int32_t sum = 0;
          for (int64_t k = 0; k < outputs; ++k) sum += from[k];
          tap_sums[c + j] += sum;
        }
      }
    }
  }
  part.kernel->pack(part.shape, 0, signs, packed_.data() + part.packed);
}

// For each class of pixels, what a level of `zero` and the rest of the grid add up to over the taps inside: the shift
// and the offset of each channel.
void InputGradient::sum_borders(const Call& call) {
  const ConvShape& s = call.s;
  classify(call.y, s.in_h, row_class_, row_taps_);
  classify(call.x, s.in_w, column_class_, column_taps_);
  const Grid& grid = call.gradient.grid();
  const auto classes = static_cast<int64_t>(row_taps_.size() * column_taps_.size());
  float* shift = borders_.at_least(2 * classes * s.in_c);
  for (const uint64_t rows : row_taps_) {
    for (const uint64_t columns : column_taps_) {
      float* offset = shift + s.in_c;
      for (int64_t c = 0; c < s.in_c; ++c) {
        int32_t sum = 0;
        for (int64_t tap = 0; tap < taps_of(s); ++tap) {
          const bool inside = (rows >> tap / s.kernel_w & 1) && (columns >> tap % s.kernel_w & 1);
          if (inside) sum += tap_sums_.data()[tap * s.in_c + c];
        }
        shift[c] = grid.zero * static_cast<float>(sum);
        offset[c] = grid.rest * static_cast<float>(sum);
      }
      shift += 2 * s.in_c;
    }
  }
}

void InputGradient::samples(const Call& call, const Part& part, int64_t begin, int64_t end, float* sums) const {
  if (part.kernel) {
    ConvShape shape = part.shape;
    shape.batch = static_cast<int32_t>(end - begin);
    const int64_t row = begin * call.y.size + call.y.lead + part.y.start();
    const int64_t pixel = row * call.x.size + call.x.lead + part.x.start();
    const Epilogue none = {nullptr, nullptr, nullptr, nullptr, nullptr, Activation::none};
    const Int8ConvArgs args = {shape, call.gradient.levels() + pixel * shape.in_c, packed_.data() + part.packed, none,
                               sums};
    part.kernel->run(args, 0, part.kernel->units(shape));
  } else {
    std::fill_n(sums, (end - begin) * part.y.count * part.x.count * part.channels, 0.0f);
  }
  finish(call, part, begin, end, sums);
}

void InputGradient::finish(const Call& call, const Part& part, int64_t begin, int64_t end, const float* sums) const {
  const ConvShape& s = call.s;
  const auto pixel = call.estimator == Estimator::none      ? finish_pixel<Estimator::none>
                     : call.estimator == Estimator::clipped ? finish_pixel<Estimator::clipped>
                                                            : finish_pixel<Estimator::quadratic>;
  const auto columns = static_cast<int64_t>(column_taps_.size());
  for (int64_t n = begin; n < end; ++n) {
    for (int64_t i = 0; i < part.y.count; ++i) {
      const int64_t y = part.y.input + i * s.stride_h;
      for (int64_t j = 0; j < part.x.count; ++j, sums += part.channels) {
        const int64_t x = part.x.input + j * s.stride_w;
        const int64_t at = ((n * s.in_h + y) * s.in_w + x) * s.in_c + part.first;
        const int64_t kind = row_class_[static_cast<size_t>(y)] * columns + column_class_[static_cast<size_t>(x)];
        const float* shift = borders_.data() + 2 * kind * s.in_c + part.first;
        const float* input = call.input ? call.input + at : nullptr;
        pixel(sums, shift, shift + s.in_c, input, call.gradient.grid().scale, part.channels, call.output + at);
      }
    }
  }
}

}  // namespace onebit
