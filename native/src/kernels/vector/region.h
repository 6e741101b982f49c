// Parts the output pixels of a convolution into regions whose windows have the same taps inside the image.
#pragma once

#include "kernels/shape.h"

namespace onebit {
namespace {

struct Range {
  int64_t begin, end;
  int64_t size() const { return end - begin; }
  bool contains(int64_t i) const { return begin <= i && i < end; }
  bool operator==(const Range& other) const { return begin == other.begin && end == other.end; }
};

struct Taps {
  Range y, x;
  int64_t count() const { return y.size() * x.size(); }
  bool contain(int64_t ky, int64_t kx) const { return y.contains(ky) && x.contains(kx); }
};

// Pixels of one sample.
struct Region {
  Taps taps;
  int64_t width, height;
  int64_t output;  // the first pixel
  int64_t input;   // the pixel where its window begins; outside the image where that is in the padding
};

// One axis of a convolution.
struct Axis {
  int64_t size, kernel, stride, pad, dilation;

  int64_t position(int64_t output) const { return output * stride - pad; }

  // The taps of an output that lie in the image.
  Range taps(int64_t output) const {
    const int64_t first = position(output);
    if (first >= 0 && first + (kernel - 1) * dilation < size) return {0, kernel};
    const int64_t begin = clamp(steps(-first), 0), end = clamp(steps(size - first), begin);
    return {begin, end};
  }

  // The outputs from `first` on, before `end`, that have the same taps.
  Range run(int64_t first, int64_t end) const {
    const Range same = taps(first);
    int64_t last = first + 1;
    while (last < end && taps(last) == same) ++last;
    return {first, last};
  }

 private:
  // Steps of dilation that cover a distance.
  int64_t steps(int64_t distance) const { return distance > 0 ? (distance + dilation - 1) / dilation : 0; }
  int64_t clamp(int64_t tap, int64_t minimum) const { return tap < minimum ? minimum : tap < kernel ? tap : kernel; }
};

// The regions of the output rows [begin, end) of a batch.
class Regions {
 public:
  Regions(const ConvShape& s, int64_t begin, int64_t end)
      : shape_(s),
        y_axis_{s.in_h, s.kernel_h, s.stride_h, s.pad_top, s.dilation_h},
        x_axis_{s.in_w, s.kernel_w, s.stride_w, s.pad_left, s.dilation_w},
        row_(begin),
        end_(end) {
    start_rows();
  }

  bool done() const { return row_ == end_; }

  void next() {
    if (columns_.end < shape_.out_w) {
      columns_ = x_axis_.run(columns_.end, shape_.out_w);
    } else {
      row_ += rows_.size();
      start_rows();
    }
  }

  Region now() const {
    const int64_t sample = row_ / shape_.out_h;
    return {{y_axis_.taps(rows_.begin), x_axis_.taps(columns_.begin)},
            columns_.size(),
            rows_.size(),
            row_ * shape_.out_w + columns_.begin,
            (sample * shape_.in_h + y_axis_.position(rows_.begin)) * shape_.in_w + x_axis_.position(columns_.begin)};
  }

 private:
  void start_rows() {
    if (done()) return;
    const int64_t first = row_ % shape_.out_h, left = first + (end_ - row_);
    rows_ = y_axis_.run(first, left < shape_.out_h ? left : shape_.out_h);
    columns_ = x_axis_.run(0, shape_.out_w);
  }

  const ConvShape& shape_;
  Axis y_axis_, x_axis_;
  int64_t row_, end_;
  Range rows_ = {}, columns_ = {};
};

}  // namespace
}  // namespace onebit
