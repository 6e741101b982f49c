// The C API of the learner on a region of the caller's: a lesson tried and dropped or kept, renaming, devices that
// fail, and every corrupted byte of a state.
#include "onebit/learner.h"
#include "support/check.h"
#include "support/obn_writer.h"

using namespace onebit::test;

namespace {

constexpr size_t kFeatures = 38, kImages = 6;

onebit_learner_options small() {
  onebit_learner_options options = ONEBIT_LEARNER_DEFAULTS;
  options.max_classes = 8, options.max_experiences = 4, options.history = 1;
  return options;
}

// Memory whose calls fail after `good` of them.
struct Device {
  Buffer bytes;
  uint64_t good = UINT64_MAX;

  bool fails() { return good == 0 || (--good, false); }
  static int read(void* context, uint64_t offset, void* to, size_t count) {
    auto& device = *static_cast<Device*>(context);
    if (device.fails()) return -5;
    std::memcpy(to, &device.bytes.at(offset), count);
    return 0;
  }
  static int write(void* context, uint64_t offset, const void* from, size_t count) {
    auto& device = *static_cast<Device*>(context);
    if (device.fails()) return -5;
    std::memcpy(&device.bytes.at(offset), from, count);
    return 0;
  }
  static int sync(void* context) { return static_cast<Device*>(context)->fails() ? -5 : 0; }
  onebit_region region() { return {this, bytes.size(), read, write, sync}; }
};

// The file is used in place while the model is open.
onebit_model* model(const Buffer& file) {
  onebit_model* result = nullptr;
  CHECK(onebit_model_open_memory(file.data(), file.size(), &result, nullptr) == ONEBIT_OK, "the example");
  return result;
}

std::vector<float> features(int seed) {
  std::vector<float> list(kImages * kFeatures);
  for (size_t i = 0; i < list.size(); ++i)
    list[i] = static_cast<float>((i * 7919 + static_cast<size_t>(seed) * 104729) % 801) / 100.0f - 4.0f;
  return list;
}

onebit_status teach(decltype(onebit_learner_teach)* how, onebit_learner* learner, int seed, const char* name,
                    onebit_error* error = nullptr) {
  const auto list = features(seed);
  const char* names[kImages];
  std::fill_n(names, kImages, name);
  onebit_teach_options options = ONEBIT_TEACH_DEFAULTS;
  options.steps = 4, options.batch = 4;
  return how(learner, list.data(), names, kImages, std::to_string(seed).c_str(), &options, nullptr, error);
}

// The names and the answers.
std::vector<uint32_t> state(onebit_learner* learner) {
  const size_t classes = onebit_learner_class_count(learner);
  std::vector<uint32_t> all(kImages * classes);
  const auto list = features(0);
  CHECK(onebit_learner_predict(learner, list.data(), kImages, all.data(), nullptr) == ONEBIT_OK, "predict");
  for (size_t i = 0; i < classes; ++i) {
    const std::string name = onebit_learner_class_name(learner, i);
    all.insert(all.end(), name.begin(), name.end());
    all.push_back(onebit_learner_class_samples(learner, i));
  }
  return all;
}

onebit_learner* open(Device& device, const onebit_model* backbone, onebit_status expected = ONEBIT_OK) {
  const onebit_region region = device.region();
  onebit_learner* learner = nullptr;
  onebit_error error;
  const onebit_status status = onebit_learner_open_on(&region, backbone, &learner, &error);
  CHECK(status == expected, "%d: %s", status, error.message);
  return learner;
}

Device created(const onebit_model* backbone) {
  Device device;
  const onebit_learner_options options = small();
  uint64_t size = 0;
  onebit_learner* learner = nullptr;
  CHECK(onebit_learner_size(backbone, &options, &size, nullptr) == ONEBIT_OK, "size");
  device.bytes.assign(size, 0xA5);
  const onebit_region region = device.region();
  CHECK(onebit_learner_create_on(&region, backbone, &options, &learner, nullptr) == ONEBIT_OK, "create");
  CHECK(teach(onebit_learner_teach, learner, 1, "elk") == ONEBIT_OK, "teach");
  CHECK(teach(onebit_learner_teach, learner, 2, "fox") == ONEBIT_OK, "teach");
  onebit_learner_close(learner);
  return device;
}

void tried_and_kept_or_dropped(Device device, const onebit_model* backbone) {
  onebit_learner* learner = open(device, backbone);
  const auto before = state(learner);
  const Buffer bytes = device.bytes;
  onebit_error error;
  CHECK(teach(onebit_learner_prepare, learner, 3, "fox") == ONEBIT_OK, "prepare");
  const auto tried = state(learner);
  CHECK(tried != before && device.bytes == bytes, "a lesson that is tried is seen, and not in the file");
  for (const onebit_status status :
       {onebit_learner_forget(learner, "fox", &error), onebit_learner_rename(learner, "fox", "owl", &error),
        onebit_learner_rollback(learner, 1, &error), teach(onebit_learner_teach, learner, 4, "owl", &error),
        teach(onebit_learner_prepare, learner, 4, "owl", &error)})
    CHECK(status == ONEBIT_INVALID_ARGUMENT && std::strstr(error.message, "prepared"), "%s", error.message);
  CHECK(onebit_learner_discard(learner, &error) == ONEBIT_OK && state(learner) == before, "dropped");
  CHECK(onebit_learner_commit(learner, &error) == ONEBIT_INVALID_ARGUMENT, "nothing to commit");
  CHECK(!onebit_learner_counted(learner, "3") && onebit_learner_counted(learner, "2"), "counted");

  CHECK(teach(onebit_learner_prepare, learner, 3, "fox") == ONEBIT_OK, "prepare");
  CHECK(onebit_learner_commit(learner, &error) == ONEBIT_OK && state(learner) == tried, "kept");
  onebit_learner_close(learner);
  learner = open(device, backbone);
  CHECK(state(learner) == tried && onebit_learner_counted(learner, "3"), "kept in the file");

  // The same as in one call.
  onebit_learner_rollback(learner, 1, nullptr);
  CHECK(state(learner) == before && teach(onebit_learner_teach, learner, 3, "fox") == ONEBIT_OK, "teach");
  CHECK(state(learner) == tried, "prepare and commit differ from teach");
  onebit_learner_close(learner);
}

void renamed(Device device, const onebit_model* backbone) {
  onebit_learner* learner = open(device, backbone);
  const auto before = state(learner);
  CHECK(onebit_learner_rename(learner, "elk", "moose", nullptr) == ONEBIT_OK, "rename");
  CHECK(std::string(onebit_learner_class_name(learner, 4)) == "moose", "the new name");
  for (const auto& [from, to] : {std::pair{"elk", "x"}, {"moose", "fox"}, {"moose", ""}, {"moose", "a\nb"}, {"", "x"}})
    CHECK(onebit_learner_rename(learner, from, to, nullptr) == ONEBIT_INVALID_ARGUMENT, "%s to %s", from, to);
  CHECK(onebit_learner_rollback(learner, 1, nullptr) == ONEBIT_OK && state(learner) == before, "back");
  onebit_learner_close(learner);
}

// The device fails at each of its calls in turn: the learner goes on with what is on it.
void failing_devices(const Device& start, const onebit_model* backbone) {
  const auto name = [](onebit_learner* learner) { return teach(onebit_learner_teach, learner, 9, "owl"); };
  const auto forget = [](onebit_learner* learner) { return onebit_learner_forget(learner, "elk", nullptr); };
  const auto rename = [](onebit_learner* learner) { return onebit_learner_rename(learner, "elk", "x", nullptr); };
  const auto back = [](onebit_learner* learner) { return onebit_learner_rollback(learner, 1, nullptr); };
  const auto check = [](onebit_learner* learner) {
    onebit_learner_report report;
    return onebit_learner_check(learner, &report, nullptr);
  };
  for (onebit_status (*change)(onebit_learner*) : {+name, +forget, +rename, +back, +check}) {
    Device calm = start;
    onebit_learner* learner = open(calm, backbone);
    const auto before = state(learner);
    CHECK(change(learner) == ONEBIT_OK, "undisturbed");
    const auto after = state(learner);
    onebit_learner_close(learner);
    bool finished = false;
    for (uint64_t tried = 0; !finished; ++tried) {
      const uint64_t calls = tried / 2;
      Device device = start;
      learner = open(device, backbone);
      device.good = calls;
      const onebit_status status = change(learner);
      finished = status == ONEBIT_OK;
      CHECK(finished || status == ONEBIT_IO, "call %llu: %d", (unsigned long long)calls, status);
      device.good = UINT64_MAX;
      const auto now = state(learner);
      CHECK(now == after || (!finished && now == before), "call %llu: another state", (unsigned long long)calls);
      // It goes on, checked or not: the next lesson is kept, on top of what it said.
      if (tried % 2) CHECK(check(learner) == ONEBIT_OK, "call %llu: a damage", (unsigned long long)calls);
      CHECK(teach(onebit_learner_teach, learner, 10, "fox") == ONEBIT_OK, "the next lesson");
      const auto next = state(learner);
      onebit_learner_close(learner);
      learner = open(device, backbone);
      CHECK(state(learner) == next, "call %llu: the next lesson is lost", (unsigned long long)calls);
      if (change == +forget && now == after) {
        const Buffer gone = {'e', 'l', 'k'};
        const auto at = std::search(device.bytes.begin(), device.bytes.end(), gone.begin(), gone.end());
        CHECK(at == device.bytes.end(), "call %llu: the forgotten class is there", (unsigned long long)calls);
      }
      onebit_learner_close(learner);
    }
  }
  Device silent = start;
  silent.good = 0;
  open(silent, backbone, ONEBIT_IO);
  Device small = start;
  small.bytes.resize(small.bytes.size() - 4096);
  open(small, backbone, ONEBIT_BAD_FILE);
  onebit_region lame = silent.region();
  onebit_learner* learner = nullptr;
  lame.sync = nullptr;
  CHECK(onebit_learner_open_on(&lame, backbone, &learner, nullptr) == ONEBIT_INVALID_ARGUMENT, "no sync");
  CHECK(onebit_learner_open_on(nullptr, backbone, &learner, nullptr) == ONEBIT_INVALID_ARGUMENT, "no region");
}

void every_corrupted_byte_is_noticed(const Device& start, const onebit_model* backbone) {
  for (size_t at = 0; at < start.bytes.size(); ++at) {
    Device device = start;
    device.bytes[at] = static_cast<uint8_t>(device.bytes[at] ^ (1 + at * 7919 % 255));
    const onebit_region region = device.region();
    onebit_learner* learner = nullptr;
    const onebit_status status = onebit_learner_open_on(&region, backbone, &learner, nullptr);
    const bool noticed = status == ONEBIT_BAD_FILE || (status == ONEBIT_OK && onebit_learner_found(learner).damaged);
    CHECK(noticed, "byte %zu: status %d", at, status);
    onebit_learner_close(learner);
  }
  std::printf("each of %zu bytes corrupted: noticed\n", start.bytes.size());
}

}  // namespace

int main() {
  const Buffer file = example().bytes();
  onebit_model* backbone = model(file);
  const Device device = created(backbone);
  tried_and_kept_or_dropped(device, backbone);
  renamed(device, backbone);
  failing_devices(device, backbone);
  every_corrupted_byte_is_noticed(device, backbone);
  onebit_model_close(backbone);
}
