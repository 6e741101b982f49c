// A few threads that share the rows of one call at a time.
#pragma once

#include <atomic>
#include <condition_variable>
#include <cstdint>
#include <mutex>
#include <thread>
#include <vector>

namespace onebit {

class ThreadPool {
 public:
  // Starts threads - 1 threads; the caller's is the other one. Throws std::system_error.
  explicit ThreadPool(int threads);
  ~ThreadPool();
  ThreadPool(const ThreadPool&) = delete;
  ThreadPool& operator=(const ThreadPool&) = delete;

  // Calls work(begin, end, thread) on parts of [0, rows) that depend on `rows` and the number of threads alone, and
  // returns when all are done. A thread takes its own share first, the same rows in each call, so that what it wrote
  // for one layer is in its cache for the next; then parts that the others have left, so that a thread that the
  // system holds up costs little. `work` may not throw.
  template <class Work>
  void split(int64_t rows, const Work& work) {
    split({[](const void* context, int64_t begin, int64_t end, size_t thread) {
             (*static_cast<const Work*>(context))(begin, end, thread);
           },
           &work, rows, 0});
  }

 private:
  struct Call {
    void (*function)(const void* context, int64_t begin, int64_t end, size_t thread);
    const void* context;
    int64_t rows, parts;
  };

  void split(Call call);
  // A thread's own parts of a call: [next, end) are not taken yet.
  struct alignas(64) Share {
    std::atomic<int64_t> next{0};
    int64_t end = 0;
  };

  size_t threads() const { return shares_.size(); }
  bool all_taken() const;
  void take_parts(const Call& call, size_t self);
  void work(size_t self);
  void stop();

  std::vector<Share> shares_;
  std::vector<std::thread> workers_;
  std::mutex mutex_;
  std::condition_variable started_, finished_;
  std::atomic<uint64_t> generation_{0};  // counts calls
  std::atomic<int> inside_{0};           // threads that work on this call, but the caller's
  Call call_{};
  bool stopping_ = false;
};

}  // namespace onebit
