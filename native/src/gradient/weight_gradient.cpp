#include "gradient/weight_gradient.h"

#include <cstring>

#include "kernels/shape.h"

namespace onebit {
namespace {

constexpr int64_t kFew = 127;  // samples whose signs add up to a byte

}  // namespace

// A plane holds, sample after sample, the rows that the taps read. A row is apart in phases, the columns with one
// remainder by the stride, so that 4 neighbouring outputs meet 4 neighbouring signs.
void WeightGradient::prepare(const ConvShape& s, const GradientAxis& y, const GradientAxis& x, int64_t samples,
                             int threads) {
  s_ = s, max_samples_ = samples;
  levels_row_ = x.size * s.out_c, levels_image_ = y.size * levels_row_;
  levels_first_ = y.lead * levels_row_ + x.lead * s.out_c;
  vectors_ = (s.out_c + kernels_.lanes - 1) / kernels_.lanes;
  columns_ = s.in_c * taps_of(s);
  row_steps_ = (int64_t{s.out_w} + 3) / 4;
  phases_ = std::min(s.stride_w, s.kernel_w);
  phase_ = 4 * row_steps_ + (s.kernel_w - 1) / s.stride_w;
  row_ = phases_ * phase_;
  rows_ = int64_t{s.out_h - 1} * s.stride_h + s.kernel_h;
  sample_ = rows_ * row_;
  plane_ = round_up(samples * sample_, kPlaneGranule);

  int64_t* start = starts_.at_least(samples * s.out_h * row_steps_);
  for (int64_t n = 0; n < samples; ++n)
    for (int64_t oy = 0; oy < s.out_h; ++oy)
      for (int64_t i = 0; i < row_steps_; ++i) *start++ = n * sample_ + oy * s.stride_h * row_ + 4 * i;
  int64_t* offset = offsets_.at_least(columns_);
  for (int64_t c = 0; c < s.in_c; ++c)
    for (int64_t ky = 0; ky < s.kernel_h; ++ky)
      for (int64_t kx = 0; kx < s.kernel_w; ++kx)
        *offset++ = c * plane_ + ky * row_ + kx % s.stride_w * phase_ + kx / s.stride_w;
  uint8_t* mask = inside_.at_least(plane_);
  std::memset(mask, 0, static_cast<size_t>(plane_));
  for (int64_t i = 0; i < sample_; ++i) {
    const int64_t row = i / row_ - s.pad_top, phase = i % row_ / phase_;
    const int64_t column = i % phase_ * s.stride_w + phase - s.pad_left;
    if (inside(row, column, s.in_h, s.in_w)) mask[i] = 255;
  }
  for (int64_t n = 1; n < samples; ++n) std::memcpy(mask + n * sample_, mask, static_cast<size_t>(sample_));

  own_.resize(static_cast<size_t>(threads));
  for (Own& own : own_) {
    own.quads.at_least(vectors_ * samples * s.out_h * row_steps_ * 4 * kernels_.lanes);
    std::memset(own.bits.at_least((s.in_c + 7) / 8 * plane_), 0, static_cast<size_t>((s.in_c + 7) / 8 * plane_));
    own.planes.at_least(s.in_c * plane_ + kPlaneGranule);
    own.few_totals.at_least(s.in_c * round_up(sample_, kPlaneGranule));
    own.totals.at_least(s.in_c * sample_);
    own.sums.at_least(vectors_ * columns_ * kernels_.lanes);
    own.few = 0;
    own.begun = false;
  }
}

void WeightGradient::add(const uint8_t* levels, const uint32_t* bits, int64_t samples, size_t thread) {
  Own& own = own_[thread];
  if (!own.begun) {
    std::fill_n(own.totals.data(), s_.in_c * sample_, 0);
    std::fill_n(own.few_totals.data(), s_.in_c * round_up(sample_, kPlaneGranule), int8_t{0});
  }
  if (own.few + samples > kFew) count_few(own);
  own.few += samples;
  spread_levels(levels, samples, own);
  spread_bits(bits, samples, own);
  const int64_t image_steps = s_.out_h * row_steps_;
  kernels_.weight_gradient({vectors_, columns_, samples * image_steps, own.quads.data(),
                            max_samples_ * image_steps * 4 * kernels_.lanes, own.planes.data(), offsets_.data(),
                            starts_.data(), own.sums.data(), !own.begun});
  own.begun = true;
}

void WeightGradient::spread_levels(const uint8_t* levels, int64_t samples, Own& own) const {
  const int64_t row_bytes = row_steps_ * 4 * kernels_.lanes;
  uint8_t* quads = own.quads.data();
  for (int64_t n = 0; n < samples; ++n) {
    const uint8_t* from = levels + n * levels_image_ + levels_first_;
    for (int64_t oy = 0; oy < s_.out_h; ++oy, from += levels_row_, quads += row_bytes)
      kernels_.quads({from, s_.out_w, s_.out_c, quads, max_samples_ * s_.out_h * row_bytes});
  }
}

void WeightGradient::spread_bits(const uint32_t* bits, int64_t samples, Own& own) const {
  const int64_t words = words_of(s_.in_c), eights = (s_.in_c + 7) / 8, image = int64_t{s_.in_h} * s_.in_w * words;
  const int64_t pixel = 4 * words, step = s_.stride_w * pixel;
  for (int64_t n = 0; n < samples; ++n, bits += image) {
    const auto* bytes = reinterpret_cast<const uint8_t*>(bits);
    const int64_t last = std::min(rows_ - s_.pad_top, int64_t{s_.in_h});
    for (int64_t y = std::max(0, -s_.pad_top); y < last; ++y) {
      for (int64_t phase = 0; phase < phases_; ++phase) {
        // the first place of the phase that is in the image, and how many there are
        const int64_t skip = s_.pad_left > phase ? (s_.pad_left - phase + s_.stride_w - 1) / s_.stride_w : 0;
        const int64_t x = skip * s_.stride_w + phase - s_.pad_left;
        const int64_t count = std::min((s_.in_w - x + s_.stride_w - 1) / s_.stride_w, phase_ - skip);
        const uint8_t* from = bytes + (y * s_.in_w + x) * pixel;
        uint8_t* to = own.bits.data() + n * sample_ + (y + s_.pad_top) * row_ + phase * phase_ + skip;
        for (int64_t k = 0; k < eights; ++k, to += plane_)
          for (int64_t i = 0; i < count; ++i) to[i] = from[k + i * step];
      }
    }
  }
  kernels_.planes({own.bits.data(), inside_.data(), plane_, s_.in_c, own.planes.data(), samples, sample_,
                   own.few_totals.data(), round_up(sample_, kPlaneGranule)});
}

void WeightGradient::count_few(Own& own) const {
  const int64_t step = round_up(sample_, kPlaneGranule);
  for (int64_t c = 0; c < s_.in_c; ++c) {
    int8_t* few = own.few_totals.data() + c * step;
    int32_t* totals = own.totals.data() + c * sample_;
    for (int64_t i = 0; i < sample_; ++i) totals[i] += few[i];
    std::fill_n(few, step, int8_t{0});
  }
  own.few = 0;
}

// Sums each column over the windows of all outputs.
void WeightGradient::sum_signs(int32_t* signs) const {
  const int64_t taps = taps_of(s_);
  std::fill_n(signs, columns_, 0);
  for (const Own& own : own_) {
    if (!own.begun) continue;
    for (int64_t column = 0; column < columns_; ++column) {
      const int64_t c = column / taps;
      const int32_t* totals = own.totals.data() + c * sample_ + offsets_.data()[column] - c * plane_;
      int32_t sum = 0;
      for (int64_t oy = 0; oy < s_.out_h; ++oy)
        for (int64_t ox = 0; ox < s_.out_w; ++ox) sum += totals[oy * s_.stride_h * row_ + ox];
      signs[column] += sum;
    }
  }
}

// In double: both terms are large where the gradient is small.
void WeightGradient::finish(const Grid& grid, float* output, ThreadPool& pool) {
  sums_.clear();
  for (Own& own : own_) {
    if (!own.begun) continue;
    count_few(own);
    sums_.push_back(own.sums.data());
  }
  int32_t* signs = signs_.at_least(columns_);
  sum_signs(signs);
  const WeightFinishArgs args = {s_.out_c,
                                 s_.in_c,
                                 taps_of(s_),
                                 sums_.data(),
                                 static_cast<int64_t>(sums_.size()),
                                 signs,
                                 static_cast<double>(grid.scale),
                                 static_cast<double>(grid.minimum),
                                 output};
  pool.split(vectors_, [&](int64_t begin, int64_t end, size_t) { kernels_.weight_finish(args, begin, end); });
}

}  // namespace onebit
