// Every int8 convolution and quantisation of every table against the reference, bit for bit.
#include "kernels/reference/tables.h"
#include "support/cross_int8_conv.h"

namespace onebit::test {
namespace {

void check_and_cross(uint32_t seed, const ConvShape& s, Extremes extremes) {
  check_fits(&Kernels::int8_conv, s);
  cross(seed, s, extremes, kernels_of(&Kernels::int8_conv, tables()));
}

// Floats that end up at, between and far beyond the bytes.
float value(Random& random, float multiplier) {
  constexpr float infinity = std::numeric_limits<float>::infinity();
  switch (random.between(0, 9)) {
    case 0: return random.chance(50) ? 0.0f : -0.0f;
    case 1: return (random.chance(50) ? 1e38f : -1e38f) * random.real();
    case 2: return random.chance(50) ? infinity : -infinity;
    case 3: return random.chance(20) ? std::nanf("") : std::numeric_limits<float>::denorm_min();
    case 4: return static_cast<float>(random.between(-260, 260)) / multiplier;
    case 5:
    case 6: return (static_cast<float>(random.between(-260, 260)) + 0.5f) / multiplier;  // halves, where exact
    default: return random.real() * 100.0f / multiplier;
  }
}

void cross_quantize(uint32_t seed) {
  Random random(seed);
  QuantizeArgs args = {};
  args.batch = random.between(1, 3);
  args.in_h = random.between(1, 8), args.in_w = random.between(1, 12);
  args.channels = random.between(1, 70);
  args.pad_top = random.between(0, 3), args.pad_left = random.between(0, 3);
  args.pad_bottom = random.between(0, 3), args.pad_right = random.between(0, 3);
  args.multiplier = random.chance(50) ? std::ldexp(1.0f, random.between(-4, 8)) : std::fabs(random.real()) + 0.01f;
  const int32_t zero_points[] = {0, 255, random.between(1, 254)};
  args.zero_point = zero_points[random.between(0, 2)];
  Array<float> input(int64_t{args.batch} * args.in_h * args.in_w * args.channels);
  for (int64_t i = 0; i < input.size(); ++i) input[i] = value(random, args.multiplier);
  args.input = input.data();
  const int64_t rows = int64_t{args.batch} * (args.pad_top + args.in_h + args.pad_bottom);
  const int64_t bytes = rows * (args.pad_left + args.in_w + args.pad_right) * args.channels;
  Array<uint8_t> expected(bytes);
  args.output = expected.data();
  reference::kernels().quantize(args, 0, rows);
  for (const Kernels* kernels : tables()) {
    Array<uint8_t> output(bytes);
    args.output = output.data();
    in_pieces(random, rows, [&](int64_t begin, int64_t end) { kernels->quantize(args, begin, end); });
    CHECK(output == expected, "%s quantize differs from reference, seed %u, zero point %d", kernels->name, seed,
          args.zero_point);
  }
}

// The reference on values worked out by hand.
void check_by_hand() {
  const Kernels& reference = reference::kernels();
  const float input[] = {0.5f, 1.5f, 2.5f, -0.5f, -1.5f, -0.0f, 300, -300, std::nanf("")};
  uint8_t bytes[9];
  reference.quantize({1, 1, 9, 1, 0, 0, 0, 0, 1.0f, 3, input, bytes}, 0, 1);
  const uint8_t expected[] = {3, 5, 5, 3, 1, 3, 255, 0, 0};
  CHECK(std::memcmp(bytes, expected, sizeof bytes) == 0, "quantize");
  uint8_t padded[12];
  reference.quantize({1, 1, 2, 1, 1, 1, 1, 1, 2.0f, 130, input, padded}, 0, 3);
  const uint8_t framed[] = {130, 130, 130, 130, 130, 131, 133, 130, 130, 130, 130, 130};
  CHECK(std::memcmp(padded, framed, sizeof padded) == 0, "quantize with padding");

  ConvShape s = dense(1, 2, 2);
  const uint8_t pixels[4 + kInt8Slack] = {130, 128, 0, 255};
  const int8_t weight[] = {1, -3, -127, 127};
  const float scale[] = {0.5f, 1}, bias[] = {0, 1};
  float output[4];
  Packed packed(reference::int8_conv.pack_bytes(s));
  reference::int8_conv.pack(s, 128, weight, packed.data());
  reference::int8_conv.run(
      {s, pixels, packed.data(), {scale, bias, nullptr, nullptr, nullptr, Activation::none}, output}, 0, 2);
  CHECK(output[0] == 1 && output[1] == -253 && output[2] == -254.5f && output[3] == 32386, "int8_conv");
}

}  // namespace
}  // namespace onebit::test

int main() {
  using namespace onebit::test;
  check_by_hand();
  const uint32_t shapes = case_count(2000);
  for (uint32_t seed = 0; seed < shapes; ++seed) {
    Random random(seed);
    const auto extremes = seed % 10 == 0 ? Extremes::positive : seed % 10 == 1 ? Extremes::negative : Extremes::none;
    check_and_cross(seed, seed % 20 < 3 ? wide_conv(random) : padded_conv(random, 100000), extremes);
    cross_quantize(seed);
  }
  uint32_t seed = shapes;  // the longest dot products
  for (const Extremes extremes : {Extremes::positive, Extremes::negative, Extremes::none}) {
    check_and_cross(seed++, dense(1, 65536, 17), extremes);
    check_and_cross(seed++, dense(256, 1, 3), extremes);
    check_and_cross(seed++, dense(147, 3, 5), extremes);
  }
  for (const onebit::Kernels* kernels : tables())
    std::printf("%s: %u shapes equal the reference\n", kernels->name, seed);
}
