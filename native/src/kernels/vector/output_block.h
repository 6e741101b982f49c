#pragma once

#include "kernels/shape.h"

namespace onebit {
namespace {

// A run of output channels of one group.
template <class Isa>
class OutputBlock {
 public:
  explicit OutputBlock(const ConvShape& s)
      : per_group_(s.out_c / s.groups), group_words_(s.in_c / s.groups / 32), end_(s.out_c) {
    measure();
  }
  bool done() const { return first_ == end_; }
  void next() {
    first_ += outputs_;
    measure();
  }
  int64_t first() const { return first_; }
  int64_t first_word() const { return first_word_; }
  int64_t outputs() const { return outputs_; }
  int64_t width() const { return round_up(outputs_, Isa::kGranule); }

 private:
  void measure() {
    const int64_t left = per_group_ - first_ % per_group_;
    outputs_ = left < Isa::kOutputs ? left : Isa::kOutputs;
    first_word_ = first_ / per_group_ * group_words_;
  }
  int64_t per_group_, group_words_, end_, first_ = 0, outputs_ = 0, first_word_ = 0;
};

}  // namespace
}  // namespace onebit
