// The choice of a kernel: measured only where rivals fit, once, and the same for every thread; the faster one, whatever
// else the machine does meanwhile.
#include <atomic>
#include <chrono>
#include <cmath>
#include <cstring>
#include <memory>
#include <random>
#include <set>
#include <thread>
#include <vector>

#include "kernels/autotune.h"
#include "kernels/contest.h"
#include "kernels/portable/tables.h"
#include "kernels/registry.h"
#include "support/check.h"

using namespace onebit;

namespace {

std::atomic<int> runs[3];

// Takes `Microseconds`, whatever the shape; fits where there are at least `Least` channels.
template <int Place, int Microseconds, int Least>
struct Fake {
  static bool fits(const ConvShape& s) { return s.in_c >= Least; }
  static size_t pack_bytes(const ConvShape&) { return 64; }
  static void pack(const ConvShape&, const uint32_t*, void*) { CHECK(false, "weights are packed after the choice"); }
  static int64_t units(const ConvShape& s) { return s.out_h; }
  static void run(const BinaryConvArgs& args, int64_t begin, int64_t end) {
    using Clock = std::chrono::steady_clock;
    CHECK(begin == 0 && end == args.shape.out_h, "a measurement is of whole calls");
    ++runs[Place];
    const auto until = Clock::now() + std::chrono::microseconds(Microseconds);
    while (Clock::now() < until) continue;
  }
};

template <int Place, int Microseconds, int Least>
constexpr BinaryConvKernel fake(bool rival) {
  return BinaryConvKernel::of<Fake<Place, Microseconds, Least>>("fake", rival);
}

ConvShape shape(int32_t channels) { return {1, 8, 8, channels, 8, 8, 32, 3, 3, 1, 1, 1, 1, 1, 1, 1}; }

int all_runs() { return runs[0] + runs[1] + runs[2]; }

// A slow rival, a fast one that needs 32 channels, and one that is taken only where no rival fits.
constexpr BinaryConvKernel slow = fake<0, 300, 16>(true), fast = fake<1, 20, 32>(true), last = fake<2, 0, 0>(false);
constexpr KernelList<BinaryConvKernel> list = {{&slow, &fast, &last}};

void by_rule() {
  CHECK(choose_kernel(list, shape(8)) == 2, "no rival fits");
  CHECK(choose_kernel(list, shape(16)) == 0, "one rival fits");
  static constexpr KernelList<BinaryConvKernel> rule_first = {{&last, &slow, &fast}};
  CHECK(choose_kernel(rule_first, shape(32)) == 0, "what comes before all rivals");
  CHECK(all_runs() == 0, "%d runs where there is nothing to choose", all_runs());
}

void by_measurement() {
  CHECK(choose_kernel(list, shape(32)) == 1, "the fast one");
  const int before = all_runs();
  CHECK(runs[0] > 0 && runs[1] > 0 && runs[2] == 0, "rivals alone are measured");
  CHECK(choose_kernel(list, shape(32)) == 1 && all_runs() == before, "the second ask measures nothing");
  CHECK(choose_kernel(list, shape(64)) == 1 && all_runs() > before, "another shape is measured");
  static constexpr KernelList<BinaryConvKernel> fast_first = {{&fast, &slow, &last}};
  CHECK(choose_kernel(fast_first, shape(32)) == 0, "another list has a choice of its own");
}

// Asked together, some twice and some known: the answers in that order, and one measurement of each shape.
void at_once() {
  const int before = all_runs();
  const std::vector<int32_t> got = choose_kernels(
      {{&list, shape(40)}, {&list, shape(8)}, {&list, shape(40)}, {&list, shape(32)}, {&list, shape(48)}});
  CHECK((got == std::vector<int32_t>{1, 2, 1, 1, 1}), "another answer than one by one");
  const int runs = all_runs() - before;
  CHECK(choose_kernel(list, shape(56)) == 1 && 2 * (all_runs() - before - runs) <= 2 * runs, "a shape twice");
  CHECK(choose_kernels({}).empty(), "nothing asked");
}

// A machine on which another thread has the core for a share of the time, `burst` seconds on average. Its clock is that
// of the runs alone.
struct Machine {
  using duration = Contest::Seconds;
  using time_point = std::chrono::time_point<Machine, duration>;

