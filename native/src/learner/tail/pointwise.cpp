// A pointwise operator: s is the level of the input, whose gradient is G' M.
#include <cmath>

#include "learner/tail/trained_layer.h"

namespace onebit::learner {
namespace {

class Pointwise final : public TrainedLayer {
 public:
  Pointwise(Workspace& work, size_t index) : TrainedLayer(work, index, 1) {
    sums_.at_least(work.batch * out_.elements());
  }

 private:
  void sum(int64_t begin, int64_t end, size_t) override {
    work_.tail_kernels.levels_of(input_codes(begin), (end - begin) * in_.elements(), in_.quantizer.zero,
                                 sums_.data() + begin * out_.elements());
  }

  void through_sums(int64_t max, const Keys&, double, TailMasters&) override {
    if (spec_.input == 0) return;
    Gradients& gradients = work_.gradients;
    gradients.add(
        spec_.input, gradients.unit(output_) * out_.step() / in_.step(), 16, work_.samples * out_.pixels(),
        [&](int64_t, int64_t, size_t) { return max; },
        [&](int64_t begin, int64_t end, size_t, int shift, int16_t* to) {
          work_.tail_kernels.input({end - begin, out_.c, gradients.of(output_) + begin * out_.c, parameters_}, shift,
                                   to + begin * out_.c);
        });
  }
};

}  // namespace

std::unique_ptr<Layer> make_pointwise(Workspace& work, size_t index) {
  return std::make_unique<Pointwise>(work, index);
}

}  // namespace onebit::learner
