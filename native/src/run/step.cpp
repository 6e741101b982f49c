#include "run/step.h"

#include <cstring>

#include "kernels/shape.h"
#include "run/strips.h"

namespace onebit {
namespace {

// The sides of one sample's output.
int64_t out_rows(const Step& step, int32_t batch) { return int64_t{batch} * step.shape.out_h; }

void pad_channels(const Step& step, const Bases& bases, int64_t begin, int64_t end) {
  const ConvShape& s = step.shape;
  const float* input = read<float>(step.input, bases) + begin * s.in_w * s.in_c;
  float* output = write<float>(step.output, bases) + begin * s.in_w * s.out_c;
  const int64_t pixels = (end - begin) * s.in_w;
  std::memset(output, 0, static_cast<size_t>(pixels * s.out_c) * sizeof(float));
  for (int64_t i = 0; i < pixels; ++i) {
    std::memcpy(output + i * s.out_c + step.channels_before, input + i * s.in_c,
                static_cast<size_t>(s.in_c) * sizeof(float));
  }
}

}  // namespace

int64_t step_units(const Step* step, const Kernels& kernels, int32_t batch) noexcept {
  if (step->strip_rows > 0) return strip_count(step[1], step->strip_rows) * batch;
  ConvShape shape = step->shape;
  shape.batch = batch;
  switch (step->kind) {
    case StepKind::float_conv: return kernels.float_conv[step->kernel].units(shape);
    case StepKind::binary_conv: return kernels.binary_conv[step->kernel].units(shape);
    case StepKind::int8_conv: return kernels.int8_conv[step->kernel].units(shape);
    default: return out_rows(*step, batch);
  }
}

void run_step(const Step* step, const Kernels& kernels, const Bases& bases, int32_t batch, int64_t begin,
              int64_t end) noexcept {
  if (step->strip_rows > 0) return run_strips(step[0], step[1], kernels, bases, begin, end);
  switch (step->kind) {
    case StepKind::float_conv:
      return kernels.float_conv[step->kernel].run(float_conv_args(*step, bases, batch), begin, end);
    case StepKind::binary_conv:
      return kernels.binary_conv[step->kernel].run(binary_conv_args(*step, bases, batch), begin, end);
    case StepKind::int8_conv:
      return kernels.int8_conv[step->kernel].run(int8_conv_args(*step, bases, batch), begin, end);
    case StepKind::quantize: return kernels.quantize(quantize_args(*step, bases, batch), begin, end);
    case StepKind::binarize: return kernels.binarize(binarize_args(*step, bases), begin, end);
    case StepKind::pointwise: return kernels.pointwise(pointwise_args(*step, bases), begin, end);
    case StepKind::max_pool: return kernels.max_pool(pool_args(*step, bases, batch), begin, end);
    case StepKind::average_pool: return kernels.average_pool(pool_args(*step, bases, batch), begin, end);
    case StepKind::pad_channels: return pad_channels(*step, bases, begin, end);
  }
}

}  // namespace onebit
