#include "kernels/vector/pointwise.h"

#include "kernels/neon/isa.h"
#include "kernels/neon/neon.h"

namespace onebit::neon {

void pointwise(const PointwiseArgs& args, int64_t begin, int64_t end) { pointwise_rows<Neon>(args, begin, end); }

}  // namespace onebit::neon
