// Walks the output pixels of a convolution or a pool in order and says which input window each one reads.
#pragma once

#include "kernels/shape.h"

namespace onebit {
namespace {

// Top left corner of a window in its sample, negative in the padding; `position` is its pixel's place in the batch.
struct Window {
  int64_t y, x, position;
  bool interior;  // no tap in the padding
};

class WindowCursor {
 public:
  WindowCursor(const ConvShape& shape, int64_t row)
      : shape_(shape),
        last_y_(shape.in_h - 1 - static_cast<int64_t>(shape.kernel_h - 1) * shape.dilation_h),
        last_x_(shape.in_w - 1 - static_cast<int64_t>(shape.kernel_w - 1) * shape.dilation_w) {
    start_row(row);
  }

  Window next() {
    const Window window = window_;
    if (--left_ > 0) {
      window_.x += shape_.stride_w;
      window_.position += shape_.stride_w;
      window_.interior = interior();
    } else {
      start_row(row_ + 1);
    }
    return window;
  }

 private:
  void start_row(int64_t row) {
    row_ = row;
    left_ = shape_.out_w;
    window_.y = row % shape_.out_h * shape_.stride_h - shape_.pad_top;
    window_.x = -static_cast<int64_t>(shape_.pad_left);
    window_.position = (row / shape_.out_h * shape_.in_h + window_.y) * shape_.in_w + window_.x;
    window_.interior = interior();
  }

  bool interior() const { return window_.y >= 0 && window_.x >= 0 && window_.y <= last_y_ && window_.x <= last_x_; }

  const ConvShape& shape_;
  int64_t last_y_, last_x_, row_ = 0, left_ = 0;
  Window window_ = {};
};

}  // namespace
}  // namespace onebit
