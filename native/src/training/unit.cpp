#include "training/unit.h"

#include <algorithm>
#include <atomic>
#include <cmath>
#include <cstring>

#include "kernels/autotune.h"
#include "kernels/shape.h"

namespace onebit {
namespace {

constexpr int64_t kMaxTaps = 64;  // per axis
constexpr int64_t kFloatsInCache = 64 * 1024;
constexpr int64_t kSums = 5;

GradientRange join(const GradientRange& a, const GradientRange& b) {
  if (std::isnan(a.minimum) || std::isnan(b.minimum)) return {NAN, NAN};
  return {std::min(a.minimum, b.minimum), std::max(a.maximum, b.maximum)};
}

}  // namespace

// What the chunks of a backward pass share.
template <class Store>
struct Units::Call {
  const UnitBackward<Store>& a;
  const FusedPasses<Store>& passes;
  const GradientAxis &y, &x;
  const Grid& grid;
  int64_t max_levels;                       // bytes per sample
  std::vector<std::vector<ShiftRun>> runs;  // per part: those of a row
};

Units::Units(const Kernels& kernels, const TrainingKernels& training, const FusedKernels& fused, int threads)
    : kernels_(kernels),
      fused_(fused),
      pool_(threads),
      input_gradient_(training),
      weight_gradient_(training),
      own_(static_cast<size_t>(threads)),
      ranges_(static_cast<size_t>(threads)) {}

const char* Units::unfit(const ConvShape& s) {
  if (s.groups != 1) return "groups";
  if (s.dilation_h != 1 || s.dilation_w != 1) return "dilation";
  if (s.kernel_h > kMaxTaps || s.kernel_w > kMaxTaps) return "a kernel of more than 64 rows or columns";
  if (taps_of(s) * s.in_c > INT16_MAX) return "dot products beyond 16 bits";
  if (255 * taps_of(s) * s.out_c > int64_t{1} << 24) return "sums beyond 2^24 of its channels";
  if (255 * rows_of(s) * s.out_w > INT32_MAX) return "sums beyond 2^31 of a batch";
  return nullptr;
}

template <>
const FusedPasses<float>& Units::passes<float>() const {
  return fused_.float32;
}

template <>
const FusedPasses<Bfloat16>& Units::passes<Bfloat16>() const {
  return fused_.bfloat16;
}

bool Units::pack(const float* weight, int64_t outputs, int64_t taps, int64_t channels, uint32_t* words,
                 float* magnitude) {
  const std::lock_guard lock(mutex_);
  std::atomic<bool> same{true};
  pool_.split(outputs, [&](int64_t begin, int64_t end, size_t) {
    const int64_t size = taps * channels, packed = taps * words_of(channels);
    for (int64_t o = begin; o < end; ++o) {
      const float* from = weight + o * size;
      passes<float>().signs({taps, channels, from, nullptr, 0.0f, words + o * packed});
      magnitude[o] = std::fabs(from[0]);
      int32_t others = 0;
      for (int64_t i = 0; i < size; ++i) others |= std::fabs(from[i]) != magnitude[o];
      if (others) same = false;
    }
  });
  return same;
}

void Units::along_signs(int64_t outputs, int64_t taps, int64_t channels, const uint32_t* words, const float* magnitude,
                        const float* exact, float* gradient) {
  const std::lock_guard lock(mutex_);
  pool_.split(outputs, [&](int64_t begin, int64_t end, size_t) {
    for (int64_t o = begin; o < end; ++o) {
      const uint32_t* signs = words + o * taps * words_of(channels);
      float* own = gradient + o * taps * channels;
      const auto each = [&](const auto& work) {  // an element with its sign
        for (int64_t t = 0; t < taps; ++t) {
          const uint32_t* row = signs + t * words_of(channels);
          for (int64_t c = 0; c < channels; ++c)
            work(own[t * channels + c], 1.0 - 2.0 * static_cast<double>(row[c / 32] >> (c % 32) & 1));
        }
      };
      double sum = 0;
      each([&](float value, double sign) { sum += sign * static_cast<double>(value); });
      const auto size = static_cast<double>(magnitude[o]);
      const double error = (static_cast<double>(exact[o]) - sum / size) / static_cast<double>(taps * channels);
      each([&](float& value, double sign) {
        value = static_cast<float>(static_cast<double>(value) / size + sign * error);
      });
    }
  });
}

template <class Store>
void Units::signs(const UnitSigns<Store>& a) {
  const std::lock_guard lock(mutex_);
  const int64_t words = words_of(a.channels);
  pool_.split(a.batch, [&](int64_t begin, int64_t end, size_t) {
    for (int64_t n = begin; n < end; ++n) {
      const float* channels = a.per_sample ? nullptr : a.threshold;
      passes<Store>().signs({a.pixels, a.channels, a.x + n * a.pixels * a.channels, channels,
                             a.per_sample ? a.threshold[n] : 0.0f, a.bits + n * a.pixels * words});
    }
  });
}

void Units::convolve(const ConvShape& s, const uint32_t* bits, const uint32_t* weight, int16_t* y, int64_t* sums) {
  const std::lock_guard lock(mutex_);
  const int64_t terms = taps_of(s) * s.in_c, outputs = outputs_of(s) * s.out_c;
  for (Own& own : own_) std::fill_n(own.dots.at_least(2 * s.out_c), 2 * s.out_c, int64_t{0});
  const auto add = [&](int64_t begin, int64_t end, const Own& own) {
    fused_.dot_sums({(end - begin) * outputs_of(s), s.out_c, y + begin * outputs,
                     std::max<int64_t>(1, INT32_MAX / (terms * terms)), own.dots.data()});
  };
  const bool looks_up = fused_.convolve.run != nullptr && fused_.convolve.fits(s);
  looks_up ? look_up(s, bits, weight, y, add) : engine(s, bits, weight, y, add);
  std::fill_n(sums, 2 * s.out_c, int64_t{0});
  for (const Own& own : own_) {
    for (int64_t i = 0; i < 2 * s.out_c; ++i) sums[i] += own.dots.data()[i];
  }
}

template <class Add>
void Units::look_up(const ConvShape& s, const uint32_t* bits, const uint32_t* weight, int16_t* y, const Add& add) {
  const SignConvKernel& kernel = fused_.convolve;
  void* packed = packed_.at_least(static_cast<int64_t>(kernel.pack_bytes(s)));
  kernel.pack(s, weight, packed);
  const int64_t image = inputs_of(s) * words_of(s.in_c), outputs = outputs_of(s) * s.out_c;
  const int64_t samples = chunk_samples(s);
  ConvShape some = s;
  some.batch = static_cast<int32_t>(samples);
  for (Own& own : own_) own.levels.at_least(static_cast<int64_t>(kernel.scratch_bytes(some)));
  pool_.split((s.batch + samples - 1) / samples, [&](int64_t first, int64_t last, size_t thread) {
    for (int64_t n = first * samples; n < std::min<int64_t>(last * samples, s.batch); n += samples) {
      ConvShape chunk = s;
      chunk.batch = static_cast<int32_t>(std::min<int64_t>(samples, s.batch - n));
      kernel.run({chunk, bits + n * image, packed, own_[thread].levels.data(), y + n * outputs});
      add(n, n + chunk.batch, own_[thread]);
    }
  });
}

template <class Add>
void Units::engine(const ConvShape& s, const uint32_t* bits, const uint32_t* weight, int16_t* y, const Add& add) {
  ConvShape one = s;
  one.batch = 1;
  const BinaryConvKernel& kernel = kernels_.binary_conv[choose_kernel(kernels_.binary_conv, one)];
  void* packed = packed_.at_least(static_cast<int64_t>(kernel.pack_bytes(s)));
  kernel.pack(s, weight, packed);
  const int64_t image = inputs_of(s) * words_of(s.in_c), outputs = outputs_of(s) * s.out_c;
  const int64_t samples = std::max<int64_t>(1, kFloatsInCache / outputs);
  for (Own& own : own_) own.sums.at_least(std::min<int64_t>(samples, s.batch) * outputs);
  pool_.split(s.batch, [&](int64_t begin, int64_t end, size_t thread) {
    float* dots = own_[thread].sums.data();
    for (int64_t n = begin; n < end; n += samples) {
      ConvShape some = s;
      some.batch = static_cast<int32_t>(std::min(samples, end - n));
      const Epilogue none = {nullptr, nullptr, nullptr, nullptr, nullptr, Activation::none};
      kernel.run({some, 0, bits + n * image, packed, none, nullptr, dots, nullptr}, 0, kernel.units(some));
      fused_.dots(dots, some.batch * outputs, y + n * outputs);
      add(n, n + some.batch, own_[thread]);
    }
  });
}

template <class Store>
void Units::normalize(const UnitForward<Store>& a) {
  const std::lock_guard lock(mutex_);
  const int64_t image = a.pixels * a.channels, words = a.pixels * words_of(a.channels);
  pool_.split(a.batch, [&](int64_t begin, int64_t end, size_t) {
    for (int64_t n = begin; n < end; ++n) {
      const auto at = [&](auto* array) { return array ? array + n * image : nullptr; };
      passes<Store>().normalize({a.pixels, a.channels, at(a.y), a.slope, a.offset, at(a.residual), a.activation,
                                 a.parameters, at(a.z), at(a.x), a.threshold, a.bits ? a.bits + n * words : nullptr});
      if (a.statistics) describe(at(a.x), image, a.statistics + 4 * n);
    }
  });
}

template <class Store>
void Units::statistics(const Store* x, int64_t batch, int64_t count, double* statistics) {
  const std::lock_guard lock(mutex_);
  pool_.split(batch, [&](int64_t begin, int64_t end, size_t) {
    for (int64_t n = begin; n < end; ++n) describe(x + n * count, count, statistics + 4 * n);
  });
}

template <class Store>
void Units::describe(const Store* x, int64_t count, double* statistics) const {
  const SampleStatistics found = passes<Store>().statistics(x, count);
  statistics[0] = found.sum, statistics[1] = found.squares;
  statistics[2] = found.minimum, statistics[3] = found.maximum;
}

template <class Store>
void Units::shortcut(const UnitShortcut& s, const Store* x, Store* output) {
  const std::lock_guard lock(mutex_);
  const int64_t in = s.width * s.channels, out = s.columns() * s.wide();
  pool_.split(s.batch, [&](int64_t begin, int64_t end, size_t) {
    for (int64_t n = begin; n < end; ++n) {
      for (int64_t row = 0; row < s.rows(); ++row)
        passes<Store>().means({s.columns(), s.channels, s.side, s.width, s.before, s.after,
                               x + (n * s.height + row * s.side) * in, output + (n * s.rows() + row) * out});
    }
  });
}

template <class Store>
void Units::shortcut_gradient(const UnitShortcut& s, const Store* gradient, Store* x) {
  const std::lock_guard lock(mutex_);
  const int64_t in = s.width * s.channels, out = s.columns() * s.wide();
  const bool all = s.rows() * s.side == s.height && s.columns() * s.side == s.width;
  pool_.split(s.batch, [&](int64_t begin, int64_t end, size_t) {
    for (int64_t n = begin; n < end; ++n) {
      if (!all) std::fill_n(x + n * s.height * in, s.height * in, Store{});
      for (int64_t row = 0; row < s.rows(); ++row)
        passes<Store>().spread({s.columns(), s.channels, s.side, s.width, s.before, s.after,
                                gradient + (n * s.rows() + row) * out, x + (n * s.height + row * s.side) * in});
    }
  });
}

template <class Store>
void Units::end(const UnitEnd<Store>& a) {
  const std::lock_guard lock(mutex_);
  const int64_t image = a.pixels * a.channels;
  float* sums = chunk_sums_.at_least(a.batch * 4 * a.channels);
  std::fill_n(sums, a.batch * 4 * a.channels, 0.0f);
  pool_.split(a.batch, [&](int64_t begin, int64_t end, size_t) {
    for (int64_t n = begin; n < end; ++n) {
      BackArgs<Store> back = {};
      back.pixels = a.pixels, back.channels = back.row = back.step = a.channels;
      back.gradient = a.gradient + n * image;
      back.activation = a.activation, back.parameters = a.parameters;
      (a.activation == UnitActivation::rprelu ? back.z : back.x) = a.x ? a.x + n * image : nullptr;
      back.y = a.y + n * image, back.mean = a.mean;
      back.output = a.dz + n * image, back.sums = sums + n * 4 * a.channels;
      passes<Store>().back(back);
    }
  });
  std::fill_n(a.sums, 4 * a.channels, 0.0);
  for (int64_t n = 0; n < a.batch; ++n) {
    for (int64_t i = 0; i < 4 * a.channels; ++i) a.sums[i] += static_cast<double>(sums[n * 4 * a.channels + i]);
  }
}

template <class Store>
GradientRange Units::range(const UnitBackward<Store>& a) {
  const int64_t pixels = outputs_of(a.shape), image = pixels * a.shape.out_c;
  std::fill(ranges_.begin(), ranges_.end(), GradientRange{INFINITY, -INFINITY});
  pool_.split(a.shape.batch, [&](int64_t begin, int64_t end, size_t thread) {
    for (int64_t n = begin; n < end; ++n) {
      ranges_[thread] =
          join(ranges_[thread], passes<Store>().range({pixels, a.shape.out_c, a.dz + n * image, a.y + n * image, a.k}));
    }
  });
  GradientRange range = ranges_[0];
  for (const GradientRange& other : ranges_) range = join(range, other);
  return range;
}

template <class Store>
void Units::backward(const UnitBackward<Store>& a) {
  const std::lock_guard lock(mutex_);
  const ConvShape& s = a.shape;
  const GradientAxis y(s.in_h, s.out_h, s.kernel_h, s.stride_h, s.pad_top);
  const GradientAxis x(s.in_w, s.out_w, s.kernel_w, s.stride_w, s.pad_left);
  const GradientRange range = this->range(a);
  const Grid grid = grid_of({range.minimum, range.maximum, !std::isnan(range.minimum)}, a.rounding.levels);
  const int64_t samples = chunk_samples(s), chunks = (s.batch + samples - 1) / samples;
  Call<Store> call = {a, passes<Store>(), y, x, grid, y.size * x.size * s.out_c, {}};
  if (a.output) {
    input_gradient_.prepare(s, y, x, a.weight, pool_, static_cast<int>(own_.size()));
    input_gradient_.set_grid(grid);
    for (const InputGradient::Part& part : input_gradient_.parts()) call.runs.push_back(runs_of(s, part));
  }
  if (a.weight_gradient) weight_gradient_.prepare(s, y, x, samples, static_cast<int>(own_.size()));
  const int64_t image = inputs_of(s) * s.in_c, widest = std::min<int64_t>(s.in_c, 64);
  const int64_t floats = a.samples ? image : std::max(inputs_of(s) * widest, kFloatsInCache);
  for (Own& own : own_) {
    own.levels.at_least(samples * call.max_levels + kInt8Slack);
    own.sums.at_least(floats);
    own.coupling.at_least(s.in_c);
  }
  float* sums = chunk_sums_.at_least(chunks * kSums * s.in_c);
  std::fill_n(sums, chunks * kSums * s.in_c, 0.0f);
  pool_.split(chunks, [&](int64_t begin, int64_t end, size_t thread) {
    for (int64_t i = begin; i < end; ++i)
      chunk(call, i * samples, std::min<int64_t>((i + 1) * samples, s.batch), thread, sums + i * kSums * s.in_c);
  });
  if (a.sums) {
    std::fill_n(a.sums, kSums * s.in_c, 0.0);
    for (int64_t i = 0; i < chunks * kSums * s.in_c; ++i) a.sums[i % (kSums * s.in_c)] += static_cast<double>(sums[i]);
  }
  if (a.weight_gradient) weight_gradient_.finish(grid, a.weight_gradient, pool_);
}

std::vector<ShiftRun> Units::runs_of(const ConvShape& s, const InputGradient::Part& part) const {
  std::vector<ShiftRun> runs;
  const float* first = input_gradient_.shift(part.y.input, part.x.input);
  for (int64_t j = 0; j < part.x.count; ++j) {
    const int64_t at = input_gradient_.shift(part.y.input, part.x.input + j * s.stride_w) - first;
    if (runs.empty() || runs.back().at != at) runs.push_back({0, at});
    ++runs.back().pixels;
  }
  return runs;
}

template <class Store>
void Units::chunk(const Call<Store>& call, int64_t begin, int64_t end, size_t thread, float* sums) {
  const UnitBackward<Store>& a = call.a;
  Own& own = own_[thread];
  for (int64_t n = begin; n < end; ++n) levels(call, n, own.levels.data() + (n - begin) * call.max_levels);
  if (a.output) {
    // as many samples at once as leave the sums in the cache; a scaled sample needs all of its own
    int64_t samples = 1;
    if (!a.samples) {
      const int64_t floats = inputs_of(a.shape) * std::min<int64_t>(a.shape.in_c, 64);
      samples = std::max<int64_t>(1, kFloatsInCache / floats);
    }
    for (int64_t n = begin; n < end; n += samples) {
      const uint8_t* from = own.levels.data() + (n - begin) * call.max_levels;
      a.samples ? scaled_input(call, n, from, own, sums) : input(call, n, std::min(n + samples, end), from, own, sums);
    }
  }
  if (a.weight_gradient) {
    const int64_t image = inputs_of(a.shape) * words_of(a.shape.in_c);
    weight_gradient_.add(own.levels.data(), a.bits + begin * image, end - begin, thread);
  }
}

// With zeros around the image, as the axes ask.
template <class Store>
void Units::levels(const Call<Store>& call, int64_t sample, uint8_t* to) const {
  const UnitBackward<Store>& a = call.a;
  const ConvShape& s = a.shape;
  const int64_t row = int64_t{s.out_w} * s.out_c, padded = call.x.size * s.out_c, before = call.x.lead * s.out_c;
  const int64_t pairs = (s.out_w + 1) / 2;  // a row's pixels share their noise in pairs
  for (int64_t i = 0; i < call.y.size; ++i, to += padded) {
    const int64_t oy = i - call.y.lead;
    if (oy < 0 || oy >= s.out_h) {
      std::memset(to, 0, static_cast<size_t>(padded));
      continue;
    }
    std::memset(to, 0, static_cast<size_t>(before));
    const int64_t number = sample * s.out_h + oy, at = number * row;
    call.passes.levels({{s.out_w, s.out_c, a.dz + at, a.y + at, a.k},
                        call.grid.minimum,
                        1.0f / call.grid.scale,
                        a.rounding.levels,
                        a.rounding.seed,
                        number * pairs * s.out_c,
                        to + before});
    std::memset(to + before + row, 0, static_cast<size_t>(padded - before - row));
  }
}

// The arguments of the passes for a part's channels of the input, at its first pixel; set() moves them to another.
template <class Store>
struct Units::Passage {
  Passage(const Call<Store>& call, size_t index, const InputGradient::Part& part, float* sums)
      : call(call), part(part) {
    const UnitBackward<Store>& a = call.a;
    estimate.runs = call.runs[index].data(), estimate.count = static_cast<int64_t>(call.runs[index].size());
    back.pixels = part.x.count;
    const int64_t c = part.first, row = a.shape.in_c;
    const auto from = [c](const float* array) { return array ? array + c : nullptr; };
    estimate.channels = back.channels = part.channels;
    estimate.step = back.step = a.shape.stride_w * row;
    estimate.scale = call.grid.scale;
    estimate.estimator = a.estimator, estimate.a = a.a, estimate.b = a.b, estimate.levels = a.levels;
    estimate.threshold = from(a.threshold);
    estimate.front_slope = back.slope = from(a.front_slope);
    estimate.front_offset = back.offset = from(a.front_offset);
    estimate.coupled = back.coupled = a.samples != nullptr;
    estimate.threshold_sums = a.threshold && a.sums ? sums + 4 * row + c : nullptr;
    back.row = row;
    back.activation = a.activation, back.parameters = from(a.parameters);
    back.mean = from(a.front_mean);
    back.sums = a.sums && a.front_y ? sums + c : nullptr;
  }

