#pragma once

#include <atomic>
#include <cstddef>
#include <cstdint>

extern std::atomic<uint64_t> live_bytes;
