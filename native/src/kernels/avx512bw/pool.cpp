#include "kernels/vector/pool.h"

#include "kernels/avx512/isa.h"
#include "kernels/avx512bw/avx512bw.h"

namespace onebit::avx512bw {

void max_pool(const PoolArgs& args, int64_t begin, int64_t end) { max_pool_rows<Avx512>(args, begin, end); }

void average_pool(const PoolArgs& args, int64_t begin, int64_t end) { average_pool_rows<Avx512>(args, begin, end); }

}  // namespace onebit::avx512bw
