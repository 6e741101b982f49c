// The gradients of a tail's values while a mini-batch goes backward: 16-bit integers G with a unit in binary64, which
// is the same for all elements of a value (docs/learner.md).
#pragma once

#include <atomic>
#include <cmath>
#include <cstdint>
#include <vector>

#include "base/scratch.h"
#include "base/thread_pool.h"
#include "kernels/tail.h"
#include "learner/tail/arithmetic.h"
#include "learner/tail/tail.h"

namespace onebit::learner {

// The largest of what part(begin, end, thread) returns for parts of [0, rows); at least 0.
template <class Part>
int64_t max_over(ThreadPool& pool, int64_t rows, const Part& part) {
  std::atomic<int64_t> max{0};
  pool.split(rows, [&](int64_t begin, int64_t end, size_t thread) {
    const int64_t here = part(begin, end, thread);
    int64_t known = max;
    while (known < here && !max.compare_exchange_weak(known, here)) continue;
  });
  return max;
}

class Gradients {
 public:
  Gradients(const Tail& tail, const TailKernels& kernels, ThreadPool& pool)
      : tail_(tail), kernels_(kernels), pool_(pool) {}

  // Takes all memory; the functions below take none.
  void reserve(uint32_t batch);

  // Begins a mini-batch of so many samples, with all gradients zero.
  void start(int64_t samples) { samples_ = samples; }

  // Whether a value has a gradient; it is zero everywhere otherwise.
  bool present(size_t value) const { return gradients_[value].present; }
  double unit(size_t value) const { return gradients_[value].unit; }
  int16_t* of(size_t value) const { return places_[gradients_[value].place].data(); }

  // The value's gradient is not needed any more.
  void release(size_t value) { gradients_[value].present = false; }

  // Adds normalise(T, unit 2^-fraction) of docs/learner.md to a value's gradient, with T in parts of [0, rows):
  // largest(begin, end, thread) returns the largest |T|; round(begin, end, thread, shift, to) writes
  // round_shift(T, shift), of the whole batch, to `to`.
  template <class Largest, class Round>
  void add(size_t value, double unit, int fraction, int64_t rows, const Largest& largest, const Round& round) {
    const int64_t max = max_over(pool_, rows, largest);
    if (max == 0) return;
    const int shift = to_16_bits(max);
    pool_.split(rows, [&](int64_t begin, int64_t end, size_t thread) {
      round(begin, end, thread, shift, contribution_.data());
    });
    accept(value, std::ldexp(unit, shift - fraction));
  }

  // The same where T is in memory, of the whole batch, and the fraction 0.
  void add(size_t value, double unit, const int32_t* values);
  // Adds the gradient of a value to that of another.
  void add_gradient(size_t from, size_t to);

 private:
  struct Gradient {
    double unit = 0;
    bool present = false;
    size_t place = 0;
  };

  int64_t elements(size_t value) const { return samples_ * tail_.values[value].elements(); }
  // Adds contribution_, which is not all zeros.
  void accept(size_t value, double unit);

  const Tail& tail_;
  const TailKernels& kernels_;
  ThreadPool& pool_;
  int64_t samples_ = 0;
  std::vector<Gradient> gradients_;       // one per value
  std::vector<Scratch<int16_t>> places_;  // their memory, which several take in turn
  Scratch<int16_t> contribution_;
};

}  // namespace onebit::learner
