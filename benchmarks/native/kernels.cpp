// Useful products a second of the 3x3 binary convolutions of Bi-Real-Net-18 and CIFAR ResNet-20, a thread, on every
// instruction set that this machine has, beside the floor counted from the inner loop.
//
//   kernels_benchmark [isa ...]    one JSON object a line
//
// Products are out_h * out_w * out_c * 9 * in_c; those of the zero padding count too, as is usual. The floor is the
// time of the inner loop's vector operations alone at the rate at which the cores named below start them:
//   avx512    xor, popcount, add for 512 products; two 512-bit operations a cycle            341 products a cycle
//   avx2      look-up, add for 128 products; two look-ups and two adds a cycle               256
//   portable  xor, ten operations of the in-word sum, add for 128 products; four a cycle      43
// (AMD Zen 4; Intel cores since Ice Lake start three 256-bit operations a cycle instead of four.) floor_share is the
// floor over the median; the clock is measured with a chain of dependent adds just before each layer.
#include <algorithm>
#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <random>
#include <vector>

#include "kernels/kernels.h"

namespace {

using Clock = std::chrono::steady_clock;

struct Layer {
  const char* name;
  int32_t side, channels, outputs, stride;
};

constexpr Layer layers[] = {
    {"birealnet18 56x56x64", 56, 64, 64, 1},    {"birealnet18 28x28x128", 28, 128, 128, 1},
    {"birealnet18 14x14x256", 14, 256, 256, 1}, {"birealnet18 7x7x512", 7, 512, 512, 1},
    {"birealnet18 56x56x64/2", 56, 64, 128, 2}, {"resnet20 32x32x16", 32, 16, 16, 1},
    {"resnet20 16x16x32", 16, 32, 32, 1},       {"resnet20 8x8x64", 8, 64, 64, 1},
};

double seconds(Clock::time_point since) { return std::chrono::duration<double>(Clock::now() - since).count(); }

double clock_hertz() {
  const int64_t adds = 4'000'000;
  double best = 1e9;
  for (int repeat = 0; repeat < 5; ++repeat) {
    uint64_t x = static_cast<uint64_t>(repeat);
    const auto start = Clock::now();
    for (int64_t i = 0; i < adds; i += 8) {
      for (int k = 0; k < 8; ++k) {
        x += 3;
        __asm__ volatile("" : "+r"(x));
      }
    }
    best = std::min(best, seconds(start));
  }
  return static_cast<double>(adds) / best;
}

// As the engine's arena gives it.
void* aligned(size_t bytes) { return std::aligned_alloc(64, (bytes + 63) / 64 * 64); }

double products_per_cycle(const char* isa) {
  if (!std::strcmp(isa, "avx512")) return 512.0 / 3 * 2;
  if (!std::strcmp(isa, "avx2")) return 128.0 / 2 * 4;
  if (!std::strcmp(isa, "portable")) return 128.0 / 12 * 4;
  return 1.0;  // reference: a product a cycle, to have a figure
}

void measure(const onebit::Kernels& kernels, const Layer& layer) {
  onebit::ConvShape s = {};
  s.batch = 1;
  s.in_h = s.in_w = layer.side;
  s.in_c = layer.channels;
  s.out_h = s.out_w = layer.side / layer.stride;
  s.out_c = layer.outputs;
  s.kernel_h = s.kernel_w = 3;
  s.stride_h = s.stride_w = layer.stride;
  s.pad_top = s.pad_left = s.dilation_h = s.dilation_w = s.groups = 1;

  const size_t words = (static_cast<size_t>(layer.channels) + 31) / 32;
  const uint32_t used = layer.channels % 32 ? (1u << layer.channels % 32) - 1 : ~0u;
  std::mt19937 random(1);
  std::vector<uint32_t> input(static_cast<size_t>(s.in_h * s.in_w) * words),
      weight(static_cast<size_t>(s.out_c) * 9 * words);
  for (auto* bits : {&input, &weight}) {
    for (uint32_t& word : *bits) word = static_cast<uint32_t>(random()) & used;
  }
  std::vector<float> scale(static_cast<size_t>(s.out_c), 0.1f), bias(static_cast<size_t>(s.out_c), 0.5f);
  void* packed = aligned(kernels.binary_conv_pack_bytes(s));
  kernels.binary_conv_pack(s, weight.data(), packed);
  auto* output = static_cast<float*>(aligned(static_cast<size_t>(s.out_h * s.out_w * s.out_c) * sizeof(float)));
  const onebit::Epilogue epilogue = {scale.data(), bias.data(), nullptr, nullptr, nullptr, onebit::Activation::none};
  const onebit::BinaryConvArgs args = {s, 0, input.data(), packed, epilogue, nullptr, output, nullptr};

  const double hertz = clock_hertz();
  std::vector<double> times;
  for (double total = 0; times.size() < 5 || total < 0.25; total += times.back()) {
    const auto start = Clock::now();
    kernels.binary_conv(args, 0, kernels.binary_conv_units(s));
    times.push_back(seconds(start));
  }
  std::free(packed);
  std::free(output);
  std::sort(times.begin(), times.end());
  const double median = times[times.size() / 2];
  const double products = static_cast<double>(s.out_h) * s.out_w * s.out_c * 9 * s.in_c;
  const double floor = products / products_per_cycle(kernels.name) / hertz;
  std::printf(
      "{\"isa\": \"%s\", \"layer\": \"%s\", \"best_us\": %.1f, \"median_us\": %.1f, \"tmac_per_second\": %.3f, "
      "\"floor_us\": %.1f, \"floor_share\": %.2f, \"gigahertz\": %.2f}\n",
      kernels.name, layer.name, times.front() * 1e6, median * 1e6, products / median * 1e-12, floor * 1e6,
      floor / median, hertz * 1e-9);
  std::fflush(stdout);
}

}  // namespace

int main(int count, char** names) {
  std::vector<const char*> isas(names + 1, names + count);
  if (isas.empty()) {
    for (const char* const* name = onebit::available_kernels(); *name; ++name) {
      if (std::strcmp(*name, "reference") != 0) isas.push_back(*name);
    }
  }
  for (const char* isa : isas) {
    const onebit::Kernels* kernels = onebit::select_kernels(isa);
    if (!kernels) {
      std::fprintf(stderr, "kernels: this CPU or build has no \"%s\"\n", isa);
      return 2;
    }
    for (const Layer& layer : layers) measure(*kernels, layer);
  }
}
