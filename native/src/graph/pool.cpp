#include "graph/pool.h"

#include <algorithm>

namespace onebit {
namespace {

// A layer takes microseconds and waking a thread takes as long, so a thread looks a while before it sleeps.
constexpr int kLooks = 2000;

// More parts than threads, so that a late thread leaves its share to the others.
constexpr int64_t kPartsPerThread = 4;

template <class Condition>
void look(const Condition& condition) {
  for (int i = 0; i < kLooks && !condition(); ++i) {
#if defined(__x86_64__) || defined(__i386__)
    __builtin_ia32_pause();
#else
    std::this_thread::yield();
#endif
  }
}

}  // namespace

Pool::Pool(int threads) {
  workers_.reserve(static_cast<size_t>(threads - 1));
  try {
    while (static_cast<int>(workers_.size()) < threads - 1) workers_.emplace_back([this] { work(); });
  } catch (...) {
    stop();
    throw;
  }
}

Pool::~Pool() { stop(); }

void Pool::stop() {
  {
    const std::lock_guard lock(mutex_);
    stopping_ = true;
    ++generation_;
  }
  started_.notify_all();
  for (std::thread& worker : workers_) worker.join();
}

void Pool::take_parts(const Call& call) {
  for (int64_t part = next_++; part < call.parts; part = next_++)
    call.function(call.context, call.rows * part / call.parts, call.rows * (part + 1) / call.parts);
}

void Pool::split(Call call) {
  if (workers_.empty() || call.rows < 2) {
    call.function(call.context, 0, call.rows);
    return;
  }
  call.parts = std::min(call.rows, kPartsPerThread * static_cast<int64_t>(workers_.size() + 1));
  {
    const std::lock_guard lock(mutex_);
    call_ = call;
    next_ = 0;
    ++generation_;
  }
  started_.notify_all();
  take_parts(call);
  // All parts are taken; those that others took must be done. Who comes later finds none left and touches nothing.
  const auto alone = [this] { return inside_ == 0; };
  look(alone);
  std::unique_lock lock(mutex_);
  finished_.wait(lock, alone);
}

void Pool::work() {
  uint64_t seen = 0;
  for (;;) {
    const auto called = [&] { return generation_ != seen; };
    look(called);
    Call call;
    {
      std::unique_lock lock(mutex_);
      started_.wait(lock, called);
      if (stopping_) return;
      seen = generation_;
      if (next_ >= call_.parts) continue;
      call = call_;
      ++inside_;
    }
    take_parts(call);
    const std::lock_guard lock(mutex_);
    if (--inside_ == 0) finished_.notify_one();
  }
}

}  // namespace onebit
