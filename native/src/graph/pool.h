// A few threads that share the rows of one call at a time.
#pragma once

#include <atomic>
#include <condition_variable>
#include <cstdint>
#include <mutex>
#include <thread>
#include <vector>

namespace onebit {

class Pool {
 public:
  // Starts threads - 1 threads; the caller's is the other one. Throws std::system_error.
  explicit Pool(int threads);
  ~Pool();
  Pool(const Pool&) = delete;
  Pool& operator=(const Pool&) = delete;

  // Calls work(begin, end) on parts of [0, rows) that depend on `rows` and the number of threads alone, and returns
  // when all are done. Which thread takes a part is open: one that the system holds up costs the others little. `work`
  // may not throw.
  template <class Work>
  void split(int64_t rows, const Work& work) {
    split({[](const void* context, int64_t begin, int64_t end) { (*static_cast<const Work*>(context))(begin, end); },
           &work, rows, 0});
  }

 private:
  struct Call {
    void (*function)(const void* context, int64_t begin, int64_t end);
    const void* context;
    int64_t rows, parts;
  };

  void split(Call call);
  void take_parts(const Call& call);
  void work();
  void stop();

  std::vector<std::thread> workers_;
  std::mutex mutex_;
  std::condition_variable started_, finished_;
  std::atomic<uint64_t> generation_{0};  // counts calls
  std::atomic<int64_t> next_{0};         // the first part that nobody has taken
  std::atomic<int> inside_{0};           // threads that work on this call, but the caller's
  Call call_{};
  bool stopping_ = false;
};

}  // namespace onebit
