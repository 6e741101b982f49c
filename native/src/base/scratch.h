// Memory that a backend keeps from call to call and from layer to layer.
#pragma once

#include <cstdint>

#include "base/bytes.h"

namespace onebit {

template <class T>
class Scratch {
 public:
  // At least `size` elements, 64-byte aligned; they hold whatever the last user left. Throws std::bad_alloc.
  T* at_least(int64_t size) {
    if (size > size_) {
      memory_ = allocate_aligned(static_cast<size_t>(size) * sizeof(T));
      size_ = size;
    }
    return data();
  }

  T* data() const { return reinterpret_cast<T*>(memory_.get()); }

 private:
  AlignedMemory memory_;
  int64_t size_ = 0;
};

}  // namespace onebit
