// Random shapes and data for the kernel tests.
#pragma once

#include <algorithm>
#include <cmath>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <limits>
#include <memory>
#include <new>
#include <random>
#include <vector>

#include "case_count.h"
#include "check.h"
#include "kernels/kernels.h"
#include "kernels/registry.h"

namespace onebit::test {

class Random {
 public:
  explicit Random(uint32_t seed) : engine_(seed) {}
  int between(int low, int high) { return low + static_cast<int>(engine_() % static_cast<uint32_t>(high - low + 1)); }
  bool chance(int percent) { return between(1, 100) <= percent; }
  uint32_t word() { return static_cast<uint32_t>(engine_()); }
  // Of many magnitudes, so that another order of summation gives other bits.
  float real() { return std::ldexp(static_cast<float>(between(-65535, 65535)) / 65536.0f, between(-6, 6)); }

 private:
  std::mt19937 engine_;
};

// An array at an address that is a multiple of 4 only, whose end a sanitizer guards; it starts as garbage.
template <class T>
class Array {
 public:
  explicit Array(int64_t size) : memory_(static_cast<size_t>(size) + 1) {
    std::memset(memory_.data(), 0xa5, memory_.size() * sizeof(T));
  }
  T* data() { return memory_.data() + 1; }
  T& operator[](int64_t i) { return memory_[static_cast<size_t>(i) + 1]; }
  int64_t size() const { return static_cast<int64_t>(memory_.size()) - 1; }
  bool operator==(const Array& other) const {
    return std::memcmp(memory_.data(), other.memory_.data(), memory_.size() * sizeof(T)) == 0;
  }

 private:
  std::vector<T> memory_;
};

inline Array<float> reals(Random& random, int64_t size) {
  Array<float> array(size);
  const int exponent = random.chance(10) ? -138 : 0;  // some arrays hold subnormal numbers
  for (int64_t i = 0; i < size; ++i) {
    array[i] = random.chance(5) ? (random.chance(50) ? 0.0f : -0.0f) : std::ldexp(random.real(), exponent);
  }
  return array;
}

inline int64_t words_for(int64_t channels) { return (channels + 31) / 32; }

// `rows` times the words of `channels` random bits, the spare ones zero.
inline Array<uint32_t> bits(Random& random, int64_t rows, int64_t channels) {
  Array<uint32_t> array(rows * words_for(channels));
  for (int64_t i = 0; i < array.size(); ++i) {
    array[i] = random.word();
    if (channels % 32 && i % words_for(channels) == words_for(channels) - 1) array[i] &= (1u << channels % 32) - 1;
  }
  return array;
}

// Memory as the engine gives it to a table's pack functions: 64-byte aligned, guarded at the end.
class Packed {
 public:
  explicit Packed(size_t bytes) : memory_(::operator new(bytes, std::align_val_t{64})) {
    std::memset(memory_, 0x5a, bytes);
  }
  ~Packed() { ::operator delete(memory_, std::align_val_t{64}); }
  Packed(const Packed&) = delete;
  Packed& operator=(const Packed&) = delete;
  void* data() { return memory_; }

