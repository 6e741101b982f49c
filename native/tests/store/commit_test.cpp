// Commits, rollback, history, erasing; every corrupted byte is detected; hostile files are refused; the lock.
#include <cstdio>
#include <filesystem>
#include <random>
#include <string>

#include "base/crc32c.h"
#include "support/check.h"
#include "support/store_faults.h"

using namespace onebit;
using namespace onebit::test;

namespace {

template <class Call>
onebit_status status_of(const Call& call) {
  try {
    call();
  } catch (const Error& error) {
    return error.status;
  }
  return ONEBIT_OK;
}

void history() {
  Medium medium = formatted(3, payload_of(0));
  const size_t size = medium.durable.size();
  for (uint32_t i = 1; i <= 50; ++i) {
    store::Store store = open_store(medium);
    CHECK(payload_in(store) == payload_of(i - 1) && store.sequence() == i && store.ancestors() == std::min(i - 1, 3u),
          "%u", i);
    store.commit(writing(payload_of(i)));
  }
  CHECK(medium.durable.size() == size, "the file grew");
  for (uint32_t steps = 1; steps <= 3; ++steps) {
    Medium copy = medium;
    open_store(copy).rollback(steps, [](store::Reader&) {});
    store::Store back = open_store(copy);
    CHECK(payload_in(back) == payload_of(50 - steps) && back.ancestors() == 3 - steps, "back %u", steps);
  }
  store::Store store = open_store(medium);
  CHECK(status_of([&] { store.rollback(4, [](store::Reader&) {}); }) == ONEBIT_INVALID_ARGUMENT, "only three are kept");
  CHECK(status_of([&] { store.rollback(0, [](store::Reader&) {}); }) == ONEBIT_INVALID_ARGUMENT, "zero");
  store.rollback(1, [](store::Reader&) {});
  store.rollback(1, [](store::Reader&) {});
  CHECK(payload_in(store) == payload_of(48), "a second rollback goes further back, not forth");
  store.commit(writing(payload_of(77)));
  store.rollback(1, [](store::Reader&) {});
  CHECK(payload_in(store) == payload_of(48) && payload_in(open_store(medium)) == payload_of(48),
        "back to where it branched");
  CHECK(open_store(medium).constant() == Bytes({1, 2, 3}), "the constant stays");
}

// Says that it could not sync once, though it did.
class Doubtful : public FaultyFile {
 public:
  Doubtful(Medium& medium, uint64_t refused) : FaultyFile(medium), refused_(refused) {}
  void sync() override {
    FaultyFile::sync();
    if (syncs == refused_) throw Error(ONEBIT_IO, "no sync");
  }

