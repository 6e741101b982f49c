// What a learner does where the model has a teachable tail: it is handed latents instead of features, whose signs alone
// matter.
#pragma once

#include <memory>

#include "learner/experience.h"

namespace onebit::learner {

class Teachable {
 public:
  explicit Teachable(std::shared_ptr<const Tail> tail);

  const Tail& tail() const { return *tail_; }
  size_t width() const { return static_cast<size_t>(tail_->latents().elements()); }  // floats a sample

  // Answers with these masters from now on; the parameters are read in place.
  void load(const TailMasters& masters) { network_.load(masters); }

  // latents: up to kAtOnce samples x width(); levels: rows of numbers.width() levels.
  static constexpr size_t kAtOnce = 16;
  void features(const Numbers& numbers, const float* latents, size_t count, int16_t* levels);

  // One experience. Throws Error if the mini-batch is too large.
  void teach(const Numbers& numbers, State& state, const float* latents, const std::vector<uint32_t>& slots,
             const TrainOptions& options) const;

 private:
  std::vector<uint32_t> pack(const float* latents, size_t count) const;

  std::shared_ptr<const Tail> tail_;
  TailNetwork network_;
};

}  // namespace onebit::learner
