// Memory in whole pages straight from the operating system, to which it returns when it is freed. Blocks of megabytes
// that many threads take and free in any order would leave the heap full of holes. Its twins are posix_pages.cpp,
// windows_pages.cpp and, for the address sanitizer, which watches the heap alone, heap_pages.cpp.
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>

namespace onebit {

struct PagesDeleter {
  size_t size = 0;
  void operator()(uint8_t* memory) const noexcept;
};
using Pages = std::unique_ptr<uint8_t, PagesDeleter>;

// `size` bytes, not initialised, aligned to kAlignment at least; throws std::bad_alloc.
Pages allocate_pages(size_t size);

}  // namespace onebit
