#include <algorithm>
#include <new>

#include "base/pages.h"
#include "base/windows_system.h"

namespace onebit {

void PagesDeleter::operator()(uint8_t* memory) const noexcept { ::VirtualFree(memory, 0, MEM_RELEASE); }

Pages allocate_pages(size_t size) {
  size = std::max<size_t>(size, 1);
  void* memory = ::VirtualAlloc(nullptr, size, MEM_RESERVE | MEM_COMMIT, PAGE_READWRITE);
  if (!memory) throw std::bad_alloc();
  return {static_cast<uint8_t*>(memory), {size}};
}

}  // namespace onebit
