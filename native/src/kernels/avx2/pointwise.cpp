#include "kernels/vector/pointwise.h"

#include "kernels/avx2/avx2.h"
#include "kernels/avx2/isa.h"

namespace onebit::avx2 {

void pointwise(const PointwiseArgs& args, int64_t begin, int64_t end) { pointwise_rows<Avx2>(args, begin, end); }

}  // namespace onebit::avx2
