// Useful products a second of convolutions, a thread, on every instruction set that this machine has, beside the floor
// counted from the inner loop: the 3x3 binary convolutions of Bi-Real-Net-18 and CIFAR ResNet-20, and real-valued
// layers of such networks in int8. Each on the kernel that the engine chooses for it.
//
//   kernels_benchmark [isa ...]    one JSON object a line
//
// Products are out_h * out_w * out_c * kernel * kernel * in_c; those of the padding count too, as is usual. The floor
// is the time of the inner loop's vector operations alone at the rate at which the cores named below start them, in the
// kernel that needs fewest where there are several; binary convolutions skip the padding, so there it is the time of
// the products inside the image:
//   binary  avx512    xor, popcount, add for 512 products; two 512-bit operations a cycle      341 products a cycle
//           avx2      pairs of pixels: 3 look-ups, 3 adds, shift, and, add for 768 products;
//                     four a cycle, two of them look-ups or shifts                             341
//           avx512bw  the kernel of avx2                                                       341
//           portable  xor, ten operations of the in-word sum, add for 128; four a cycle         43
//           amx       TDPBSSD for 16384 products in 16 cycles, as published                   1024
//   int8    amx       TDPBUSD, the same                                                       1024
//           avx512    VPDPBUSD for 64 products; one a cycle                                     64
//           avx2      VPMADDWD and VPADDD for 16 products; 1.61 such pairs a cycle, measured    26
//           avx512bw  the kernel of avx2                                                        26
//           portable  the same for 8 products                                                   13
// (AMD Zen 4; Intel cores since Ice Lake start three 256-bit operations a cycle instead of four.) floor_share is the
// floor over the median; the clock is measured with a chain of dependent rotations just before each layer.
#include <algorithm>
#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <random>
#include <utility>
#include <vector>

#include "kernels/autotune.h"
#include "kernels/registry.h"

