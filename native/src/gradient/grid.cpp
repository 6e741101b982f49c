#include "gradient/grid.h"

#include <cfloat>
#include <cmath>
#include <cstring>

#include "kernels/shape.h"

namespace onebit {
Grid grid_of(const Range& range, int32_t levels) {
  if (!range.finite) return {NAN, NAN, NAN, NAN};
  const float scale = std::max((range.maximum - range.minimum) / static_cast<float>(levels), FLT_MIN);
  const float zero = std::clamp(std::rint(-range.minimum / scale), 0.0f, static_cast<float>(levels));
  return {range.minimum, scale, zero, range.minimum + zero * scale};
}

namespace {

Range join(const Range& a, const Range& b) {
  return {std::min(a.minimum, b.minimum), std::max(a.maximum, b.maximum), a.finite && b.finite};
}

}  // namespace

void GridGradient::measure(const ConvShape& s, const float* gradient, const Rounding& rounding, ThreadPool& pool,
                           int threads) {
  const int64_t row = int64_t{s.out_w} * s.out_c;
  ranges_.assign(static_cast<size_t>(threads), {FLT_MAX, -FLT_MAX, true});
  pool.split(rows_of(s), [&](int64_t begin, int64_t end, size_t thread) {
    ranges_[thread] = join(ranges_[thread], kernels_.range(gradient + begin * row, (end - begin) * row));
  });
  Range range = ranges_[0];
  for (const Range& other : ranges_) range = join(range, other);
  grid_ = grid_of(range, rounding.levels);
}

void GridGradient::quantize(const ConvShape& s, const GradientAxis& y, const GradientAxis& x, const float* gradient,
                            const Rounding& rounding, int64_t begin, int64_t end, uint8_t* levels) const {
  const int64_t row = int64_t{s.out_w} * s.out_c, padded_row = x.size * s.out_c, before = x.lead * s.out_c;
  for (int64_t i = begin * y.size; i < end * y.size; ++i, levels += padded_row) {
    const int64_t oy = i % y.size - y.lead;
    if (oy < 0 || oy >= s.out_h) {
      std::memset(levels, 0, static_cast<size_t>(padded_row));
      continue;
    }
    const int64_t from = (i / y.size * s.out_h + oy) * row;
    std::memset(levels, 0, static_cast<size_t>(before));
    kernels_.levels({gradient + from, row, grid_.minimum, 1.0f / grid_.scale, rounding.levels, rounding.seed, from,
                     levels + before});
    std::memset(levels + before + row, 0, static_cast<size_t>(padded_row - before - row));
  }
}

}  // namespace onebit
