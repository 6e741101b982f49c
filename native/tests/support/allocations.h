#pragma once

#include <atomic>
#include <cstdint>

extern std::atomic<uint64_t> allocations;  // calls of operator new so far
