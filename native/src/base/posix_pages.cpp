#include <sys/mman.h>

#include <algorithm>
#include <new>

#include "base/pages.h"

namespace onebit {

void PagesDeleter::operator()(uint8_t* memory) const noexcept { ::munmap(memory, size); }

Pages allocate_pages(size_t size) {
  size = std::max<size_t>(size, 1);
  void* memory = ::mmap(nullptr, size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  if (memory == MAP_FAILED) throw std::bad_alloc();
  return {static_cast<uint8_t*>(memory), {size}};
}

}  // namespace onebit
