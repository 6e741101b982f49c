// Thousands of damaged files, each section in turn, most with their checksums made right again: every one is refused
// with an Error or runs. Meant to be run under the sanitizers; the function is that of the libFuzzer target.
#include <random>

#include "../../fuzz/model_fuzzer.cpp"
#include "support/check.h"
#include "support/obn_writer.h"

namespace {

using onebit::test::Buffer;

class Mutator {
 public:
  explicit Mutator(uint32_t seed) : engine_(seed) {}

  uint64_t below(uint64_t bound) { return engine_() % bound; }

  // Changes a place in [begin, end) of the file.
  void change(Buffer& file, uint64_t begin, uint64_t end) {
    const uint64_t at = begin + below(end - begin);
    static constexpr uint32_t words[] = {0,    1,     2,        3,          7,          64,        255,
                                         1024, 65536, 1u << 24, 0x7FFFFFFF, 0x80000000, 0xFFFFFFFF};
    const uint64_t aligned = at / 4 * 4;
    switch (below(5)) {
      case 0: file[at] = static_cast<uint8_t>(file[at] ^ 1u << below(8)); break;
      case 1: file[at] = static_cast<uint8_t>(below(256)); break;
      case 2:
        if (aligned + 4 <= file.size()) std::memcpy(&file[aligned], &words[below(std::size(words))], 4);
        break;
      case 3:
        if (aligned + 4 <= file.size()) {
          uint32_t word;
          std::memcpy(&word, &file[aligned], 4);
          word += below(2) ? 1u : ~0u;
          std::memcpy(&file[aligned], &word, 4);
        }
        break;
      case 4:
        std::copy_n(file.begin() + static_cast<std::ptrdiff_t>(below(file.size() - 4)), 4,
                    file.begin() + static_cast<std::ptrdiff_t>(std::min<uint64_t>(at, file.size() - 4)));
    }
  }

 private:
  std::mt19937 engine_;
};

}  // namespace

int main() {
#ifdef __SANITIZE_ADDRESS__
  constexpr int total = 20000;
#else
  constexpr int total = 2000;  // without a sanitizer most of what could be wrong goes unseen
#endif
  const Buffer valid = onebit::test::example().bytes();
  uint64_t regions[6] = {0, 64};  // header, section table, META, GRPH, TNSR, DATA
  for (size_t i = 0; i < 4; ++i) std::memcpy(&regions[i + 2], &valid[64 + 24 * i + 8], 8);
  Mutator mutator(1);
  int loaded = 0, repaired = 0;
  for (int i = 0; i < total; ++i) {
    Buffer file = valid;
    const size_t region = static_cast<size_t>(i) % 6;
    const uint64_t end = region == 5 ? file.size() : regions[region + 1];
    const bool truncate = mutator.below(20) == 0;
    for (uint64_t changes = truncate ? 0 : 1 + mutator.below(3); changes > 0; --changes)
      mutator.change(file, regions[region], end);
    if (truncate) file.resize(regions[region] + mutator.below(end - regions[region]));
    if (mutator.below(100) == 0) file.resize(file.size() + 1 + mutator.below(200), 0);
    const bool repair = mutator.below(10) != 0;
    file.insert(file.begin(), static_cast<uint8_t>(mutator.below(64) * 4 + (i % 97 == 0 ? 2 : 0) + (repair ? 1 : 0)));
    loaded += load_and_run(file.data(), file.size());
    repaired += repair;
  }
  std::printf("%d mutants, %d with their checksums made right, %d of them loaded and ran\n", total, repaired, loaded);
  // Harmless changes (weights, names, classes) must load, or nothing behind the checksums was reached.
  CHECK(loaded > total / 20 && loaded < repaired, "%d loaded", loaded);
}
