#include "kernels/vector/quantize.h"

#include "kernels/portable/portable.h"

namespace onebit::portable {

void quantize(const QuantizeArgs& args, int64_t begin, int64_t end) { quantize_rows(args, begin, end); }

}  // namespace onebit::portable
