#include "kernels/vector/quantize.h"

#include "kernels/avx512/avx512.h"
#include "kernels/avx512/isa.h"

namespace onebit::avx512 {

void quantize(const QuantizeArgs& args, int64_t begin, int64_t end) { quantize_rows<Avx512::kLanes>(args, begin, end); }

}  // namespace onebit::avx512
