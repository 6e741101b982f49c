#include "graph/pool.h"

namespace onebit {
namespace {

// A layer takes microseconds and waking a thread takes as long, so a thread looks a while before it sleeps.
constexpr int kLooks = 2000;

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
    for (int part = 1; part < threads; ++part) workers_.emplace_back([this, part] { work(part); });
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

void Pool::run_part(int part) const {
  const int64_t begin = rows_ * part / threads();
  const int64_t end = rows_ * (part + 1) / threads();
  if (begin < end) function_(context_, begin, end);
}

void Pool::split(int64_t rows, Function function, const void* context) {
  if (workers_.empty() || rows < 2) {
    function(context, 0, rows);
    return;
  }
  {
    const std::lock_guard lock(mutex_);
    rows_ = rows;
    function_ = function;
    context_ = context;
    running_ = static_cast<int>(workers_.size());
    ++generation_;
  }
  started_.notify_all();
  run_part(0);
  const auto done = [this] { return running_ == 0; };
  look(done);
  if (!done()) {
    std::unique_lock lock(mutex_);
    finished_.wait(lock, done);
  }
}

void Pool::work(int part) {
  uint64_t seen = 0;
  for (;;) {
    const auto called = [&] { return generation_ != seen; };
    look(called);
    {
      std::unique_lock lock(mutex_);
      started_.wait(lock, called);
      if (stopping_) return;
      seen = generation_;
    }
    run_part(part);
    if (--running_ == 0) {
      const std::lock_guard lock(mutex_);
      finished_.notify_one();
    }
  }
}

}  // namespace onebit
