#include "graph/session.h"

#include <algorithm>
#include <chrono>
#include <cstring>

#include "graph/operations.h"

namespace onebit {
namespace {

// Nanoseconds of a step below which waking the other threads costs more than they save.
constexpr uint64_t kWorthSplitting = 10000;

// A step's nanoseconds on a fast core, roughly; only compared with kWorthSplitting.
uint64_t work_of(const Model& model, const Step& step) {
  const Node& node = model.nodes[step.node];
  const uint64_t elements = model.values[node.input].elements() + model.values[node.output].elements();
  const uint64_t products = step.kind == StepKind::quantize ? 0 : operations(model, node);
  const uint64_t rate = node.op == Op::conv_binary ? 512 : node.op == Op::conv_int8 ? 128 : 32;
  return elements / 16 + products / rate;
}

}  // namespace

Session::Session(std::shared_ptr<const Plan> plan)
    : plan_(std::move(plan)),
      pool_(plan_->threads),
      arena_(allocate_pages(plan_->arena_bytes)),
      scratch_(allocate_pages(plan_->scratch_bytes * static_cast<uint64_t>(plan_->threads))),
      times_(plan_->model->nodes.size(), 0) {
  for (const Step& step : plan_->steps) work_.push_back(work_of(*plan_->model, step));
}

void Session::run(const float* input, int32_t count, float* const* outputs) noexcept {
  using Clock = std::chrono::steady_clock;
  const Model& model = *plan_->model;
  const Bases bases{arena_.get(), scratch_.get(), plan_->weights->memory.get(), model.bytes.data(),
                    reinterpret_cast<const uint8_t*>(input)};
  std::fill(times_.begin(), times_.end(), 0);
  auto before = Clock::now();
  const std::vector<Step>& steps = plan_->steps;
  for (size_t i = 0; i < steps.size(); ++i) {
    run_one(steps[i], bases, work_[i], count);
    const auto after = Clock::now();
    times_[steps[i].node] +=
        static_cast<uint64_t>(std::chrono::duration_cast<std::chrono::nanoseconds>(after - before).count());
    before = after;
    if (steps[i].block_rows > 0) ++i;  // the pool ran with it
  }
  for (size_t i = 0; i < plan_->outputs.size(); ++i) {
    const Value& value = model.values[model.outputs[plan_->outputs[i]].value];
    std::memcpy(outputs[i], read<uint8_t>(plan_->output_values[i], bases),
                value.bytes() * static_cast<uint64_t>(count));
  }
}

void Session::run_one(const Step& step, const Bases& bases, uint64_t work, int32_t count) noexcept {
  const Kernels& kernels = plan_->kernels;
  const int64_t units = step_units(&step, kernels, count);
  if (work * static_cast<uint64_t>(count) < kWorthSplitting) return run_step(&step, kernels, bases, count, 0, units);
  pool_.split(units, [&](int64_t begin, int64_t end, size_t thread) {
    Bases own = bases;
    own.scratch += plan_->scratch_bytes * thread;
    run_step(&step, kernels, own, count, begin, end);
  });
}

}  // namespace onebit
