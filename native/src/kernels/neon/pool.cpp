#include "kernels/vector/pool.h"

#include "kernels/neon/isa.h"
#include "kernels/neon/neon.h"

namespace onebit::neon {

void max_pool(const PoolArgs& args, int64_t begin, int64_t end) { max_pool_rows<Neon>(args, begin, end); }

void average_pool(const PoolArgs& args, int64_t begin, int64_t end) { average_pool_rows<Neon>(args, begin, end); }

}  // namespace onebit::neon
