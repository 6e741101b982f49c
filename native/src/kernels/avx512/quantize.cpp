#include "kernels/vector/quantize.h"

#include "kernels/avx512/avx512.h"

namespace onebit::avx512 {

void quantize(const QuantizeArgs& args, int64_t begin, int64_t end) { quantize_rows(args, begin, end); }

}  // namespace onebit::avx512
