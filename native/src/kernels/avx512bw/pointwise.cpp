#include "kernels/vector/pointwise.h"

#include "kernels/avx512/isa.h"
#include "kernels/avx512bw/avx512bw.h"

namespace onebit::avx512bw {

void pointwise(const PointwiseArgs& args, int64_t begin, int64_t end) { pointwise_rows<Avx512>(args, begin, end); }

}  // namespace onebit::avx512bw
