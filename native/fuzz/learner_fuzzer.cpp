// Changes what a learner with a tail wrote, its checksums made right again or not, opens it with its model or another
// one, and teaches what opens.
#include "../tests/support/store_faults.h"
#include "lessons.h"
#include "teachable_models.h"

namespace {

using onebit::fuzz::Region;

constexpr uint32_t kHistory = 1;
constexpr size_t kHashAt = 4, kHashBytes = 32;  // of the backbone, in the constant

// A region as the store's file.
class RegionFile : public onebit::store::File {
 public:
  explicit RegionFile(Region& region) : region_(region) {}
  uint64_t size() const override { return region_.bytes.size(); }
  void read(uint64_t offset, void* bytes, size_t count) override { Region::read(&region_, offset, bytes, count); }
  void write(uint64_t offset, const void* bytes, size_t count) override {
    Region::write(&region_, offset, bytes, count);
  }
  void sync() override {}

 private:
  Region& region_;
};

struct Base {
  explicit Base(size_t number) : file(onebit::fuzz::teachable_model(number)) {
    onebit_learner_options options = ONEBIT_LEARNER_DEFAULTS;
    options.max_classes = 4, options.max_experiences = 2, options.history = kHistory, options.replay = 3;
    onebit_error error;
    uint64_t bytes = 0;
    onebit_learner* learner = nullptr;
    if (!onebit::fuzz::done(onebit_model_open_memory(file.data(), file.size(), &model, &error), error) ||
        !onebit::fuzz::done(onebit_learner_size(model, &options, &bytes, &error), error))
      std::abort();
    Region memory{std::vector<uint8_t>(bytes)};
    const onebit_region region = memory.region();
    if (!onebit::fuzz::done(onebit_learner_create_on(&region, model, &options, &learner, &error), error)) std::abort();
    onebit_learner_close(learner);
    onebit::fuzz::live(memory, model);
    const auto store = onebit::store::Store::open(std::make_unique<RegionFile>(memory));
    constant = store.constant(), payload = onebit::test::payload_in(store);
  }

  onebit::test::Buffer file;  // used in place
  onebit_model* model = nullptr;
  onebit::store::Bytes constant, payload;
};

const Base& base(size_t number) {
  static const Base all[] = {Base(0), Base(1), Base(2), Base(3)};
  return all[number];
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  onebit::fuzz::Choices choices(data, size);
  const Base& written = base(choices.below(onebit::fuzz::kTeachableModels));
  const Base& opened = choices.one_in(8) ? base(choices.below(onebit::fuzz::kTeachableModels)) : written;
  onebit::store::Bytes constant = written.constant, payload = written.payload;
  std::copy_n(opened.constant.begin() + kHashAt, kHashBytes, constant.begin() + kHashAt);
  const uint32_t part = choices.below(4);
  if (part == 0) onebit::fuzz::patch(constant, choices);
  if (part == 1 || part == 2) onebit::fuzz::patch(payload, choices);
  Region memory{std::vector<uint8_t>(onebit::store::Store::file_size(payload.size(), kHistory))};
  RegionFile file(memory);
  onebit::store::Store::format(file, kHistory, constant, payload.size(), onebit::test::writing(payload));
  if (part == 3) onebit::fuzz::patch(memory.bytes, choices);
  onebit::fuzz::live(memory, opened.model);
  return 0;
}
