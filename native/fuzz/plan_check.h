// One random graph, run in every way: an instruction set's plan by a session and in any order, and the compiled
// program, all against the interpreter, bit for bit.
#pragma once

#include <cstdio>
#include <cstdlib>

#include "any_order.h"
#include "base/error.h"
#include "graph/program.h"
#include "graph/session.h"
#include "interpreter.h"
#include "kernels/registry.h"
#include "onebit/embedded.h"
#include "random_graph.h"

namespace onebit::fuzz {

class PlanCheck {
 public:
  explicit PlanCheck(Choices choices)
      : batch_(choices.between(1, 3)),
        count_(choices.between(1, batch_)),
        threads_(choices.between(1, 3)),
        random_(choices.below(256)),
        ways_{choices.below(256), choices.below(256), choices.below(256)},
        writer_(RandomGraph(choices).make()),
        model_(read(writer_.bytes())) {}

  // These abort, saying what differs, if anything does.
  void run_everywhere() {
    prepare();
    for (const char* const* isa = available_isas(); *isa != nullptr; ++isa) run_on(select_isa(*isa)->kernels());
    run_program();
  }
  void run_on_one() {  // that the choices name
    prepare();
    const char* const* isas = available_isas();
    size_t count = 0;
    while (isas[count] != nullptr) ++count;
    run_on(select_isa(isas[ways_[1] % count])->kernels());
    if (ways_[2] % 4 == 0) run_program();
  }

  bool is_defined() const { return defined_; }

  // What the last plan had.
  struct Reached {
    size_t steps = 0, row_blocks = 0, bits_beside = 0, in_place = 0;
  };
  const Reached& reached() const { return reached_; }

 private:
  static std::shared_ptr<const Model> read(test::Buffer file) {
    file.insert(file.begin(), 0);  // not aligned, and so copied: the model owns its bytes
    try {
      return read_model(Bytes::from_memory(file.data() + 1, file.size() - 1));
    } catch (const Error& error) {
      std::fprintf(stderr, "a valid graph was refused: %s\n", error.message.c_str());
      std::abort();
    }
  }

  void prepare() {
    choose_outputs();
    const size_t elements = model_->input_value().elements();
    for (size_t i = 0; i < elements * static_cast<size_t>(count_); ++i)
      input_.push_back(random_() % 50 == 0 ? -0.0f : static_cast<float>(random_() % 4001) / 1000.0f - 2.0f);
    interpret();
  }

  // All, or some of them in any order and perhaps twice.
  void choose_outputs() {
    const auto& all = model_->outputs;
    if (ways_[0] % 2 == 0)
      for (const uint32_t way : ways_) names_.push_back(all[way / 2 % all.size()].name);
    names_.resize(std::min<size_t>(names_.size(), ways_[0] / 64 + 1));
    for (const std::string& name : names_) wanted_.push_back(all[std::stoul(name)].value);
    if (names_.empty())
      for (const Output& output : all) wanted_.push_back(output.value);
  }

  void interpret() {
    Interpreter interpreter(*model_);
    expected_.resize(wanted_.size());
    for (int32_t i = 0; i < count_; ++i) {
      interpreter.run(&input_[static_cast<size_t>(i) * model_->input_value().elements()]);
      defined_ = defined_ && interpreter.is_defined();
      for (size_t k = 0; k < wanted_.size(); ++k) {
        const std::vector<float>& value = interpreter.value(wanted_[k]);
        expected_[k].insert(expected_[k].end(), value.begin(), value.end());
      }
    }
  }

  void run_on(const Kernels& kernels) {
    auto weights = std::make_shared<const PackedWeights>(*model_, kernels);
    const auto plan = std::make_shared<const Plan>(model_, kernels, std::move(weights), batch_, threads_, names_);
    reached_ = {plan->steps.size()};
    for (const Step& step : plan->steps) {
      reached_.row_blocks += step.block_rows > 0;
      reached_.bits_beside += step.bits_interval.base != Base::nowhere;
      reached_.in_place += step.residual.base == Base::arena && step.residual.offset == step.output.offset;
    }
    Session session(plan);
    for (const char* round : {"a session", "a session's second run"})
      compare(kernels.name, round, [&](float* const* outputs) { session.run(input_.data(), count_, outputs); });
    AnyOrder any_order(*plan, static_cast<uint32_t>(random_()));
    compare(kernels.name, "any order", [&](float* const* outputs) { any_order.run(input_.data(), count_, outputs); });
  }

