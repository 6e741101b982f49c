#include "kernels/vector/pool.h"

#include "kernels/portable/isa.h"
#include "kernels/portable/portable.h"

namespace onebit::portable {

void max_pool(const PoolArgs& args, int64_t begin, int64_t end) { max_pool_rows<Portable>(args, begin, end); }

void average_pool(const PoolArgs& args, int64_t begin, int64_t end) { average_pool_rows<Portable>(args, begin, end); }

}  // namespace onebit::portable
