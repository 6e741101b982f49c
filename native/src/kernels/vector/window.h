// Walks the output pixels of a convolution or a pool in order and says which input window each one reads.
#pragma once

#include "kernels/shape.h"

namespace onebit {
namespace {

// Top left corner of a window in its sample; negative in the padding.
struct Window {
  int64_t sample, y, x;
};

class WindowCursor {
 public:
  WindowCursor(const ConvShape& shape, int64_t row)
      : shape_(shape), sample_(row / shape.out_h), oy_(row % shape.out_h) {}

  Window next() {
    const Window window = {sample_, oy_ * shape_.stride_h - shape_.pad_top, ox_ * shape_.stride_w - shape_.pad_left};
    if (++ox_ == shape_.out_w) {
      ox_ = 0;
      if (++oy_ == shape_.out_h) {
        oy_ = 0;
        ++sample_;
      }
    }
    return window;
  }

 private:
  const ConvShape& shape_;
  int64_t sample_, oy_, ox_ = 0;
};

inline bool interior(const ConvShape& s, const Window& w) {
  return w.y >= 0 && w.x >= 0 && w.y + static_cast<int64_t>(s.kernel_h - 1) * s.dilation_h < s.in_h &&
         w.x + static_cast<int64_t>(s.kernel_w - 1) * s.dilation_w < s.in_w;
}

}  // namespace
}  // namespace onebit