  void run_program() {
    if (std::find(wanted_.begin(), wanted_.end(), model_->input) != wanted_.end()) return;  // a program refuses that
    const AlignedMemory program = compile(model_, names_);
    if (onebit_program_check(program.get(), onebit_program_bytes(program.get())) != ONEBIT_OK)
      fail("portable", "a program's check");
    const size_t bytes = onebit_program_arena_bytes(program.get());
    const AlignedMemory arena = allocate_aligned(bytes);
    std::memset(arena.get(), 0xFF, bytes);
    const size_t elements = model_->input_value().elements();
    compare("portable", "a program", [&](float* const* outputs) {
      for (size_t i = 0; i < static_cast<size_t>(count_); ++i) {
        onebit_program_run(program.get(), arena.get(), bytes, &input_[i * elements]);
        for (size_t k = 0; k < wanted_.size(); ++k) {
          const size_t size = model_->values[wanted_[k]].elements();
          const float* output = onebit_program_output(program.get(), arena.get(), k);
          std::copy(output, output + size, outputs[k] + i * size);
        }
      }
    });
  }

  template <class Run>
  void compare(const char* isa, const char* way, const Run& run) const {
    std::vector<std::vector<float>> got;
    std::vector<float*> pointers;
    for (const std::vector<float>& output : expected_) got.emplace_back(output.size(), 12345.0f);
    for (std::vector<float>& output : got) pointers.push_back(output.data());
    run(pointers.data());
    if (!defined_) return;
    for (size_t k = 0; k < got.size(); ++k) {
      if (std::memcmp(got[k].data(), expected_[k].data(), got[k].size() * sizeof(float)) == 0) continue;
      for (size_t i = 0; i < got[k].size(); ++i) {
        const float a = got[k][i], b = expected_[k][i];
        if (std::memcmp(&a, &b, sizeof a) == 0 || (std::isnan(a) && std::isnan(b))) continue;
        std::fprintf(stderr, "wanted output %zu, element %zu: %.9g instead of %.9g\n", k, i, double(a), double(b));
        fail(isa, way);
      }
    }
  }

  [[noreturn]] void fail(const char* isa, const char* way) const {
    std::fprintf(stderr, "%s, %s, batch %d, %d samples, %d threads:\n", isa, way, batch_, count_, threads_);
    for (const Value& value : model_->values)
      std::fprintf(stderr, "  value %td: %s %u x %u x %u\n", &value - model_->values.data(),
                   value.type == ValueType::f32 ? "f32" : "bits", value.h, value.w, value.c);
    for (const auto& node : writer_.nodes) {
      std::fprintf(stderr, "  %s:", node.name.c_str());
      for (const uint32_t input : node.inputs) std::fprintf(stderr, " %u", input);
      std::fprintf(stderr, " -> %u,", node.output);
      for (const int32_t attribute : node.attributes) std::fprintf(stderr, " %d", attribute);
      std::fprintf(stderr, "\n");
    }
    std::fprintf(stderr, "  wanted:");
    for (const uint32_t value : wanted_) std::fprintf(stderr, " %u", value);
    std::fprintf(stderr, "\n");
    std::abort();
  }

  const int32_t batch_, count_;
  const int threads_;
  std::mt19937 random_;
  const uint32_t ways_[3];
  const test::FileWriter writer_;
  const std::shared_ptr<const Model> model_;
  std::vector<std::string> names_;
  std::vector<uint32_t> wanted_;  // values
  std::vector<float> input_;
  std::vector<std::vector<float>> expected_;
  bool defined_ = true;
  Reached reached_;
};

}  // namespace onebit::fuzz
