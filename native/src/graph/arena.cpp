#include "graph/arena.h"

#include <algorithm>
#include <map>
#include <queue>

#include "base/bytes.h"

namespace onebit {
namespace {

// The stretches of [0, end) that no living value holds, by offset.
class FreeList {
 public:
  explicit FreeList(uint64_t& end) : end_(end) {}

  // The smallest stretch that is large enough, else room at the end.
  uint64_t take(uint64_t bytes) {
    auto best = free_.end();
    for (auto it = free_.begin(); it != free_.end(); ++it)
      if (it->second >= bytes && (best == free_.end() || it->second < best->second)) best = it;
    if (best == free_.end()) return extend(bytes);
    const auto [offset, size] = *best;
    free_.erase(best);
    if (size > bytes) free_[offset + bytes] = size - bytes;
    return offset;
  }

  void give(uint64_t offset, uint64_t bytes) {
    auto next = free_.lower_bound(offset);
    if (next != free_.begin()) {
      auto before = std::prev(next);
      if (before->first + before->second == offset) {
        offset = before->first;
        bytes += before->second;
        free_.erase(before);
      }
    }
    if (next != free_.end() && offset + bytes == next->first) {
      bytes += next->second;
      free_.erase(next);
    }
    free_[offset] = bytes;
  }

 private:
  uint64_t extend(uint64_t bytes) {
    uint64_t offset = end_;
    if (!free_.empty()) {
      const auto last = std::prev(free_.end());
      if (last->first + last->second == end_) {
        offset = last->first;
        free_.erase(last);
      }
    }
    end_ = offset + bytes;
    return offset;
  }

  uint64_t& end_;
  std::map<uint64_t, uint64_t> free_;
};

}  // namespace

Arena place(const std::vector<Lifetime>& lifetimes) {
  Arena arena;
  FreeList free(arena.bytes);
  using Ending = std::pair<uint32_t, size_t>;
  std::priority_queue<Ending, std::vector<Ending>, std::greater<>> living;
  const auto rounded = [](uint64_t bytes) { return (bytes + kAlignment - 1) / kAlignment * kAlignment; };
  for (size_t i = 0; i < lifetimes.size(); ++i) {
    while (!living.empty() && living.top().first < lifetimes[i].first) {
      const size_t ended = living.top().second;
      living.pop();
      free.give(arena.offsets[ended], rounded(lifetimes[ended].bytes));
    }
    arena.offsets.push_back(free.take(rounded(lifetimes[i].bytes)));
    living.emplace(lifetimes[i].last, i);
  }
  return arena;
}

}  // namespace onebit
