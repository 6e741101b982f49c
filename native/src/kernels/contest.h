// A contest of kernels by the clock: which of those that give the same bits is the fastest for a convolution.
//
// Other load on the machine makes a run longer, never shorter, so the shortest run of a kernel counts. But a
// disturbance may last for milliseconds, and hit some kernels more than others (tiles more than vectors, where another
// thread has the same core). So the contests of a plan are held together, in rounds: the runs of a kernel are spread
// over the time that all take. And a kernel that comes later in the list must lead for longer than the first.
#pragma once

#include <algorithm>
#include <chrono>
#include <cstring>
#include <memory>
#include <type_traits>
#include <utility>
#include <vector>

#include "base/bytes.h"
#include "kernels/kernels.h"
#include "kernels/shape.h"

namespace onebit {

class Contest {
 public:
  using Seconds = std::chrono::duration<double>;

  // `candidates` are places in a list, in order of preference.
  explicit Contest(std::vector<int32_t> candidates)
      : candidates_(std::move(candidates)), shortest_(candidates_.size(), Seconds::max()) {}
  virtual ~Contest() = default;

  // Some runs of each candidate, in turns.
  void hold_round() {
    for (int turn = 0; turn < turns_; ++turn)
      for (size_t i = 0; i < candidates_.size(); ++i) shortest_[i] = std::min(shortest_[i], run(i));
    ++held_;
  }

  bool decided() const { return held_ >= (leader() == 0 ? rounds_ : max_rounds_); }

  int32_t winner() const { return candidates_[leader()]; }

 protected:
  static constexpr Seconds kRun{200e-6};  // about what a run should take at most: all rows of most layers

  // The time of one run of a candidate.
  virtual Seconds run(size_t candidate) = 0;

  // Sets how many runs follow, if one of the fastest kernel takes so long.
  void plan(Seconds run) {
    const auto within = [](double count, double max) { return static_cast<int>(std::clamp(count, 2.0, max)); };
    turns_ = within(kBudget / kRounds / run, kTurns);  // the first one into the caches
    const Seconds round = turns_ * run;
    rounds_ = within(kBudget / round, kRounds);
    max_rounds_ = within(kPatience * kBudget / round, kPatience * kRounds);
  }

  const std::vector<int32_t> candidates_;

 private:
  static constexpr Seconds kBudget{1e-3};           // about what a kernel's runs should take, if four runs do
  static constexpr double kRounds = 4, kTurns = 5;  // at most, within the budget
  static constexpr double kPatience = 4;            // budgets before a kernel is taken that comes later in the list
  static constexpr double kClearlyLess = 0.97;      // else the one that comes first in the list stays

  // The leader's place among the candidates.
  size_t leader() const {
    size_t best = 0;
    for (size_t i = 1; i < candidates_.size(); ++i)
      if (shortest_[i] < kClearlyLess * shortest_[best]) best = i;
    return best;
  }

  std::vector<Seconds> shortest_;
  int turns_ = 0, rounds_ = 0, max_rounds_ = 0, held_ = 0;
};

// Holds the contests in turns until all are decided.
inline void hold(const std::vector<std::unique_ptr<Contest>>& contests) {
  for (bool more = true; more;) {
    more = false;
    for (const std::unique_ptr<Contest>& contest : contests) {
      if (contest->decided()) continue;
      contest->hold_round();
      more = true;
    }
  }
}

// The first `rows` rows of the output, and the rows of the input that they read.
inline ConvShape top_rows(const ConvShape& s, int32_t rows) {
  ConvShape top = s;
  top.out_h = std::min(rows, s.out_h);
  const int64_t read = int64_t{top.out_h - 1} * s.stride_h + int64_t{s.kernel_h - 1} * s.dilation_h + 1 - s.pad_top;
  top.in_h = static_cast<int32_t>(std::clamp<int64_t>(read, 1, s.in_h));
  return top;
}

// Made-up data of a shape, with all of its rows or some, and a run of a kernel on it.
template <class Clock, class Args>
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
  Contest::Seconds run(const Kernel& kernel, const void* weight) {
    const Args args = arguments(weight);
    const auto start = Clock::now();
    kernel.run(args, 0, kernel.units(shape_));
    return Clock::now() - start;
  }

 private:
  using Element = std::remove_const_t<std::remove_pointer_t<decltype(Args::input)>>;

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

  static int64_t input_size(const FloatConvArgs*, const ConvShape& s) { return inputs_of(s) * s.in_c; }
  static int64_t input_size(const BinaryConvArgs*, const ConvShape& s) { return inputs_of(s) * words_of(s.in_c); }
  static int64_t input_size(const Int8ConvArgs*, const ConvShape& s) { return inputs_of(s) * s.in_c + kInt8Slack; }

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

// A contest of kernels of one kind of convolution.
template <class Clock, class Kernel>
class ConvContest;

template <class Clock, class Args, class... Weight>
class ConvContest<Clock, ConvKernel<Args, Weight...>> : public Contest {
 public:
  using List = KernelList<ConvKernel<Args, Weight...>>;

  ConvContest(const List& list, std::vector<int32_t> candidates, const ConvShape& shape)
      : Contest(std::move(candidates)), list_(list) {
    size_t bytes = 0;
    for (const int32_t candidate : candidates_) bytes = std::max(bytes, list[candidate].pack_bytes(shape));
    weights_ = allocate_aligned(bytes);
    std::memset(weights_.get(), 0x5a, bytes);  // not 0, which some units multiply in less time
    trial_ = std::make_unique<Trial<Clock, Args>>(top_rows(shape, 1));
    Seconds of_row{1};
    for (int round = 0; round < 2; ++round)  // the first one into the caches
      for (size_t i = 0; i < candidates_.size(); ++i) of_row = std::min(of_row, run(i));
    of_row = std::max(of_row, Seconds{1e-9});
    const double rows = std::min(kRun / of_row + 1, static_cast<double>(shape.out_h));
    trial_ = std::make_unique<Trial<Clock, Args>>(top_rows(shape, static_cast<int32_t>(rows)));
    plan(rows * of_row);
  }

 private:
  Seconds run(size_t candidate) override { return trial_->run(list_[candidates_[candidate]], weights_.get()); }

  const List& list_;
  AlignedMemory weights_;  // shared by all candidates: their values do not matter
  std::unique_ptr<Trial<Clock, Args>> trial_;
};

}  // namespace onebit
