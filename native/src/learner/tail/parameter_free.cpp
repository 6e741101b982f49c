// Layers without parameters: pools, and channels of zeros.
//
//   forward:   q = clamp(round(sum ratio) + zero, 0, 255) - zero, the ratio Si / (n So)
//   backward:  the gradient of the sums is G, in units of U / n;  each kind brings it to its input
#include <algorithm>
#include <cmath>

#include "kernels/shape.h"
#include "learner/tail/layer.h"

namespace onebit::learner {
namespace {

class ParameterFree : public Layer {
 public:
  ParameterFree(Workspace& work, size_t index) : Layer(work, index) {
    if (work.training) work.sums.at_least(work.threads * in_.elements());
  }

  void backward(double, TailMasters&, Random&) final {
    Gradients& gradients = work_.gradients;
    if (!gradients.present(output_) || spec_.input == 0) return;
    const int64_t size = in_.elements();
    const auto sums_of = [&](size_t thread) { return work_.sums.data() + static_cast<int64_t>(thread) * size; };
    gradients.add(
        spec_.input, gradients.unit(output_) / static_cast<double>(spec_.count), 0, work_.samples,
        [&](int64_t begin, int64_t end, size_t thread) {
          int64_t max = 0;
          for (int64_t i = begin; i < end; ++i) {
            spread(i, sums_of(thread));
            max = std::max(max, max_abs(sums_of(thread), size));
          }
          return max;
        },
        [&](int64_t begin, int64_t end, size_t thread, int shift, int16_t* to) {
          for (int64_t i = begin; i < end; ++i) {
            spread(i, sums_of(thread));
            narrow(sums_of(thread), size, shift, to + i * size);
          }
        });
  }

 protected:
  // sum(codes of a sample, pixel, channel): of levels, for an element of the output.
  template <class Sum>
  void requantize(int64_t begin, int64_t end, const Sum& sum) {
    for (int64_t i = begin; i < end; ++i) {
      uint8_t* to = output_codes(i);
      for (int64_t pixel = 0; pixel < out_.pixels(); ++pixel) {
        for (int64_t c = 0; c < out_.c; ++c) {
          const int64_t level = multiply(sum(input_codes(i), pixel, c), spec_.ratio, 0);
          *to++ = static_cast<uint8_t>(clamp<0, kLevels>(level + out_.quantizer.zero));
        }
      }
    }
  }

  int64_t level(uint8_t code) const { return int64_t{code} - in_.quantizer.zero; }

  // Calls visit(input pixel) for what the window of an output pixel reads, in the order of its rows.
  template <class Visit>
  void visit_window(int64_t output, const Visit& visit) const {
    const ConvShape& s = spec_.shape;
    const int64_t top = output / s.out_w * s.stride_h - s.pad_top, left = output % s.out_w * s.stride_w - s.pad_left;
    for (int64_t y = std::max<int64_t>(top, 0); y < std::min<int64_t>(top + s.kernel_h, s.in_h); ++y)
      for (int64_t x = std::max<int64_t>(left, 0); x < std::min<int64_t>(left + s.kernel_w, s.in_w); ++x)
        visit(y * s.in_w + x);
  }

 private:
  // Adds the gradient of the sums of an output pixel, g, to that of the sample's input, dx.
  virtual void spread_pixel(const uint8_t* codes, int64_t pixel, const int16_t* g, int32_t* dx) const = 0;

  void spread(int64_t sample, int32_t* dx) const {
    const int16_t* g = work_.gradients.of(output_) + sample * out_.elements();
    std::fill_n(dx, in_.elements(), 0);
    for (int64_t pixel = 0; pixel < out_.pixels(); ++pixel, g += out_.c)
      spread_pixel(input_codes(sample), pixel, g, dx);
  }
};

// The mean of each window, without padding.
class AveragePool final : public ParameterFree {
 public:
  using ParameterFree::ParameterFree;

  void forward(int64_t begin, int64_t end, size_t) override {
    requantize(begin, end, [&](const uint8_t* codes, int64_t pixel, int64_t c) {
      int64_t sum = 0;
      visit_window(pixel, [&](int64_t read) { sum += level(codes[read * in_.c + c]); });
      return sum;
    });
  }

 private:
  void spread_pixel(const uint8_t*, int64_t pixel, const int16_t* g, int32_t* dx) const override {
    visit_window(pixel, [&](int64_t read) {
      for (int64_t c = 0; c < in_.c; ++c) dx[read * in_.c + c] += g[c];
    });
  }
};

// The largest level of each window; the gradient goes to the first of them.
class MaxPool final : public ParameterFree {
 public:
  using ParameterFree::ParameterFree;

  void forward(int64_t begin, int64_t end, size_t) override {
    requantize(begin, end, [&](const uint8_t* codes, int64_t pixel, int64_t c) {
      return level(codes[first_of_largest(pixel, codes + c) * in_.c + c]);
    });
  }

 private:
  // A pixel; codes: of a channel.
  int64_t first_of_largest(int64_t output, const uint8_t* codes) const {
    int64_t best = -1;
    visit_window(output, [&](int64_t pixel) {
      if (best < 0 || codes[pixel * in_.c] > codes[best * in_.c]) best = pixel;
    });
    return best;
  }

  void spread_pixel(const uint8_t* codes, int64_t pixel, const int16_t* g, int32_t* dx) const override {
    for (int64_t c = 0; c < in_.c; ++c) dx[first_of_largest(pixel, codes + c) * in_.c + c] += g[c];
  }
};

// Zeros before and after the channels.
class PadChannels final : public ParameterFree {
 public:
  using ParameterFree::ParameterFree;

  void forward(int64_t begin, int64_t end, size_t) override {
    const int64_t before = spec_.channels_before;
    requantize(begin, end, [&](const uint8_t* codes, int64_t pixel, int64_t c) {
      return c >= before && c < before + in_.c ? level(codes[pixel * in_.c + c - before]) : 0;
    });
  }

 private:
  void spread_pixel(const uint8_t*, int64_t pixel, const int16_t* g, int32_t* dx) const override {
    std::copy_n(g + spec_.channels_before, in_.c, dx + pixel * in_.c);
  }
};

}  // namespace

std::unique_ptr<Layer> make_average_pool(Workspace& work, size_t index) {
  return std::make_unique<AveragePool>(work, index);
}

std::unique_ptr<Layer> make_max_pool(Workspace& work, size_t index) { return std::make_unique<MaxPool>(work, index); }

std::unique_ptr<Layer> make_pad_channels(Workspace& work, size_t index) {
  return std::make_unique<PadChannels>(work, index);
}

}  // namespace onebit::learner
