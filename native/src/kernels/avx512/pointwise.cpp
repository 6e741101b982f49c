#include "kernels/vector/pointwise.h"

#include "kernels/avx512/avx512.h"
#include "kernels/avx512/isa.h"

namespace onebit::avx512 {

void pointwise(const PointwiseArgs& args, int64_t begin, int64_t end) { pointwise_rows<Avx512>(args, begin, end); }

}  // namespace onebit::avx512
