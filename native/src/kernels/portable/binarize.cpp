#include "kernels/vector/binarize.h"

#include "kernels/portable/isa.h"
#include "kernels/portable/portable.h"

namespace onebit::portable {

void binarize(const BinarizeArgs& args, int64_t begin, int64_t end) { binarize_rows<Portable>(args, begin, end); }

}  // namespace onebit::portable
