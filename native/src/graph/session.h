// The memory and the threads of one run. Running neither allocates nor throws.
#pragma once

#include <memory>
#include <vector>

#include "base/thread_pool.h"
#include "graph/plan.h"

namespace onebit {

class Session {
 public:
  // Throws std::bad_alloc or std::system_error.
  explicit Session(std::shared_ptr<const Plan> plan);

  const Plan& plan() const { return *plan_; }

  // input: count images of floats; outputs: a buffer for each output of the plan.
  void run(const float* input, int32_t count, float* const* outputs) noexcept;

  // Nanoseconds of each node of the model in the last run; 0 for one that is not needed or that ran within another.
  const std::vector<uint64_t>& times() const { return times_; }

 private:
  void run_one(const Step& step, const Bases& bases, uint64_t work, int32_t count) noexcept;

  std::shared_ptr<const Plan> plan_;
  ThreadPool pool_;
  Pages arena_, scratch_;
  std::vector<uint64_t> work_;  // per step, for one sample, roughly in nanoseconds
  std::vector<uint64_t> times_;
};

}  // namespace onebit
