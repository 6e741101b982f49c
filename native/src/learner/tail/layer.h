// A layer of a tail at work, which TailLayer specifies. Each kind has its equations, forward, backward and update, in
// one file.
#pragma once

#include <cstdint>
#include <memory>

#include "integer/random.h"
#include "learner/tail/masters.h"
#include "learner/tail/workspace.h"

namespace onebit::learner {

class Layer {
 public:
  // Layer `index` of the tail. Constructors take all memory of a layer: nothing is allocated and nothing thrown
  // afterwards.
  Layer(Workspace& work, size_t index)
      : work_(work),
        spec_(work.tail.layers[index]),
        in_(work.tail.values[spec_.input]),
        out_(work.tail.values[index + 1]),
        output_(index + 1) {}
  virtual ~Layer() = default;

  // Reads the masters: parameters in place until the next load() or backward(), weights once.
  virtual void load(const TailMasters&) {}

  // Samples [begin, end): codes of the output from those of the input.
  virtual void forward(int64_t begin, int64_t end, size_t thread) = 0;

  // Adds to the gradients of its inputs and takes a step on its masters.
  virtual void backward(double rate, TailMasters& masters, Random& random) = 0;

 protected:
  uint8_t* input_codes(int64_t sample) const { return work_.codes[spec_.input].data() + sample * in_.elements(); }
  uint8_t* output_codes(int64_t sample) const { return work_.codes[output_].data() + sample * out_.elements(); }

  ConvShape shape_of(int64_t samples) const {
    ConvShape shape = spec_.shape;
    shape.batch = static_cast<int32_t>(samples);
    return shape;
  }

  Workspace& work_;
  const TailLayer& spec_;
  const TailValue &in_, &out_;
  const size_t output_;  // the value that it makes
};

// Layer `index`; its file has the kind's name. Convolutions throw Error if sums over a batch could overflow.
std::unique_ptr<Layer> make_binary_conv(Workspace& work, size_t index);
std::unique_ptr<Layer> make_float_conv(Workspace& work, size_t index);
std::unique_ptr<Layer> make_pointwise(Workspace& work, size_t index);
std::unique_ptr<Layer> make_average_pool(Workspace& work, size_t index);  // parameter_free.cpp
std::unique_ptr<Layer> make_max_pool(Workspace& work, size_t index);
std::unique_ptr<Layer> make_pad_channels(Workspace& work, size_t index);

}  // namespace onebit::learner
