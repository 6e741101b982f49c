#include "kernels/vector/quantize.h"

#include "kernels/neon/neon.h"

namespace onebit::neon {

void quantize(const QuantizeArgs& args, int64_t begin, int64_t end) { quantize_rows(args, begin, end); }

}  // namespace onebit::neon