 private:
  uint64_t refused_;
};

// What a commit left that failed, though it is on the medium, never stands beside the next one.
void a_check_after_a_failure() {
  for (uint64_t refused = 1; refused <= 3; ++refused) {
    Medium medium = formatted(3, payload_of(0));
    store::Store store = store::Store::open(std::make_unique<Doubtful>(medium, refused));
    CHECK(status_of([&] { store.commit(writing(payload_of(1))); }) == ONEBIT_IO, "the sync failed");
    CHECK(store.check().damaged == 0, "nothing is damaged");
    store.commit(writing(payload_of(2)));
    CHECK(payload_in(store) == payload_of(2), "sync %llu: another commit", (unsigned long long)refused);
    CHECK(payload_in(open_store(medium)) == payload_of(2), "sync %llu: lost", (unsigned long long)refused);
  }
  // A newest commit that is damaged while the store is open.
  Medium medium = formatted(3, payload_of(0));
  store::Store store = open_store(medium);
  medium.durable[store::kPage + store::kHeader] ^= 1;
  CHECK(status_of([&] { store.check(); }) == ONEBIT_BAD_FILE, "damage");
  store.commit(writing(payload_of(1)));
  CHECK(payload_in(store) == payload_of(1) && payload_in(open_store(medium)) == payload_of(1), "it goes on");
}

void every_corrupted_byte_is_detected() {
  Medium medium = formatted(1, payload_of(0));
  for (uint32_t i = 1; i <= 3; ++i) open_store(medium).commit(writing(payload_of(i)));
  CHECK(open_store(medium).check().intact == 3, "all slots are in use");
  std::mt19937 random(2);
  for (size_t i = 0; i < medium.durable.size(); ++i) {
    const auto flip = static_cast<uint8_t>(1 + random() % 255);
    Medium broken = medium;
    broken.durable[i] ^= flip;
    const onebit_status status = status_of([&] {
      store::Store store = open_store(broken);
      CHECK(store.found().damaged + store.check().damaged > 0, "byte %zu ^ %02x is not detected", i, flip);
      CHECK(payload_in(store) == payload_of(3) || payload_in(store) == payload_of(2), "byte %zu: a wrong state", i);
    });
    CHECK(status == ONEBIT_OK || status == ONEBIT_BAD_FILE, "byte %zu: status %d", i, status);
  }
  // Changed after it was opened: check() says so.
  store::Store store = open_store(medium);
  medium.durable[medium.durable.size() - 1] ^= 1;
  uint32_t damaged = 0;
  const onebit_status status = status_of([&] { damaged = store.check().damaged; });
  CHECK(damaged == 1 || status == ONEBIT_BAD_FILE, "check() does not see what changed after opening");
}

void hostile_files() {
  Medium good = formatted(2, payload_of(0));
  for (size_t size = 0; size < good.durable.size(); size += 251) {
    Medium cut;
    cut.durable.assign(good.durable.begin(), good.durable.begin() + static_cast<std::ptrdiff_t>(size));
    CHECK(status_of([&] { open_store(cut); }) == ONEBIT_BAD_FILE, "a file of %zu bytes", size);
  }
  std::mt19937 random(3);
  for (int i = 0; i < 300; ++i) {
    // The first page's numbers are changed and its checksum is made right again. A payload's size may then pass: the
    // learner checks it once more.
    Medium bad = good;
    const size_t at = 8 + random() % 24;
    bad.durable[at] = static_cast<uint8_t>(bad.durable[at] ^ (1 + random() % 255));
    const uint32_t crc = crc32c(bad.durable.data(), 4092);
    std::memcpy(&bad.durable[4092], &crc, 4);
    const onebit_status status = status_of([&] { open_store(bad); });
    CHECK(status == ONEBIT_BAD_FILE || status == ONEBIT_UNSUPPORTED || (status == ONEBIT_OK && at >= 16),
          "byte %zu: %d", at, status);
  }
  // A sequence that leaves none for the next commit.
  Medium last = good;
  FaultyFile file(last);
  store::Slot slot = store::read_slot(file, store::kPage, payload_of(0).size());
  CHECK(slot.state == store::Slot::intact, "the first commit is not there");
  slot.sequence = UINT64_MAX;
  store::write_header(file, store::kPage, slot);
  file.sync();
  CHECK(status_of([&] { open_store(last); }) == ONEBIT_BAD_FILE, "the last sequence of all");
  Medium noise;
  noise.durable.resize(good.durable.size());
  for (auto& byte : noise.durable) byte = static_cast<uint8_t>(random());
  CHECK(status_of([&] { open_store(noise); }) == ONEBIT_BAD_FILE, "noise");
}

void files() {
  const std::string path = "store_test_" + std::to_string(std::random_device{}()) + ".state";
  const auto format = [](store::File& file) { store::Store::format(file, 2, {}, 100, writing(payload_of(0))); };
  const uint64_t size = store::Store::file_size(100, 2);
  {
    store::Store store = store::Store::open(store::create_file(path, size, format));
    CHECK(status_of([&] { store::open_file(path); }) == ONEBIT_BUSY, "a second opening must be refused");
    CHECK(status_of([&] { store::create_file(path, size, format); }) == ONEBIT_INVALID_ARGUMENT, "it exists");
    store.commit(writing(payload_of(1)));
  }
  CHECK(payload_in(store::Store::open(store::open_file(path))) == payload_of(1), "reopened");
  std::remove(path.c_str());
  CHECK(status_of([&] { store::open_file(path); }) == ONEBIT_IO, "missing");
  CHECK(status_of([&] { store::create_file(path, size, [](store::File&) { throw Error(ONEBIT_IO, "no space"); }); }) ==
            ONEBIT_IO,
        "fails");
  CHECK(!std::filesystem::exists(path) && !std::filesystem::exists(path + ".part"), "a failed creation leaves nothing");
}

}  // namespace

int main() {
  history();
  a_check_after_a_failure();
  every_corrupted_byte_is_detected();
  hostile_files();
  files();
}
