#include "kernels/autotune.h"

#include <array>
#include <chrono>
#include <cstring>
#include <map>
#include <memory>
#include <mutex>
#include <type_traits>
#include <utility>

#include "kernels/contest.h"

namespace onebit {
namespace {

using Key = std::pair<const void*, std::array<int32_t, sizeof(ConvShape) / sizeof(int32_t)>>;

Key key_of(const KernelQuery& query) {
  Key key;
  key.first = std::visit([](const auto* list) { return static_cast<const void*>(list); }, query.list);
  std::memcpy(key.second.data(), &query.shape, sizeof query.shape);
  return key;
}

// The kernels of a list that the clock compares for a shape; one if there is nothing to compare.
template <class Kernel>
std::vector<int32_t> candidates(const KernelList<Kernel>& list, const ConvShape& shape) {
  std::vector<int32_t> found;
  for (int32_t i = 0; i < list.count(); ++i) {
    if (!list[i].fits(shape)) continue;
    if (!list[i].candidate && found.empty()) return {i};
    if (list[i].candidate) found.push_back(i);
  }
  return found;
}

// The choices of this process.
std::mutex mutex;
std::map<Key, int32_t> chosen;

// Makes those that are not made yet.
void choose(const std::vector<KernelQuery>& queries) {
  std::map<Key, size_t> open;  // to their contests
  std::vector<std::unique_ptr<Contest>> contests;
  for (const KernelQuery& query : queries) {
    const Key key = key_of(query);
    if (chosen.count(key) || open.count(key)) continue;
    std::visit(
        [&](const auto* list) {
          std::vector<int32_t> found = candidates(*list, query.shape);
          if (found.size() == 1) {
            chosen[key] = found[0];
            return;
          }
          using Kernel = std::remove_cv_t<std::remove_reference_t<decltype((*list)[0])>>;
          using Clock = std::chrono::steady_clock;
          open[key] = contests.size();
          contests.push_back(std::make_unique<ConvContest<Clock, Kernel>>(*list, std::move(found), query.shape));
        },
        query.list);
  }
  hold(contests);
  for (const auto& [key, contest] : open) chosen[key] = contests[contest]->winner();
}

}  // namespace

int32_t choose_kernel(const KernelQuery& query) {
  const std::lock_guard lock(mutex);
  const auto known = chosen.find(key_of(query));
  if (known != chosen.end()) return known->second;
  choose({query});
  return chosen.at(key_of(query));
}

std::vector<int32_t> choose_kernels(const std::vector<KernelQuery>& queries) {
  const std::lock_guard lock(mutex);
  choose(queries);
  std::vector<int32_t> places;
  for (const KernelQuery& query : queries) places.push_back(chosen.at(key_of(query)));
  return places;
}

}  // namespace onebit
