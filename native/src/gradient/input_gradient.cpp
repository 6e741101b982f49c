#include "gradient/input_gradient.h"

#include <cstring>

#include "kernels/autotune.h"
#include "kernels/shape.h"

namespace onebit {
namespace {

constexpr int64_t kChannels = 64;  // per part

// The sets of taps that positions are reached by, and which one each has.
void classify(const GradientAxis& axis, int64_t size, std::vector<int32_t>& classes, std::vector<uint64_t>& taps) {
  classes.clear();
  taps.clear();
  for (int64_t i = 0; i < size; ++i) {
    const uint64_t reaching = axis.reaching(i);
    const auto known = std::find(taps.begin(), taps.end(), reaching);
    classes.push_back(static_cast<int32_t>(known - taps.begin()));
    if (known == taps.end()) taps.push_back(reaching);
  }
}

// 8 signs as bytes, -1 where a bit is set, and their sum.
struct SignBytes {
  SignBytes() {
    for (int byte = 0; byte < 256; ++byte) {
      sums[byte] = 0;
      for (int bit = 0; bit < 8; ++bit) {
        signs[byte][bit] = static_cast<int8_t>(byte >> bit & 1 ? -1 : 1);
        sums[byte] += signs[byte][bit];
      }
    }
  }
  int8_t signs[256][8];
  int32_t sums[256];
};

// 8 rows of 8 bits, the columns of which become rows.
uint64_t transposed(uint64_t x) {
  uint64_t t = (x ^ x >> 7) & 0x00aa00aa00aa00aau;
  x ^= t ^ t << 7;
  t = (x ^ x >> 14) & 0x0000cccc0000ccccu;
  x ^= t ^ t << 14;
  t = (x ^ x >> 28) & 0x00000000f0f0f0f0u;
  return x ^ t ^ t << 28;
}

}  // namespace

void InputGradient::prepare(const ConvShape& s, const GradientAxis& y, const GradientAxis& x, const uint32_t* weight,
                            ThreadPool& pool, int threads) {
  s_ = s;
  plan(y, x);
  classify(y, s.in_h, row_class_, row_taps_);
  classify(x, s.in_w, column_class_, column_taps_);
  const int64_t part_signs = kChannels * taps_of(s) * s.out_c;
  signs_.at_least(threads * part_signs);
  tap_sums_.at_least(taps_of(s) * s.in_c);
  pool.split(static_cast<int64_t>(parts_.size()), [&](int64_t begin, int64_t end, size_t thread) {
    for (int64_t i = begin; i < end; ++i)
      pack(parts_[static_cast<size_t>(i)], weight, signs_.data() + static_cast<int64_t>(thread) * part_signs);
  });
}

void InputGradient::plan(const GradientAxis& y, const GradientAxis& x) {
  const ConvShape& s = s_;
  pixel_bytes_ = s.out_c, row_bytes_ = x.size * s.out_c;
  lead_y_ = y.lead, lead_x_ = x.lead;
  parts_.clear();
  int64_t packed = 0;
  for (int64_t first = 0; first < s.in_c; first += kChannels) {
    for (const Phase& row : y.phases) {
      for (const Phase& column : x.phases) {
        Part part = {row, column, first, std::min<int64_t>(kChannels, s.in_c - first), {}, nullptr, packed};
        if (row.taps > 0 && column.taps > 0) {
          const auto narrow = [](int64_t value) { return static_cast<int32_t>(value); };
          part.shape = {1,
                        narrow(y.size),
                        narrow(x.size),
                        s.out_c,
                        narrow(row.count),
                        narrow(column.count),
                        narrow(part.channels),
                        narrow(row.taps),
                        narrow(column.taps),
                        1,
                        1,
                        0,
                        0,
                        1,
                        1,
                        1};
          part.kernel = &kernels_.input_gradient[choose_kernel(kernels_.input_gradient, part.shape)];
          packed += round_up(static_cast<int64_t>(part.kernel->pack_bytes(part.shape)), kAlignment);
        }
        parts_.push_back(part);
      }
    }
  }
  packed_.at_least(packed);
}

// The signs of a part's taps as bytes, [channel][tap in reverse][out_c], then as its kernel reads them; and the sums
// over out_c of each tap and channel.
void InputGradient::pack(const Part& part, const uint32_t* weight, int8_t* signs) {
  if (!part.kernel) return;
  static const SignBytes table;
  const ConvShape& s = s_;
  const int64_t words = words_of(s.in_c), part_taps = part.y.taps * part.x.taps;
  for (int64_t i = 0; i < part_taps; ++i) {
    const int64_t ky = part.y.tap + s.stride_h * (part.y.taps - 1 - i / part.x.taps);
    const int64_t kx = part.x.tap + s.stride_w * (part.x.taps - 1 - i % part.x.taps), tap = ky * s.kernel_w + kx;
    int32_t* tap_sums = tap_sums_.data() + tap * s.in_c + part.first;
    for (int64_t c = 0; c < part.channels; c += 32) {
      const int64_t channels = std::min<int64_t>(32, part.channels - c);
      const uint32_t* word = weight + tap * words + (part.first + c) / 32;
      int32_t sums[32] = {};
      for (int64_t o = 0; o < s.out_c; o += 8) {
        const int64_t outputs = std::min<int64_t>(8, s.out_c - o);
        uint64_t bytes[4] = {};
        for (int64_t j = 0; j < outputs; ++j, word += taps_of(s) * words)
          for (int k = 0; k < 4; ++k) bytes[k] |= uint64_t{*word >> 8 * k & 255u} << 8 * j;
        int8_t* to = signs + (c * part_taps + i) * s.out_c + o;
        for (int64_t j = 0; j < channels; ++j, to += part_taps * s.out_c) {
          if (j % 8 == 0) bytes[j / 8] = transposed(bytes[j / 8]);
          const auto byte = static_cast<size_t>(bytes[j / 8] >> j % 8 * 8 & 255u);
          std::memcpy(to, table.signs[byte], static_cast<size_t>(outputs));
          sums[j] += table.sums[byte];
        }
      }
      // outputs that are not there count as +1
      for (int64_t j = 0; j < channels; ++j)
        tap_sums[c + j] = sums[j] - static_cast<int32_t>(round_up(s.out_c, 8) - s.out_c);
    }
  }
  part.kernel->pack(part.shape, 0, signs, packed_.data() + part.packed);
}

// For each class of pixels, what a level of `zero` and the rest of the grid add up to over the taps inside.
void InputGradient::set_grid(const Grid& grid) {
  grid_ = grid;
  const auto classes = static_cast<int64_t>(row_taps_.size() * column_taps_.size());
  float* shift = borders_.at_least(2 * classes * s_.in_c);
  for (const uint64_t rows : row_taps_) {
    for (const uint64_t columns : column_taps_) {
      float* offset = shift + s_.in_c;
      for (int64_t c = 0; c < s_.in_c; ++c) {
        int32_t sum = 0;
        for (int64_t tap = 0; tap < taps_of(s_); ++tap) {
          const bool inside = (rows >> tap / s_.kernel_w & 1) && (columns >> tap % s_.kernel_w & 1);
          if (inside) sum += tap_sums_.data()[tap * s_.in_c + c];
        }
        shift[c] = grid.zero * static_cast<float>(sum);
        offset[c] = grid.rest * static_cast<float>(sum);
      }
      shift += 2 * s_.in_c;
    }
  }
}

void InputGradient::product(const Part& part, const uint8_t* levels, int64_t samples, float* sums) const {
  if (!part.kernel) {
    std::fill_n(sums, samples * part.pixels() * part.channels, 0.0f);
    return;
  }
  ConvShape shape = part.shape;
  shape.batch = static_cast<int32_t>(samples);
  levels += (lead_y_ + part.y.start()) * row_bytes_ + (lead_x_ + part.x.start()) * pixel_bytes_;
  const Epilogue none = {nullptr, nullptr, nullptr, nullptr, nullptr, Activation::none};
  part.kernel->run({shape, levels, packed_.data() + part.packed, none, sums}, 0, part.kernel->units(shape));
}

void InputGradient::finish(const Part& part, const float* sums, int64_t first, int64_t samples, const float* input,
                           Estimator estimator, float* output) const {
  const int64_t step = int64_t{s_.stride_w} * s_.in_c;
  for (int64_t n = first; n < first + samples; ++n) {
    for (int64_t i = 0; i < part.y.count; ++i, sums += part.x.count * part.channels) {
      const int64_t y = part.y.input + i * s_.stride_h;
      const int64_t at = ((n * s_.in_h + y) * s_.in_w + part.x.input) * s_.in_c + part.first;
      kernels_.input_finish({part.x.count, part.channels, sums, row_shifts(y) + part.first,
                             column_class_.data() + part.x.input, s_.stride_w, s_.in_c, grid_.scale, estimator,
                             input ? input + at : nullptr, output + at, step});
    }
  }
}

}  // namespace onebit
