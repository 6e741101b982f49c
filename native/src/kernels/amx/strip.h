// How rows of a convolution's output lie in a kernel's memory, so that tiles find their pixels at one distance whatever
// the shape.
//
// The image's bytes are parted into planes, one for each pair of a row and a column modulo the strides that a tap
// reads; in a plane the taps of neighbouring outputs are neighbours. An output row follows another at the distance of a
// plane's row, so all outputs of a strip are one line: pixel m of it is row m / pitch and column m % pitch, of which
// the last ones of a row are no outputs. So tiles are full where rows are short.
#pragma once

#include "kernels/shape.h"

namespace onebit {
namespace {

constexpr int64_t kTileRows = 16, kTileBytes = 64;  // a tile: rows (pixels, or groups of 4 terms); bytes per row

class Strip {
 public:
  // A strip of `rows` output rows, from an image of bytes.
  Strip(const ConvShape& s, int64_t rows)
      : shape_(s),
        pitch_(s.out_w + (s.kernel_w - 1) * int64_t{s.dilation_w} / s.stride_w),
        height_(rows + (s.kernel_h - 1) * int64_t{s.dilation_h} / s.stride_h),
        columns_(residues(s.kernel_w, s.dilation_w, s.stride_w)),
        planes_(residues(s.kernel_h, s.dilation_h, s.stride_h) * columns_),
        pixel_bytes_(s.in_c) {}

  int64_t pitch() const { return pitch_; }    // pixels per plane row
  int64_t height() const { return height_; }  // rows per plane
  int64_t planes() const { return planes_; }
  int64_t plane_bytes() const { return height_ * pitch_ * pixel_bytes_; }

  // The last tile reads up to 15 pixels too many.
  int64_t bytes() const { return planes_ * plane_bytes() + (kTileRows - 1) * pixel_bytes_; }

  // The first row and column of the window that a plane holds; the others are strides away.
  int64_t first_row(int64_t plane) const { return plane / columns_ * shape_.dilation_h % shape_.stride_h; }
  int64_t first_column(int64_t plane) const { return plane % columns_ * shape_.dilation_w % shape_.stride_w; }

  // Where a tap of the line's first pixel lies.
  int64_t offset(int64_t ky, int64_t kx) const {
    const ConvShape& s = shape_;
    const int64_t y = ky * s.dilation_h, x = kx * s.dilation_w;
    const int64_t plane = ky % residues(s.kernel_h, s.dilation_h, s.stride_h) * columns_ + kx % columns_;
    return plane * plane_bytes() + (y / s.stride_h * pitch_ + x / s.stride_w) * pixel_bytes_;
  }

  // Pixels of the line that `rows` output rows form.
  int64_t length(int64_t rows) const { return (rows - 1) * pitch_ + shape_.out_w; }

 private:
  // How many different residues of the stride the taps have: they repeat after stride / gcd(stride, dilation).
  static int64_t residues(int64_t kernel, int64_t dilation, int64_t stride) {
    int64_t count = 1;
    while (count < kernel && count * dilation % stride != 0) ++count;
    return count;
  }

  const ConvShape& shape_;
  int64_t pitch_, height_, columns_, planes_, pixel_bytes_;
};

}  // namespace
}  // namespace onebit