  static time_point now() { return time_point(time); }

  static void start(uint32_t seed, double share, double burst) {
    random.seed(seed);
    busy_length = Contest::Seconds(burst);
    quiet_length = busy_length * (1 - share) / share;
    time = Contest::Seconds(0);
    busy = random() < share * 4294967296.0;
    change = length();
  }

  // Work that takes `quiet` on a quiet core, and `slower` times as long on a busy one.
  static void work(Contest::Seconds quiet, double slower) {
    for (;;) {
      const double factor = busy ? slower : 1;
      if (time + factor * quiet <= change) break;
      quiet -= (change - time) / factor;
      time = change;
      busy = !busy;
      change += length();
    }
    time += (busy ? slower : 1) * quiet;
  }

  // Distributed exponentially.
  static Contest::Seconds length() {
    return (busy ? busy_length : quiet_length) * -std::log((random() + 1.0) / 4294967297.0);
  }

  static inline std::mt19937 random;
  static inline Contest::Seconds time, change, busy_length, quiet_length;
  static inline bool busy;
};

// Takes `Nanoseconds` for a row of output on a quiet core, and `Percent` of it on a busy one.
template <int Nanoseconds, int Percent>
struct Simulated : Fake<2, 0, 0> {
  static void run(const BinaryConvArgs&, int64_t begin, int64_t end) {
    Machine::work(static_cast<double>(end - begin) * Contest::Seconds(Nanoseconds * 1e-9), Percent / 100.0);
  }
};

// What 100 plans of twenty layers choose between two kernels.
struct Chosen {
  int layers[2] = {};      // that take the first, the second
  int plans_of_first = 0;  // all of whose layers take the first
  double seconds = 0;      // for all layers of a plan, on average
};

Chosen choose(const KernelList<BinaryConvKernel>& two, double share, double burst) {
  Chosen chosen;
  for (uint32_t seed = 0; seed < 100; ++seed) {
    Machine::start(seed, share, burst);
    std::vector<std::unique_ptr<Contest>> layers;
    for (int32_t rows = 9; rows <= 28; ++rows) {
      const ConvShape s{1, rows, 8, 32, rows, 8, 32, 1, 1, 1, 1, 0, 0, 1, 1, 1};
      layers.push_back(std::make_unique<ConvContest<Machine, BinaryConvKernel>>(two, std::vector<int32_t>{0, 1}, s));
    }
    hold(layers);
    const int before = chosen.layers[1];
    for (const std::unique_ptr<Contest>& layer : layers) ++chosen.layers[layer->winner()];
    chosen.plans_of_first += chosen.layers[1] == before;
    chosen.seconds += Machine::time.count() / 100;
  }
  return chosen;
}

// What is faster on a quiet core wins, also if a busy core slows it more than its rival, or if it stands behind it. A
// kernel's runs take about 1 ms, or 4 ms before the later one is taken, and before them those of one row.
void disturbed() {
  static constexpr BinaryConvKernel tiles = BinaryConvKernel::of<Simulated<4000, 200>>("tiles", true);
  static constexpr BinaryConvKernel vectors = BinaryConvKernel::of<Simulated<5200, 120>>("vectors", true);
  static constexpr BinaryConvKernel quick = BinaryConvKernel::of<Simulated<3600, 120>>("quick", true);
  static constexpr KernelList<BinaryConvKernel> first_wins = {{&tiles, &vectors}}, second_wins = {{&tiles, &quick}};
  for (const double burst : {100e-6, 1e-3, 5e-3, 10e-3}) {
    for (const double share : {0.05, 0.15, 0.3}) {
      const Chosen first = choose(first_wins, share, burst), second = choose(second_wins, share, burst);
      CHECK(first.plans_of_first >= 99, "%d of 100 plans take the first; busy %g of the time, for %g s",
            first.plans_of_first, share, burst);
      CHECK(second.layers[1] >= 1980, "%d of 2000 layers take the second; busy %g of the time, for %g s",
            second.layers[1], share, burst);
      CHECK(first.seconds < 20 * 2 * 1.2e-3 && second.seconds < 20 * 2 * 4.8e-3, "choices take %g s and %g s",
            first.seconds, second.seconds);
    }
  }
}

// Two kernels that are equally fast: the clock may prefer either, but all threads get the same.
void together() {
  static constexpr BinaryConvKernel one = fake<0, 30, 0>(true), other = fake<1, 30, 0>(true);
  static constexpr KernelList<BinaryConvKernel> equals = {{&one, &other}};
  for (int32_t channels = 1; channels <= 20; ++channels) {
    std::vector<int32_t> got(8, -1);
    std::vector<std::thread> threads;
    for (int32_t& choice : got)
      threads.emplace_back([&choice, channels] { choice = choose_kernel(equals, shape(channels)); });
    for (std::thread& thread : threads) thread.join();
    CHECK(std::set<int32_t>(got.begin(), got.end()).size() == 1 && got[0] >= 0, "threads disagree");
  }
}

template <class Kernel>
void real(const KernelList<Kernel>& kernels, const ConvShape& s) {
  const int32_t chosen = choose_kernel(kernels, s);
  CHECK(chosen >= 0 && chosen < kernels.count() && kernels[chosen].fits(s), "kernel %d", chosen);
  CHECK(choose_kernel(kernels, s) == chosen, "another choice");
}

// Of every table; sides that end measurements early or cut their rows.
void tables() {
  for (const ConvShape& s :
       {shape(16), shape(64), shape(33), ConvShape{1, 56, 56, 64, 28, 28, 128, 3, 3, 2, 2, 1, 1, 1, 1, 1},
        ConvShape{1, 1, 1, 8192, 1, 1, 1000, 1, 1, 1, 1, 0, 0, 1, 1, 1},
        ConvShape{1, 9, 9, 40, 9, 9, 40, 5, 5, 1, 1, 4, 4, 2, 2, 40},
        ConvShape{1, 1, 1, 64, 3, 3, 64, 3, 3, 1, 1, 2, 2, 1, 1, 2}}) {
    for (const char* const* name = available_isas(); *name != nullptr; ++name) {
      const Kernels& kernels = select_isa(*name)->kernels();
      real(kernels.binary_conv, s);
      real(kernels.float_conv, s);
      ConvShape padded = s;
      padded.in_h = (s.out_h - 1) * s.stride_h + (s.kernel_h - 1) * s.dilation_h + 1;
      padded.in_w = (s.out_w - 1) * s.stride_w + (s.kernel_w - 1) * s.dilation_w + 1;
      padded.pad_top = padded.pad_left = 0;
      real(kernels.int8_conv, padded);
    }
  }
}

// A program must be the same on every host that compiles it.
void portable_alone() {
  const Kernels& kernels = portable::kernels();
  for (int32_t i = 0; i < kernels.float_conv.count(); ++i)
    CHECK(!kernels.float_conv[i].candidate, "float kernel %d", i);
  for (int32_t i = 0; i < kernels.binary_conv.count(); ++i)
    CHECK(!kernels.binary_conv[i].candidate, "binary kernel %d", i);
  for (int32_t i = 0; i < kernels.int8_conv.count(); ++i) CHECK(!kernels.int8_conv[i].candidate, "int8 kernel %d", i);
}

}  // namespace

int main() {
  by_rule();
  by_measurement();
  at_once();
  disturbed();
  together();
  tables();
  portable_alone();
}
