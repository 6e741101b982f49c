#include "kernels/vector/pointwise.h"

#include "kernels/portable/isa.h"
#include "kernels/portable/portable.h"

namespace onebit::portable {

void pointwise(const PointwiseArgs& args, int64_t begin, int64_t end) { pointwise_rows<Portable>(args, begin, end); }

}  // namespace onebit::portable
