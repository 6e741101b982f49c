// The definition of the passes of the head, to which those of other sets are held equal: plain loops.
#include "kernels/head.h"

#include <algorithm>

#include "integer/quantizer.h"
#include "integer/random.h"
#include "integer/softmax.h"
#include "kernels/portable/tables.h"

namespace onebit::portable {
namespace {

using namespace integer;

HeadRange range(const int16_t* values, int64_t count) {
  HeadRange range = {0, 0};
  for (int64_t i = 0; i < count; ++i) {
    range.low = std::min<int32_t>(range.low, values[i]);
    range.high = std::max<int32_t>(range.high, values[i]);
  }
  return range;
}

void quantize(const HeadQuantizeArgs& args) {
  const WeightQuantizer quantizer = {args.span, args.zero};
  for (int64_t k = 0; k < args.rows; ++k) {
    const int16_t* masters = args.masters + k * args.width;
    int16_t* weights = args.weights + k * head_pitch(args.width);
    for (int64_t i = 0; i < args.width; ++i) weights[i] = quantizer(masters[i]);
  }
}

void scores(const HeadScoresArgs& args) {
  for (int64_t k = 0; k < args.rows; ++k) {
    const int16_t* weights = args.weights + k * head_pitch(args.width);
    for (int64_t s = 0; s < args.samples; ++s) {
      int32_t sum = 0;
      for (int64_t i = 0; i < args.width; ++i) sum += int32_t{weights[i]} * args.inputs[s][i];
      args.scores[k * args.scores_step + s] = sum;
    }
  }
}

void errors(const HeadErrorsArgs& args) {
  const Factor factor = {args.mantissa, args.shift};
  for (int64_t s = 0; s < args.samples; ++s) {
    int32_t top = args.scores[s];
    for (int64_t k = 0; k < args.rows; ++k) top = std::max(top, args.scores[k * kGroup + s]);
    int64_t sum = 0;
    for (int64_t k = 0; k < args.rows; ++k) {
      int32_t& score = args.scores[k * kGroup + s];
      score = static_cast<int32_t>(softmax_power(int64_t{top} - score, factor));
      sum += score;
    }
    for (int64_t k = 0; k < args.rows; ++k) {
      const int64_t p = round_div(int64_t{kLevels} * args.scores[k * kGroup + s], sum);
      const int64_t error = round_shift(p - (k == args.targets[s] ? kLevels : 0), 1);
      args.errors[k * kGroup + s] = static_cast<int16_t>(clamp<-128, 127>(error));
    }
  }
}

// Row after row.
void pack(const int16_t* const* rows, int64_t terms, int64_t width, int16_t* packed) {
  for (int64_t j = 0; j < terms; ++j) std::copy_n(rows[j], width, packed + j * width);
}

void product(const HeadProductArgs& args) {
  for (int64_t r = 0; r < args.rows; ++r) {
    int32_t* sums = args.sums + r * args.sums_step;
    for (int64_t j = 0; j < args.terms; ++j) {
      const int32_t factor = args.factors[r * args.factors_step + j];
      const int16_t* row = args.packed + j * args.width;
      for (int64_t i = 0; i < args.width; ++i) sums[i] += factor * row[i];
    }
  }
}

void update(const HeadUpdateArgs& args) {
  const Factor rate = {args.mantissa, args.shift};
  for (int64_t i = 0; i < args.count; ++i) {
    if (args.gradient[i] == 0) continue;
    const int64_t step = (multiply(args.gradient[i], rate, 16) + noise16(args.key, static_cast<uint32_t>(i))) >> 16;
    args.masters[i] = saturate16(args.masters[i] - step);
  }
}

}  // namespace

const HeadKernels& head() {
  static constexpr HeadKernels table = {"portable", range, quantize, scores, errors, pack, product, update};
  return table;
}

}  // namespace onebit::portable
