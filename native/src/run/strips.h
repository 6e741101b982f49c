// A convolution and the pool that alone reads it, strip by strip: the convolution's output stays in a cache and never
// exists as a whole. Neighbouring strips compute the rows that both pools read twice.
#pragma once

#include "run/args.h"

namespace onebit {

int64_t strip_count(const Step& pool, int32_t strip_rows) noexcept;

// Rows of the convolution that a strip can need at most: what scratch has to hold.
int64_t strip_conv_rows(const Step& pool, int32_t strip_rows) noexcept;

// Strips [begin, end) of batch * strip_count. `conv` is a float_conv or an int8_conv without residual.
void run_strips(const Step& conv, const Step& pool, const Kernels& kernels, const Bases& bases, int64_t begin,
                int64_t end) noexcept;

}  // namespace onebit
