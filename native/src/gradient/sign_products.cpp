#include "gradient/sign_products.h"

#include <cstring>

#include "kernels/shape.h"

namespace onebit {

ConvPairs::ConvPairs(const ConvShape& s) {
  struct Triple {
    int32_t output, tap, input;
  };
  std::vector<Triple> all;
  for (int32_t output = 0; output < outputs_of(s); ++output) {
    for (int32_t tap = 0; tap < taps_of(s); ++tap) {
      const int32_t y = output / s.out_w * s.stride_h - s.pad_top + tap / s.kernel_w;
      const int32_t x = output % s.out_w * s.stride_w - s.pad_left + tap % s.kernel_w;
      if (inside(y, x, s.in_h, s.in_w)) all.push_back({output, tap, y * s.in_w + x});
    }
  }
  const auto lists = [&](Lists& to, int64_t count, int32_t Triple::*key, int32_t Triple::*right) {
    std::stable_sort(all.begin(), all.end(), [=](const Triple& a, const Triple& b) { return a.*key < b.*key; });
    auto next = all.begin();
    for (int64_t i = 0; i < count; ++i) {
      for (; next != all.end() && (*next).*key == i; ++next) to.pairs.push_back({next->output, (*next).*right});
      to.first.push_back(static_cast<int64_t>(to.pairs.size()));
    }
  };
  lists(inputs_, inputs_of(s), &Triple::input, &Triple::tap);
  lists(taps_, taps_of(s), &Triple::tap, &Triple::input);
}

void SignProducts::reserve(const ConvShape& s, int64_t threads) {
  const int64_t outputs = outputs_of(s), channels = steps_of(s.out_c), samples = steps_of(s.batch);
  const int64_t segments = std::max(taps_of(s) * channels, inputs_of(s) * samples);
  h_.at_least(s.batch * outputs * h_step(s));
  right_.at_least(blocks_of(s.in_c) * segments * kernels_.right_bytes);
  left_.resize(std::max(left_.size(), static_cast<size_t>(threads)));
  for (Left& left : left_) {
    left.h.at_least(outputs * samples * kernels_.terms);
    left.spread.at_least(kernels_.rows * outputs * std::max(channels, samples) * kernels_.left_bytes);
    left.sums_of_h.at_least(kernels_.rows * outputs);
    left.sums.at_least(kernels_.rows * taps_of(s) * s.in_c);
  }
}

int8_t* SignProducts::start(const ConvShape& s) {
  std::memset(h_.data(), 0, static_cast<size_t>(s.batch * outputs_of(s) * h_step(s)));
  return h_.data();
}

void SignProducts::spread(const int8_t* h, int64_t segments, int64_t steps, int64_t row, Left& left) const {
  kernels_.spread(h, segments * steps, left.spread.data() + row * segments * steps * kernels_.left_bytes);
  for (int64_t segment = 0; segment < segments; ++segment) {
    int32_t sum = 0;
    for (int64_t i = 0; i < steps * kernels_.terms; ++i) sum += *h++;
    left.sums_of_h.data()[row * segments + segment] = sum;
  }
}

void SignProducts::inputs(const ConvShape& s, const ConvPairs& pairs, const uint32_t* weights, int32_t* sums,
                          ThreadPool& pool) {
  const int64_t outputs = outputs_of(s), inputs = inputs_of(s), taps = taps_of(s), steps = steps_of(s.out_c);
  const int64_t words = words_of(s.in_c), block_step = taps * steps * kernels_.right_bytes;
  pool.split(taps, [&](int64_t begin, int64_t end, size_t) {
    for (int64_t tap = begin; tap < end; ++tap)
      kernels_.pack({tap, s.out_c, s.in_c, weights + tap * words, taps * words, right_.data(), block_step});
  });
  pool.split((s.batch + kernels_.rows - 1) / kernels_.rows, [&](int64_t begin, int64_t end, size_t thread) {
    Left& left = left_[thread];
    for (int64_t part = begin; part < end; ++part) {
      const int64_t first = part * kernels_.rows, rows = std::min(kernels_.rows, s.batch - first);
      for (int64_t row = 0; row < rows; ++row)
        spread(h_.data() + (first + row) * outputs * h_step(s), outputs, steps, row, left);
      for (int64_t block = 0, channel = 0; channel < s.in_c; ++block, channel += kernels_.columns) {
        for (int64_t pixel = 0; pixel < inputs; ++pixel) {
          const auto list = pairs.of_input(pixel);
          kernels_.run({rows, std::min(kernels_.columns, s.in_c - channel), steps, left.spread.data(),
                        left.sums_of_h.data(), outputs, right_.data() + block * block_step, list.pairs, list.count,
                        sums + (first * inputs + pixel) * s.in_c + channel, inputs * s.in_c});
        }
      }
    }
  });
}

void SignProducts::pack_inputs(const ConvShape& s, const uint32_t* bits, ThreadPool& pool) {
  const int64_t inputs = inputs_of(s), words = words_of(s.in_c);
  const int64_t block_step = inputs * steps_of(s.batch) * kernels_.right_bytes;
  pool.split(inputs, [&](int64_t begin, int64_t end, size_t) {
    for (int64_t pixel = begin; pixel < end; ++pixel)
      kernels_.pack({pixel, s.batch, s.in_c, bits + pixel * words, inputs * words, right_.data(), block_step});
  });
}

const int32_t* SignProducts::sum_weights(const ConvShape& s, const ConvPairs& pairs, int64_t first, int64_t rows,
                                         size_t thread) {
  const int64_t outputs = outputs_of(s), taps = taps_of(s), steps = steps_of(s.batch), samples = steps * kernels_.terms;
  const int64_t pixel_step = h_step(s), block_step = inputs_of(s) * steps * kernels_.right_bytes;
  Left& left = left_[thread];
  int8_t* h = left.h.data();
  for (int64_t row = 0; row < rows; ++row) {
    const int8_t* from = h_.data() + first + row;
    for (int64_t pixel = 0; pixel < outputs; ++pixel) {
      for (int64_t sample = 0; sample < samples; ++sample)
        h[pixel * samples + sample] = sample < s.batch ? from[(sample * outputs + pixel) * pixel_step] : int8_t{0};
    }
    spread(h, outputs, steps, row, left);
  }
  for (int64_t block = 0, channel = 0; channel < s.in_c; ++block, channel += kernels_.columns) {
    for (int64_t tap = 0; tap < taps; ++tap) {
      const auto list = pairs.of_tap(tap);
      kernels_.run({rows, std::min(kernels_.columns, s.in_c - channel), steps, left.spread.data(),
                    left.sums_of_h.data(), outputs, right_.data() + block * block_step, list.pairs, list.count,
                    left.sums.data() + tap * s.in_c + channel, taps * s.in_c});
    }
  }
  return left.sums.data();
}

}  // namespace onebit
