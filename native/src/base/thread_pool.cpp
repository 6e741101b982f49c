#include "base/thread_pool.h"

#include <algorithm>

namespace onebit {
namespace {

// A layer takes microseconds and waking a thread takes as long, so a thread looks a while before it sleeps.
constexpr int kLooks = 2000;

// The parts of a thread's share, so that others can help it.
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

ThreadPool::ThreadPool(int threads) : shares_(static_cast<size_t>(threads)) {
  workers_.reserve(shares_.size() - 1);
  try {
    for (size_t self = 1; self < shares_.size(); ++self) workers_.emplace_back([this, self] { work(self); });
  } catch (...) {
    stop();
    throw;
  }
}

ThreadPool::~ThreadPool() { stop(); }

void ThreadPool::stop() {
  {
    const std::lock_guard lock(mutex_);
    stopping_ = true;
    ++generation_;
  }
  started_.notify_all();
  for (std::thread& worker : workers_) worker.join();
}

bool ThreadPool::all_taken() const {
  return std::all_of(shares_.begin(), shares_.end(), [](const Share& share) { return share.next >= share.end; });
}

void ThreadPool::take_parts(const Call& call, size_t self) {
  for (size_t i = 0; i < threads(); ++i) {
    Share& share = shares_[(self + i) % threads()];
    for (int64_t part = share.next++; part < share.end; part = share.next++)
      call.function(call.context, call.rows * part / call.parts, call.rows * (part + 1) / call.parts, self);
  }
}

void ThreadPool::split(Call call) {
  if (workers_.empty() || call.rows < 2) {
    call.function(call.context, 0, call.rows, 0);
    return;
  }
  const auto count = static_cast<int64_t>(threads());
  call.parts = std::min(call.rows, kPartsPerThread * count);
  {
    const std::lock_guard lock(mutex_);
    call_ = call;
    for (int64_t i = 0; i < count; ++i) {
      Share& share = shares_[static_cast<size_t>(i)];
      share.next = call.parts * i / count;
      share.end = call.parts * (i + 1) / count;
    }
    ++generation_;
  }
  started_.notify_all();
  take_parts(call, 0);
  // All parts are taken; those that others took must be done. A thread that comes later finds none left.
  const auto alone = [this] { return inside_ == 0; };
  look(alone);
  std::unique_lock lock(mutex_);
  finished_.wait(lock, alone);
}

void ThreadPool::work(size_t self) {
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
      if (all_taken()) continue;
      call = call_;
      ++inside_;
    }
    take_parts(call, self);
    const std::lock_guard lock(mutex_);
    if (--inside_ == 0) finished_.notify_one();
  }
}

}  // namespace onebit
