// The words of the image, and of the packed weights, that the pixels of a binary convolution's tile read.
#pragma once

#include "kernels/vector/region.h"

namespace onebit {
namespace {

// The parts of a shape that the loops over pixels need, worked out once.
struct BinaryGeometry {
  explicit BinaryGeometry(const ConvShape& s)
      : channels(s.in_c / s.groups),
        words(words_of(channels)),
        taps(taps_of(s)),
        kernel_w(s.kernel_w),
        pixel_step(words_of(s.in_c)),
        tap_step(s.dilation_w * pixel_step),
        row_step(static_cast<int64_t>(s.dilation_h) * s.in_w * pixel_step),
        rows(s.groups == 1 && s.dilation_w == 1) {}
  int64_t channels, words, taps, kernel_w;  // per group; words per tap
  int64_t pixel_step, tap_step, row_step;   // in input words
  bool rows;                                // a kernel row's taps lie side by side in memory
};

// The words that a tile of P pixels reads, in spans: the taps of a kernel row where they lie side by side, else a tap.
template <int P>
class PixelWords {
 public:
  // `input` is where the window of the first pixel begins (it may lie outside), the others follow `step` words apart;
  // `weight` holds word_bytes per word of a tap.
  PixelWords(const BinaryGeometry& geometry, const Taps& taps, const uint32_t* input, int64_t offset, int64_t step,
             const uint8_t* weight, int64_t word_bytes)
      : geometry_(geometry),
        taps_(taps),
        input_(input),
        offset_(offset + taps.y.begin * geometry.row_step + taps.x.begin * geometry.tap_step),
        step_(step),
        weight_(weight + (taps.y.begin * geometry.kernel_w + taps.x.begin) * geometry.words * word_bytes),
        tap_bytes_(geometry.words * word_bytes) {}

  int64_t spans() const { return geometry_.rows ? taps_.y.size() : taps_.y.size() * taps_.x.size(); }

  int64_t span_words() const { return geometry_.rows ? geometry_.words * taps_.x.size() : geometry_.words; }

  // The next span of each pixel, in the order ky, kx, and its weights.
  const uint8_t* next(const uint32_t* (&words)[P]) {
    const int64_t column = geometry_.rows ? 0 : x_;
    for (int p = 0; p < P; ++p) words[p] = input_ + (offset_ + column * geometry_.tap_step + p * step_);
    const uint8_t* weight = weight_ + column * tap_bytes_;
    if (geometry_.rows || ++x_ == taps_.x.size()) {
      x_ = 0;
      offset_ += geometry_.row_step;
      weight_ += geometry_.kernel_w * tap_bytes_;
    }
    return weight;
  }

 private:
  const BinaryGeometry& geometry_;
  const Taps& taps_;
  const uint32_t* input_;
  int64_t offset_, step_;
  const uint8_t* weight_;
  int64_t tap_bytes_, x_ = 0;
};

}  // namespace
}  // namespace onebit
