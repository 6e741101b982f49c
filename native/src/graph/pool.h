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

  int threads() const { return static_cast<int>(workers_.size()) + 1; }

  // Calls work(begin, end) once in every thread, on consecutive parts of [0, rows) that depend on `rows` and the number of
  // threads alone, and returns when all are done. `work` may not throw.
  template <class Work>
  void split(int64_t rows, const Work& work) {
    split(rows, [](const void* context, int64_t begin, int64_t end) { (*static_cast<const Work*>(context))(begin, end); }, &work);
  }

 private:
  using Function = void (*)(const void* context, int64_t begin, int64_t end);

  void split(int64_t rows, Function function, const void* context);
  void run_part(int part) const;
  void work(int part);
  void stop();

  std::vector<std::thread> workers_;
  std::mutex mutex_;
  std::condition_variable started_, finished_;
  std::atomic<uint64_t> generation_{0};  // counts calls
  std::atomic<int> running_{0};          // threads that have not finished this one
  bool stopping_ = false;
  int64_t rows_ = 0;
  Function function_ = nullptr;
  const void* context_ = nullptr;
};

}  // namespace onebit
