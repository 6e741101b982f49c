#include "kernels/vector/quantize.h"

#include "kernels/avx2/avx2.h"

namespace onebit::avx2 {

void quantize(const QuantizeArgs& args, int64_t begin, int64_t end) { quantize_rows(args, begin, end); }

}  // namespace onebit::avx2