  // Calls work for each row of a sample's part, with the number of its first pixel among the part's.
  template <class Work>
  void rows(int64_t sample, const InputGradient& gradient, const Work& work) {
    const UnitBackward<Store>& a = call.a;
    const ConvShape& s = a.shape;
    if (a.samples) {
      estimate.deviation = a.samples[4 * sample];
      back.inverse = 1.0f / estimate.deviation;
      back.sample_mean = a.samples[4 * sample + 1];
    }
    for (int64_t i = 0; i < part.y.count; ++i) {
      const int64_t y = part.y.input + i * s.stride_h;
      const int64_t at = ((sample * s.in_h + y) * s.in_w + part.x.input) * s.in_c + part.first;
      const auto there = [at](auto* array) { return array ? array + at : nullptr; };
      estimate.shift = gradient.shift(y, part.x.input) + part.first, estimate.offset = estimate.shift + s.in_c;
      estimate.x = back.x = there(a.x);
      estimate.front_y = back.y = there(a.front_y);
      back.z = there(a.front_z), back.shortcut = there(a.shortcut), back.output = there(a.output);
      work(i * part.x.count);
    }
  }

  const Call<Store>& call;
  const InputGradient::Part& part;
  EstimateArgs<Store> estimate = {};
  BackArgs<Store> back = {};
};

template <class Store>
void Units::input(const Call<Store>& call, int64_t begin, int64_t end, const uint8_t* levels, Own& own,
                  float* sums) const {
  const std::vector<InputGradient::Part>& parts = input_gradient_.parts();
  for (size_t i = 0; i < parts.size(); ++i) {
    const InputGradient::Part& part = parts[i];
    float* products = own.sums.data();
    input_gradient_.product(part, levels, end - begin, products);
    Passage<Store> passage(call, i, part, sums);
    for (int64_t n = begin; n < end; ++n, products += part.y.count * part.x.count * part.channels) {
      passage.rows(n, input_gradient_, [&](int64_t pixel) {
        float* d = products + pixel * part.channels;
        passage.estimate.sums = d, passage.back.d = d;
        call.passes.estimate(passage.estimate);
        call.passes.back(passage.back);
      });
    }
  }
}

// The gradient of a sample's scaling needs the sum over all of it, so the second pass follows when the first is
// through.
template <class Store>
void Units::scaled_input(const Call<Store>& call, int64_t sample, const uint8_t* levels, Own& own, float* sums) const {
  const UnitBackward<Store>& a = call.a;
  float *coupling = own.coupling.data(), *products = own.sums.data();
  std::fill_n(coupling, a.shape.in_c, 0.0f);
  const std::vector<InputGradient::Part>& parts = input_gradient_.parts();
  for (size_t i = 0; i < parts.size(); ++i) {
    const InputGradient::Part& part = parts[i];
    input_gradient_.product(part, levels, 1, products);
    Passage<Store> passage(call, i, part, sums);
    passage.estimate.coupling = coupling + part.first;
    passage.rows(sample, input_gradient_, [&](int64_t pixel) {
      passage.estimate.sums = products + pixel * part.channels;
      call.passes.estimate(passage.estimate);
    });
    products += part.y.count * part.x.count * part.channels;
  }
  double sum = 0;
  for (int64_t c = 0; c < a.shape.in_c; ++c) sum += static_cast<double>(coupling[c]);
  products = own.sums.data();
  for (size_t i = 0; i < parts.size(); ++i) {
    const InputGradient::Part& part = parts[i];
    Passage<Store> passage(call, i, part, sums);
    passage.back.share = static_cast<float>(sum * static_cast<double>(a.samples[4 * sample + 2]));
    passage.rows(sample, input_gradient_, [&](int64_t pixel) {
      passage.back.d = products + pixel * part.channels;
      call.passes.back(passage.back);
    });
    products += part.y.count * part.x.count * part.channels;
  }
}

template void Units::signs(const UnitSigns<float>&);
template void Units::signs(const UnitSigns<Bfloat16>&);
template void Units::normalize(const UnitForward<float>&);
template void Units::normalize(const UnitForward<Bfloat16>&);
template void Units::statistics(const float*, int64_t, int64_t, double*);
template void Units::statistics(const Bfloat16*, int64_t, int64_t, double*);
template void Units::shortcut(const UnitShortcut&, const float*, float*);
template void Units::shortcut(const UnitShortcut&, const Bfloat16*, Bfloat16*);
template void Units::shortcut_gradient(const UnitShortcut&, const float*, float*);
template void Units::shortcut_gradient(const UnitShortcut&, const Bfloat16*, Bfloat16*);
template void Units::end(const UnitEnd<float>&);
template void Units::end(const UnitEnd<Bfloat16>&);
template void Units::backward(const UnitBackward<float>&);
template void Units::backward(const UnitBackward<Bfloat16>&);

}  // namespace onebit