 private:
  void* memory_;
};

// What an epilogue points to; each part is present by chance.
struct RandomEpilogue {
  RandomEpilogue(Random& random, int64_t channels, int64_t outputs)
      : scale(reals(random, channels)),
        bias(reals(random, channels)),
        slope(reals(random, channels)),
        post(reals(random, channels)),
        residual(reals(random, outputs)) {
    epilogue.activation = static_cast<Activation>(random.between(0, 3));
    epilogue.scale = random.chance(50) ? scale.data() : nullptr;
    epilogue.bias = random.chance(50) ? bias.data() : nullptr;
    epilogue.residual = random.chance(50) ? residual.data() : nullptr;
    epilogue.slope = epilogue.activation == Activation::prelu ? slope.data() : nullptr;
    epilogue.post = random.chance(50) ? post.data() : nullptr;
  }
  RandomEpilogue(const RandomEpilogue&) = delete;
  RandomEpilogue& operator=(const RandomEpilogue&) = delete;
  Array<float> scale, bias, slope, post, residual;
  Epilogue epilogue = {};
};

// A bound of an interval.
inline float bound(Random& random) {
  switch (random.between(0, 6)) {
    case 0: return std::numeric_limits<float>::infinity();
    case 1: return -std::numeric_limits<float>::infinity();
    case 2: return random.chance(50) ? 0.0f : -0.0f;
    case 3: return std::ldexp(random.real(), -138);
    default: return random.real();
  }
}

// [channels][2], some of them empty.
inline Array<float> float_intervals(Random& random, int64_t channels) {
  Array<float> array(2 * channels);
  for (int64_t i = 0; i < array.size(); ++i) array[i] = bound(random);
  return array;
}

// A convolution of at most about `work` products.
inline ConvShape random_conv(Random& random, int64_t work) {
  for (;;) {
    ConvShape s = {};
    const int kind = random.between(0, 5);
    const int in = random.between(1, 100), out = random.between(1, 150);
    s.groups = kind < 3 ? 1 : random.between(1, 40);
    if (kind <= 1) s.in_c = in, s.out_c = out;
    if (kind == 2) s.in_c = 32 * random.between(1, 16), s.out_c = 16 * random.between(1, 12);
    if (kind == 3) s.in_c = s.out_c = s.groups;  // depthwise
    if (kind == 4) s.in_c = s.groups * random.between(1, 40), s.out_c = s.groups * random.between(1, 40);
    if (kind == 5) s.in_c = s.groups * 32 * random.between(1, 3), s.out_c = s.groups * 32 * random.between(1, 3);
    s.batch = random.between(1, 3);
    s.in_h = random.between(1, 12), s.in_w = random.between(1, 12);
    s.kernel_h = random.between(1, 5), s.kernel_w = random.between(1, 5);
    if (random.chance(15)) s.kernel_h = s.in_h, s.kernel_w = s.in_w;  // dense
    s.stride_h = random.between(1, 3), s.stride_w = random.between(1, 3);
    s.dilation_h = random.between(1, 3), s.dilation_w = random.between(1, 3);
    const int reach_h = s.dilation_h * (s.kernel_h - 1), reach_w = s.dilation_w * (s.kernel_w - 1);
    s.pad_top = random.between(0, reach_h), s.pad_left = random.between(0, reach_w);
    const int height = s.in_h + s.pad_top + random.between(0, reach_h) - reach_h;
    const int width = s.in_w + s.pad_left + random.between(0, reach_w) - reach_w;
    if (height < 1 || width < 1) continue;
    s.out_h = (height - 1) / s.stride_h + 1;
    s.out_w = (width - 1) / s.stride_w + 1;
    const int64_t products =
        int64_t{s.batch} * s.out_h * s.out_w * s.out_c * s.kernel_h * s.kernel_w * s.in_c / s.groups;
    if (products <= work) return s;
  }
}

inline void print(const ConvShape& s) {
  std::fprintf(stderr,
               "batch %d in %dx%dx%d out %dx%dx%d kernel %dx%d stride %d,%d pad %d,%d dilation %d,%d groups %d\n",
               s.batch, s.in_h, s.in_w, s.in_c, s.out_h, s.out_w, s.out_c, s.kernel_h, s.kernel_w, s.stride_h,
               s.stride_w, s.pad_top, s.pad_left, s.dilation_h, s.dilation_w, s.groups);
}

// Calls run(begin, end) over [0, rows) in random pieces and in random order.
template <class Run>
void in_pieces(Random& random, int64_t rows, Run run) {
  const int64_t cut = random.between(0, static_cast<int>(rows));
  const int64_t second = random.between(static_cast<int>(cut), static_cast<int>(rows));
  run(second, rows);
  run(int64_t{0}, cut);
  run(cut, second);
}

// The instruction sets to cross with the reference: all that this machine has.
inline std::vector<const Isa*> isas() {
  std::vector<const Isa*> all;
  for (const char* const* name = available_isas(); *name; ++name) {
    if (std::strcmp(*name, "reference") != 0) all.push_back(select_isa(*name));
  }
  return all;
}

inline std::vector<const Kernels*> tables() {
  std::vector<const Kernels*> all;
  for (const Isa* isa : isas()) all.push_back(&isa->kernels());
  return all;
}

// All kernels of the lists of these tables, each once.
template <class Kernel>
std::vector<const Kernel*> kernels_of(const KernelList<Kernel> Kernels::* list,
                                      const std::vector<const Kernels*>& tables) {
  std::vector<const Kernel*> all;
  for (const Kernels* table : tables) {
    for (int32_t i = 0; i < (table->*list).count(); ++i) {
      const Kernel* kernel = &(table->*list)[i];
      if (std::find(all.begin(), all.end(), kernel) == all.end()) all.push_back(kernel);
    }
  }
  return all;
}

// Every shape fits a kernel of each table.
template <class Kernel>
void check_fits(const KernelList<Kernel> Kernels::* list, const ConvShape& s) {
  for (const Kernels* table : tables()) {
    bool fits = false;
    for (int32_t i = 0; i < (table->*list).count(); ++i) fits = fits || (table->*list)[i].fits(s);
    if (!fits) print(s);
    CHECK(fits, "%s has no kernel for this shape", table->name);
  }
}

}  // namespace onebit::test
