// A learner in memory by the C API, and all that can be asked of it: whatever it is made of, each call is done or
// refused in one line.
#pragma once

#include <algorithm>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <vector>

#include "onebit/learner.h"

namespace onebit::fuzz {

struct Region {
  std::vector<uint8_t> bytes;

  static int read(void* context, uint64_t offset, void* to, size_t count) {
    std::memcpy(to, place(context, offset, count), count);
    return 0;
  }
  static int write(void* context, uint64_t offset, const void* from, size_t count) {
    std::memcpy(place(context, offset, count), from, count);
    return 0;
  }
  static int sync(void*) { return 0; }
  onebit_region region() { return {this, bytes.size(), read, write, sync}; }

 private:
  static uint8_t* place(void* context, uint64_t offset, size_t count) {
    auto& bytes = static_cast<Region*>(context)->bytes;
    if (offset > bytes.size() || count > bytes.size() - offset) std::abort();
    return bytes.data() + offset;
  }
};

// Whether it is done; ends the process if it was refused in another way than in one line of what is wrong.
inline bool done(onebit_status status, const onebit_error& error) {
  if (status == ONEBIT_OK) return true;
  const bool clear = status != ONEBIT_INTERNAL && status != ONEBIT_NO_MEMORY && error.message[0] != '\0';
  if (!clear || std::strpbrk(error.message, "\n\r") || std::strpbrk(error.hint, "\n\r")) {
    std::fprintf(stderr, "status %d: %s (%s)\n", status, error.message, error.hint);
    std::abort();
  }
  return false;
}

inline bool opened(Region& memory, const onebit_model* model, onebit_learner** learner) {
  onebit_error error;
  const onebit_region region = memory.region();
  return done(onebit_learner_open_on(&region, model, learner, &error), error);
}

// Lessons, answers and every other change; then once more, opened again.
inline void live(Region& memory, const onebit_model* model) {
  constexpr size_t kImages = 3;
  constexpr onebit_teach_options kTeach = {2, 3, 0.1, 1, 0.5, 2};
  for (const char* experience : {"monday", "tuesday"}) {
    onebit_learner* learner = nullptr;
    if (!opened(memory, model, &learner)) return;
    onebit_error error;
    onebit_learner_report report;
    std::vector<float> images(kImages * onebit_learner_features(learner));
    for (size_t i = 0; i < images.size(); ++i) images[i] = static_cast<float>(i * 7919 % 17) / 8.0f - 1.0f;
    const char* names[kImages] = {"ant", "0", "ant"};
    done(onebit_learner_teach(learner, images.data(), names, kImages, experience, &kTeach, nullptr, &error), error);
    std::vector<uint32_t> probabilities(kImages * onebit_learner_class_count(learner));
    done(onebit_learner_predict(learner, images.data(), kImages, probabilities.data(), &error), error);
    done(onebit_learner_rename(learner, "ant", "bee", &error), error);
    done(onebit_learner_rollback(learner, 1, &error), error);
    done(onebit_learner_forget(learner, "0", &error), error);
    done(onebit_learner_check(learner, &report, &error), error);
    onebit_learner_close(learner);
  }
}

}  // namespace onebit::fuzz
