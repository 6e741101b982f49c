#include "kernels/vector/pool.h"

#include "kernels/avx2/avx2.h"
#include "kernels/avx2/isa.h"

namespace onebit::avx2 {

void max_pool(const PoolArgs& args, int64_t begin, int64_t end) { max_pool_rows<Avx2>(args, begin, end); }

void average_pool(const PoolArgs& args, int64_t begin, int64_t end) { average_pool_rows<Avx2>(args, begin, end); }

}  // namespace onebit::avx2
