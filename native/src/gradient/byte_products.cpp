#include "gradient/byte_products.h"

#include "kernels/shape.h"

namespace onebit {
namespace {

constexpr int64_t kMaxPixels = INT32_MAX / (128 * 255);  // per batch: a sum over them has 32 bits

// The input pixel that an output pixel reads through a tap, within its sample; -1 in the padding.
int64_t read_by(const ConvShape& s, int64_t output, int64_t tap) {
  const int64_t y = output / s.out_w * s.stride_h - s.pad_top + tap / s.kernel_w;
  const int64_t x = output % s.out_w * s.stride_w - s.pad_left + tap % s.kernel_w;
  return inside(y, x, s.in_h, s.in_w) ? y * s.in_w + x : -1;
}

// The output pixel that reads an input pixel through a tap; -1 where none does.
int64_t reading(const ConvShape& s, int64_t input, int64_t tap) {
  const int64_t y = input / s.in_w + s.pad_top - tap / s.kernel_w, x = input % s.in_w + s.pad_left - tap % s.kernel_w;
  if (y < 0 || x < 0 || y % s.stride_h || x % s.stride_w) return -1;
  return inside(y / s.stride_h, x / s.stride_w, s.out_h, s.out_w) ? y / s.stride_h * s.out_w + x / s.stride_w : -1;
}

// Codes less their zero; zeros where there are none.
template <class Code>
void levels_at(const Code* codes, int32_t zero, int64_t count, int16_t* to) {
  for (int64_t i = 0; i < count; ++i) to[i] = codes ? static_cast<int16_t>(codes[i] - zero) : int16_t{0};
}

}  // namespace

const char* ByteProducts::unfit(const ConvShape& s) {
  return s.batch * outputs_of(s) > kMaxPixels ? "more than 65,793 pixels" : nullptr;
}

void ByteProducts::reserve(const ConvShape& s, size_t threads) {
  threads_.resize(std::max(threads_.size(), threads));
  for (Thread& thread : threads_) {
    thread.rows.at_least(kRows * taps_of(s) * std::max(s.in_c, s.out_c));
    thread.sums.at_least(kRows * s.in_c);
  }
}

void ByteProducts::reserve_gradients(const ConvShape& s) {
  const int64_t pixels = s.batch * outputs_of(s), weights = taps_of(s) * s.in_c * s.out_c;
  h_.at_least(pixels * s.out_c);
  left_.at_least(pixels * s.out_c);
  right_.at_least(std::max(weights, pixels * s.in_c));
}

void ByteProducts::forward(const ConvShape& s, const uint8_t* codes, int32_t zero, const int16_t* weights,
                           int64_t begin, int64_t end, int32_t* sums, size_t thread) {
  const int64_t outputs = outputs_of(s), taps = taps_of(s);
  int16_t* rows = threads_[thread].rows.data();
  for (int64_t first = begin * outputs; first < end * outputs; first += kRows) {
    const int64_t count = std::min(kRows, end * outputs - first);
    for (int64_t row = 0; row < count; ++row) {
      const uint8_t* image = codes + (first + row) / outputs * inputs_of(s) * s.in_c;
      for (int64_t tap = 0; tap < taps; ++tap) {
        const int64_t pixel = read_by(s, (first + row) % outputs, tap);
        levels_at(pixel < 0 ? nullptr : image + pixel * s.in_c, zero, s.in_c, rows + (row * taps + tap) * s.in_c);
      }
    }
    passes_.products({count, s.out_c, taps * s.in_c, rows, weights, sums + first * s.out_c});
  }
}

void ByteProducts::inputs(const ConvShape& s, const int16_t* weights, int32_t* sums, ThreadPool& pool) {
  const int64_t inputs = inputs_of(s), taps = taps_of(s), depth = taps * s.out_c;
  pool.split(s.in_c, [&](int64_t begin, int64_t end, size_t) {
    for (int64_t c = begin; c < end; ++c)
      for (int64_t tap = 0; tap < taps; ++tap)
        for (int64_t o = 0; o < s.out_c; ++o)
          right_.data()[c * depth + tap * s.out_c + o] = weights[(o * taps + tap) * s.in_c + c];
  });
  pool.split((s.batch * inputs + kRows - 1) / kRows, [&](int64_t begin, int64_t end, size_t thread) {
    int16_t* rows = threads_[thread].rows.data();
    for (int64_t first = begin * kRows; first < std::min(s.batch * inputs, end * kRows); first += kRows) {
      const int64_t count = std::min(kRows, s.batch * inputs - first);
      for (int64_t row = 0; row < count; ++row) {
        const int8_t* image = h_.data() + (first + row) / inputs * outputs_of(s) * s.out_c;
        for (int64_t tap = 0; tap < taps; ++tap) {
          const int64_t pixel = reading(s, (first + row) % inputs, tap);
          levels_at(pixel < 0 ? nullptr : image + pixel * s.out_c, 0, s.out_c, rows + row * depth + tap * s.out_c);
        }
      }
      passes_.products({count, s.in_c, depth, rows, right_.data(), sums + first * s.in_c});
    }
  });
}

void ByteProducts::turn_h(const ConvShape& s, ThreadPool& pool) {
  const int64_t pixels = s.batch * outputs_of(s);
  pool.split(s.out_c, [&](int64_t begin, int64_t end, size_t) {
    for (int64_t o = begin; o < end; ++o)
      for (int64_t i = 0; i < pixels; ++i)
        left_.data()[o * pixels + i] = int16_t{h_.data()[i * s.out_c + o]};
  });
}

void ByteProducts::turn_inputs(const ConvShape& s, int64_t tap, const uint8_t* codes, int32_t zero, ThreadPool& pool) {
  const int64_t outputs = outputs_of(s), pixels = s.batch * outputs, image = inputs_of(s) * s.in_c;
  pool.split(s.in_c, [&](int64_t begin, int64_t end, size_t) {
    for (int64_t output = 0; output < outputs; ++output) {
      const int64_t pixel = read_by(s, output, tap);
      for (int64_t sample = 0; sample < s.batch; ++sample) {
        const uint8_t* from = pixel < 0 ? nullptr : codes + sample * image + pixel * s.in_c;
        int16_t* to = right_.data() + sample * outputs + output;
        for (int64_t c = begin; c < end; ++c) to[c * pixels] = from ? static_cast<int16_t>(from[c] - zero) : int16_t{0};
      }
    }
  });
}

const int32_t* ByteProducts::sum_weights(const ConvShape& s, int64_t first, int64_t rows, size_t thread) {
  const int64_t pixels = s.batch * outputs_of(s);
  int32_t* sums = threads_[thread].sums.data();
  passes_.products({rows, s.in_c, pixels, left_.data() + first * pixels, right_.data(), sums});
  return sums;
}

}  // namespace onebit
