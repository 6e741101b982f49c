#include "graph/choice.h"

#include <algorithm>
#include <array>
#include <chrono>
#include <cstring>
#include <limits>
#include <map>
#include <mutex>
#include <type_traits>
#include <utility>
#include <vector>

#include "format/bytes.h"
#include "kernels/shape.h"

namespace onebit {
namespace {

using Clock = std::chrono::steady_clock;
using Seconds = std::chrono::duration<double>;

constexpr Seconds kRun{100e-6};                    // about what a run should take at most: long beside the clock
constexpr Seconds kRival{500e-6};                  // and all runs of a kernel
constexpr int kLeastRounds = 2, kMostRounds = 20;  // of one run of each kernel, the shortest of which counts
constexpr double kClearlyLess = 0.97;              // else the one that comes first in the list stays

// The first `rows` rows of the output, and of the input what they read.
ConvShape top_rows(const ConvShape& s, int32_t rows) {
  ConvShape top = s;
  top.out_h = std::min(rows, s.out_h);
  const int64_t read = int64_t{top.out_h - 1} * s.stride_h + int64_t{s.kernel_h - 1} * s.dilation_h + 1 - s.pad_top;
  top.in_h = static_cast<int32_t>(std::clamp<int64_t>(read, 1, s.in_h));
  return top;
}

int64_t input_size(const FloatConvArgs*, const ConvShape& s) { return int64_t{s.in_h} * s.in_w * s.in_c; }
int64_t input_size(const BinaryConvArgs*, const ConvShape& s) { return int64_t{s.in_h} * s.in_w * words_of(s.in_c); }
int64_t input_size(const Int8ConvArgs*, const ConvShape& s) { return int64_t{s.in_h} * s.in_w * s.in_c + kInt8Slack; }

// Aligned as the arena aligns its values: it matters to the clock.
template <class T>
class Array {
 public:
  explicit Array(int64_t size) : size_(size), memory_(allocate_aligned(static_cast<size_t>(size) * sizeof(T))) {}
  T* begin() const { return reinterpret_cast<T*>(memory_.get()); }
  T* end() const { return begin() + size_; }

 private:
  int64_t size_;
  AlignedMemory memory_;
};

// Made-up data of a shape, all rows of it or some, and a run of a kernel on it.
template <class Args>
class Trial {
 public:
  explicit Trial(const ConvShape& shape)
      : shape_(shape),
        input_(input_size(static_cast<Args*>(nullptr), shape)),
        factors_(shape.out_c),
        output_(rows_of(shape) * shape.out_w * shape.out_c) {
    std::fill(factors_.begin(), factors_.end(), 0.5f);
    std::fill(output_.begin(), output_.end(), 0.0f);
    uint32_t random = 1;
    for (Element& element : input_) {
      random = random * 1664525u + 1013904223u;
      element = static_cast<Element>(sizeof(Element) == 1 ? random >> 24 : random >> 1);
    }
  }

  template <class Kernel>
  Seconds run(const Kernel& kernel, const void* weight) {
    const Args args = arguments(weight);
    const auto start = Clock::now();
    kernel.run(args, 0, kernel.units(shape_));
    return Clock::now() - start;
  }

 private:
  using Element = std::remove_const_t<std::remove_pointer_t<decltype(Args::input)>>;

  Args arguments(const void* weight) {
    const Epilogue epilogue{factors_.begin(), factors_.begin(), nullptr, nullptr, nullptr, Activation::none};
    if constexpr (std::is_same_v<Args, BinaryConvArgs>) {
      return {shape_, 0, input_.begin(), weight, epilogue, nullptr, output_.begin(), nullptr};
    } else {
      return {shape_, input_.begin(), weight, epilogue, output_.begin()};
    }
  }

  const ConvShape shape_;
  Array<Element> input_;
  Array<float> factors_, output_;
};

template <class Args, class... Weight>
int32_t fastest(const KernelList<ConvKernel<Args, Weight...>>& list, const std::vector<int32_t>& rivals,
                const ConvShape& shape) {
  std::vector<AlignedMemory> weights;
  for (const int32_t rival : rivals) {
    const size_t bytes = list[rival].pack_bytes(shape);
    weights.push_back(allocate_aligned(bytes));
    std::memset(weights.back().get(), 0, bytes);  // what weights say costs nothing
  }
  Trial<Args> row(top_rows(shape, 1));
  row.run(list[rivals[0]], weights[0].get());  // into the caches
  const Seconds of_row = row.run(list[rivals[0]], weights[0].get());
  const double rows = std::min(kRun / std::max(of_row, Seconds{1e-9}) + 1, static_cast<double>(shape.out_h));
  Trial<Args> trial(top_rows(shape, static_cast<int32_t>(rows)));
  std::vector<Seconds> shortest(rivals.size(), Seconds::max());
  const auto end = Clock::now() + static_cast<double>(rivals.size()) * kRival;
  for (int round = 0; round < kLeastRounds || (round < kMostRounds && Clock::now() < end); ++round) {
    for (size_t i = 0; i < rivals.size(); ++i)
      shortest[i] = std::min(shortest[i], trial.run(list[rivals[i]], weights[i].get()));
  }
  size_t best = 0;
  for (size_t i = 1; i < rivals.size(); ++i)
    if (shortest[i] < kClearlyLess * shortest[best]) best = i;
  return rivals[best];
}

template <class Kernel>
int32_t choose(const KernelList<Kernel>& list, const ConvShape& shape) {
  std::vector<int32_t> rivals;
  for (int32_t i = 0; i < list.count(); ++i) {
    if (!list[i].fits(shape)) continue;
    if (!list[i].rival && rivals.empty()) return i;
    if (list[i].rival) rivals.push_back(i);
  }
  return rivals.size() == 1 ? rivals[0] : fastest(list, rivals, shape);
}

}  // namespace

template <class Kernel>
int32_t choose_kernel(const KernelList<Kernel>& list, const ConvShape& shape) {
  using Sides = std::array<int32_t, sizeof(ConvShape) / sizeof(int32_t)>;
  static std::mutex mutex;
  static std::map<std::pair<const void*, Sides>, int32_t> chosen;
  Sides sides;
  std::memcpy(sides.data(), &shape, sizeof shape);
  const std::lock_guard lock(mutex);
  const auto known = chosen.find({&list, sides});
  if (known != chosen.end()) return known->second;
  return chosen.emplace(std::make_pair(&list, sides), choose(list, shape)).first->second;
}

template int32_t choose_kernel(const KernelList<FloatConvKernel>&, const ConvShape&);
template int32_t choose_kernel(const KernelList<BinaryConvKernel>&, const ConvShape&);
template int32_t choose_kernel(const KernelList<Int8ConvKernel>&, const ConvShape&);

}  // namespace onebit
