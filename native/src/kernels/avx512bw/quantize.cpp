#include "kernels/vector/quantize.h"

#include "kernels/avx512bw/avx512bw.h"

namespace onebit::avx512bw {

void quantize(const QuantizeArgs& args, int64_t begin, int64_t end) { quantize_rows(args, begin, end); }

}  // namespace onebit::avx512bw
