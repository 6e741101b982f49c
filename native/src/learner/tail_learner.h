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

  // latents: up to kAtOnce samples x width(); levels: rows of numbers.width() levels.
  static constexpr size_t kAtOnce = 16;
  void features(const Numbers& numbers, const TailMasters& masters, const float* latents, size_t count,
                int16_t* levels);
  // Call it before features() where the masters are others, or elsewhere.
  void masters_changed() { network_.reset(); }

  // One experience. Throws Error if the mini-batch is too large.
  void teach(const Numbers& numbers, State& state, const float* latents, const std::vector<uint32_t>& slots,
             const TrainOptions& options);

 private:
  std::vector<uint32_t> pack(const float* latents, size_t count) const;

  std::shared_ptr<const Tail> tail_;
  const Isa* isa_;
  std::unique_ptr<TailNetwork> network_;  // that answers; made when it is asked, so that training has its memory
};

}  // namespace onebit::learner
