#include "base/bytes.h"
#include "base/pages.h"

namespace onebit {

void PagesDeleter::operator()(uint8_t* memory) const noexcept { FreeDeleter()(memory); }

Pages allocate_pages(size_t size) { return {allocate_aligned(size).release(), {size}}; }

}  // namespace onebit