namespace {

using Clock = std::chrono::steady_clock;

struct Layer {
  const char* name;
  int32_t side, channels, outputs, stride, kernel = 3;
};

constexpr Layer binary_layers[] = {
    {"birealnet18 56x56x64", 56, 64, 64, 1},    {"birealnet18 28x28x128", 28, 128, 128, 1},
    {"birealnet18 14x14x256", 14, 256, 256, 1}, {"birealnet18 7x7x512", 7, 512, 512, 1},
    {"birealnet18 56x56x64/2", 56, 64, 128, 2}, {"resnet20 32x32x16", 32, 16, 16, 1},
    {"resnet20 16x16x32", 16, 32, 32, 1},       {"resnet20 8x8x64", 8, 64, 64, 1},
};

constexpr Layer int8_layers[] = {
    {"int8 stem 7x7/2 224x224x3, 64", 224, 3, 64, 2, 7},
    {"int8 stem 3x3/2 224x224x3, 32", 224, 3, 32, 2},
    {"int8 stem 3x3 32x32x3, 16", 32, 3, 16, 1},
    {"int8 stem 3x3 32x32x3, 64", 32, 3, 64, 1},
    {"int8 1x1 28x28x64, 128", 28, 64, 128, 1, 1},
    {"int8 1x1 14x14x128, 256", 14, 128, 256, 1, 1},
    {"int8 1x1 7x7x256, 512", 7, 256, 512, 1, 1},
    {"int8 dense 512, 1000", 1, 512, 1000, 1, 1},
    {"int8 3x3 56x56x64", 56, 64, 64, 1},
};

double seconds(Clock::time_point since) { return std::chrono::duration<double>(Clock::now() - since).count(); }

// By dependent rotations, one a cycle: a core that renames registers may fold a chain of adds of constants.
double clock_hertz() {
  const int64_t rotations = 4'000'000;
  double best = 1e9;
  for (int repeat = 0; repeat < 5; ++repeat) {
    uint64_t x = static_cast<uint64_t>(repeat) + 1;
    const auto start = Clock::now();
    for (int64_t i = 0; i < rotations; i += 8) {
      for (int k = 0; k < 8; ++k) {
        x = x << 7 | x >> 57;
        __asm__ volatile("" : "+r"(x));
      }
    }
    best = std::min(best, seconds(start));
  }
  return static_cast<double>(rotations) / best;
}

// As the engine's arena gives it.
void* aligned(size_t bytes) { return std::aligned_alloc(64, (bytes + 63) / 64 * 64); }

double products_per_cycle(const char* isa, bool binary) {
  if (!std::strcmp(isa, "amx")) return 1024.0;
  if (!std::strcmp(isa, "avx512")) return binary ? 512.0 / 3 * 2 : 64.0;
  if (!std::strcmp(isa, "avx2") || !std::strcmp(isa, "avx512bw")) return binary ? 768.0 / 9 * 4 : 16.0 * 1.61;
  if (!std::strcmp(isa, "portable")) return binary ? 128.0 / 12 * 4 : 8.0 * 1.61;
  return 1.0;  // reference: a product a cycle, to have a figure
}

onebit::ConvShape shape_of(const Layer& layer) {
  onebit::ConvShape s = {};
  s.batch = 1;
  s.in_h = s.in_w = layer.side;
  s.in_c = layer.channels;
  s.out_h = s.out_w = layer.side / layer.stride;
  s.out_c = layer.outputs;
  s.kernel_h = s.kernel_w = layer.kernel;
  s.stride_h = s.stride_w = layer.stride;
  s.pad_top = s.pad_left = layer.kernel / 2;
  s.dilation_h = s.dilation_w = s.groups = 1;
  return s;
}

// Of an axis, how many pairs of an output and a tap lie inside the image.
double inside(int32_t size, int32_t outputs, int32_t kernel, int32_t stride, int32_t pad) {
  int32_t count = 0;
  for (int32_t o = 0; o < outputs; ++o) {
    for (int32_t k = 0; k < kernel; ++k) {
      const int32_t at = o * stride - pad + k;
      count += at >= 0 && at < size;
    }
  }
  return count;
}

// The engine's kernel for a shape, and the seconds that choosing it takes; 0.00 ms where nothing is measured.
template <class Kernel>
std::pair<const Kernel&, double> chosen(const onebit::KernelList<Kernel>& list, const onebit::ConvShape& s) {
  const auto start = Clock::now();
  const int32_t index = onebit::choose_kernel(list, s);
  return {list[index], seconds(start)};
}

// Prints what `run` takes.
template <class Run>
void measure(const onebit::Kernels& kernels, const char* kernel, double choice, const Layer& layer, bool binary,
             const Run& run) {
  const double hertz = clock_hertz();
  std::vector<double> times;
  for (double total = 0; times.size() < 5 || total < 0.25; total += times.back()) {
    const auto start = Clock::now();
    run();
    times.push_back(seconds(start));
  }
  std::sort(times.begin(), times.end());
  const double median = times[times.size() / 2];
  const onebit::ConvShape s = shape_of(layer);
  const double products = static_cast<double>(s.out_h) * s.out_w * s.out_c * s.kernel_h * s.kernel_w * s.in_c;
  const double done = binary ? inside(s.in_h, s.out_h, s.kernel_h, s.stride_h, s.pad_top) *
                                   inside(s.in_w, s.out_w, s.kernel_w, s.stride_w, s.pad_left) * s.in_c * s.out_c
                             : products;
  const double floor = done / products_per_cycle(kernels.name, binary) / hertz;
  std::printf(
      "{\"isa\": \"%s\", \"kernel\": \"%s\", \"layer\": \"%s\", \"best_us\": "
      "%.1f, \"median_us\": "
      "%.1f, \"tmac_per_second\": %.3f, "
      "\"floor_us\": %.1f, \"floor_share\": %.2f, \"gigahertz\": %.2f, \"choice_ms\": %.2f}\n",
      kernels.name, kernel, layer.name, times.front() * 1e6, median * 1e6, products / median * 1e-12, floor * 1e6,
      floor / median, hertz * 1e-9, choice * 1e3);
  std::fflush(stdout);
}

struct Outputs {
  explicit Outputs(const onebit::ConvShape& s)
      : scale(static_cast<size_t>(s.out_c), 0.1f),
        bias(static_cast<size_t>(s.out_c), 0.5f),
        floats(static_cast<float*>(aligned(static_cast<size_t>(s.out_h * s.out_w * s.out_c) * sizeof(float)))) {}
  ~Outputs() { std::free(floats); }
  onebit::Epilogue epilogue() const {
    return {scale.data(), bias.data(), nullptr, nullptr, nullptr, onebit::Activation::none};
  }
  std::vector<float> scale, bias;
  float* floats;
};

void measure_binary(const onebit::Kernels& kernels, const Layer& layer) {
  const onebit::ConvShape s = shape_of(layer);
  const size_t words = (static_cast<size_t>(layer.channels) + 31) / 32;
  const uint32_t used = layer.channels % 32 ? (1u << layer.channels % 32) - 1 : ~0u;
  std::mt19937 random(1);
  std::vector<uint32_t> input(static_cast<size_t>(s.in_h * s.in_w) * words),
      weight(static_cast<size_t>(s.out_c) * 9 * words);
  for (auto* bits : {&input, &weight}) {
    for (uint32_t& word : *bits) word = static_cast<uint32_t>(random()) & used;
  }
  const auto choice = chosen(kernels.binary_conv, s);
  const auto& kernel = choice.first;
  void* packed = aligned(kernel.pack_bytes(s));
  kernel.pack(s, weight.data(), packed);
  const Outputs outputs(s);
  const onebit::BinaryConvArgs args = {s,      0, input.data(), packed, outputs.epilogue(), nullptr, outputs.floats,
                                       nullptr};
  measure(kernels, kernel.name, choice.second, layer, true, [&] { kernel.run(args, 0, kernel.units(s)); });
  std::free(packed);
}

void measure_int8(const onebit::Kernels& kernels, const Layer& layer) {
  onebit::ConvShape s = shape_of(layer);
  s.in_h = s.in_w = layer.side + 2 * s.pad_top;
  s.pad_top = s.pad_left = 0;
  const auto bytes = static_cast<size_t>(s.in_h * s.in_w * s.in_c);
  std::mt19937 random(1);
  auto* input = static_cast<uint8_t*>(aligned(bytes + onebit::kInt8Slack));
  for (size_t i = 0; i < bytes; ++i) input[i] = static_cast<uint8_t>(random());
  std::vector<int8_t> weight(static_cast<size_t>(s.out_c * s.kernel_h * s.kernel_w * s.in_c));
  for (int8_t& w : weight) w = static_cast<int8_t>(static_cast<int32_t>(random() % 255) - 127);
  const auto choice = chosen(kernels.int8_conv, s);
  const auto& kernel = choice.first;
  void* packed = aligned(kernel.pack_bytes(s));
  kernel.pack(s, 128, weight.data(), packed);
  const Outputs outputs(s);
  const onebit::Int8ConvArgs args = {s, input, packed, outputs.epilogue(), outputs.floats};
  measure(kernels, kernel.name, choice.second, layer, false, [&] { kernel.run(args, 0, kernel.units(s)); });
  std::free(packed);
  std::free(input);
}

}  // namespace

int main(int count, char** names) {
  std::vector<const char*> isas(names + 1, names + count);
  if (isas.empty()) {
    for (const char* const* name = onebit::available_isas(); *name; ++name) {
      if (std::strcmp(*name, "reference") != 0) isas.push_back(*name);
    }
  }
  for (const char* name : isas) {
    const onebit::Isa* isa = onebit::select_isa(name);
    if (!isa) {
      std::fprintf(stderr, "kernels: this CPU or build has no \"%s\"\n", name);
      return 2;
    }
    for (const Layer& layer : binary_layers) measure_binary(isa->kernels(), layer);
    for (const Layer& layer : int8_layers) measure_int8(isa->kernels(), layer);
  }
}
