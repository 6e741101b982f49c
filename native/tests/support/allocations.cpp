// Counts what a test allocates. In a file of its own: inlined, the compiler takes free for a mismatch.
#include "allocations.h"

#include <cstdlib>
#include <new>

std::atomic<uint64_t> allocations{0};

void* operator new(std::size_t size) {
  ++allocations;
  if (void* memory = std::malloc(size == 0 ? 1 : size)) return memory;
  throw std::bad_alloc();
}
void* operator new(std::size_t size, const std::nothrow_t&) noexcept {  // a sanitizer's own would not come here
  ++allocations;
  return std::malloc(size == 0 ? 1 : size);
}
void operator delete(void* memory) noexcept { std::free(memory); }
void operator delete(void* memory, std::size_t) noexcept { std::free(memory); }
