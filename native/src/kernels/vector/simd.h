// Vectors of N floats or ints, through the compiler's vector types: one source that each instruction set's folder
// compiles with its own flags. N is different in each folder, so no two folders share an instantiation; everything else
// is in an unnamed namespace, because a function merged across folders could run instructions that the CPU lacks.
#pragma once

#include <cstdint>
#include <cstring>

namespace onebit {
namespace {

template <int N>
struct Vector {
  typedef float Float __attribute__((vector_size(N * 4)));
  typedef int32_t Int __attribute__((vector_size(N * 4)));
  typedef uint32_t Unsigned __attribute__((vector_size(N * 4)));
  typedef uint8_t Bytes __attribute__((vector_size(N * 4)));
};

template <int N>
using Float = typename Vector<N>::Float;

template <class V, class T>
inline V load(const T* from) {
  V v;
  std::memcpy(&v, from, sizeof(v));
  return v;
}

// The first `count` elements; the others are zero.
template <class V, class T>
inline V load(const T* from, int64_t count) {
  constexpr int64_t lanes = sizeof(V) / sizeof(T);
  if (count >= lanes) return load<V>(from);
  T partial[lanes] = {};
  for (int64_t i = 0; i < lanes && i < count; ++i) partial[i] = from[i];
  return load<V>(partial);
}

template <class V, class T>
inline void store(T* to, V v, int64_t count) {
  constexpr int64_t lanes = sizeof(V) / sizeof(T);
  if (count >= lanes) {
    std::memcpy(to, &v, sizeof(v));
  } else {
    for (int64_t i = 0; i < lanes && i < count; ++i) to[i] = v[i];
  }
}

}  // namespace
}  // namespace onebit
