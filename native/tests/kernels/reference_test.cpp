// The reference against an independent count: integer images with their padding written out, whole tensors in (sample,
// channel, row, column) order, nothing packed. Values are small integers, which floats hold exactly.
#include "kernels/reference/tables.h"
#include "support/random_cases.h"

namespace onebit::test {
namespace {

class Tensor {
 public:
  Tensor(int n, int c, int h, int w) : c_(c), h_(h), w_(w), values_(static_cast<size_t>(n) * c * h * w) {}
  double& at(int n, int c, int y, int x) { return values_[((static_cast<size_t>(n) * c_ + c) * h_ + y) * w_ + x]; }

 private:
  int c_, h_, w_;
  std::vector<double> values_;
};

// Convolution by scattering: every input position adds to the outputs that it reaches.
Tensor convolve(const ConvShape& s, Tensor& padded, int height, int width, Tensor& weight) {
  Tensor sums(s.batch, s.out_c, s.out_h, s.out_w);
  const int in = s.in_c / s.groups, out = s.out_c / s.groups;
  for (int n = 0; n < s.batch; ++n)
    for (int y = 0; y < height; ++y)
      for (int x = 0; x < width; ++x)
        for (int ky = 0; ky < s.kernel_h; ++ky)
          for (int kx = 0; kx < s.kernel_w; ++kx) {
            const int top = y - ky * s.dilation_h, left = x - kx * s.dilation_w;
            if (top < 0 || left < 0 || top % s.stride_h || left % s.stride_w) continue;
            const int oy = top / s.stride_h, ox = left / s.stride_w;
            if (oy >= s.out_h || ox >= s.out_w) continue;
            for (int o = 0; o < s.out_c; ++o)
              for (int c = 0; c < in; ++c)
                sums.at(n, o, oy, ox) += padded.at(n, o / out * in + c, y, x) * weight.at(o, c, ky, kx);
          }
  return sums;
}

double expected_epilogue(const Epilogue& e, double y, int o, int64_t index) {
  if (e.scale) y *= static_cast<double>(e.scale[o]);
  if (e.bias) y += static_cast<double>(e.bias[o]);
  if (e.residual) y += static_cast<double>(e.residual[index]);
  if (e.activation == Activation::relu) y = std::fmax(y, 0.0);
  if (e.activation == Activation::hardtanh) y = std::fmin(std::fmax(y, -1.0), 1.0);
  if (e.activation == Activation::prelu && y < 0) y *= static_cast<double>(e.slope[o]);
  if (e.post) y += static_cast<double>(e.post[o]);
  return y;
}

void make_integers(Random& random, Array<float>& array) {
  for (int64_t i = 0; i < array.size(); ++i) array[i] = static_cast<float>(random.between(-3, 3));
}

void set_bit(Array<uint32_t>& words, int64_t row, int64_t channels, int c, double value) {
  uint32_t& word = words[row * words_for(channels) + c / 32];
  if (c % 32 == 0) word = 0;
  if (value < 0) word |= 1u << (c % 32);
}

void check(uint32_t seed) {
  Random random(seed);
  const ConvShape s = random_conv(random, 30000);
  const int in = s.in_c / s.groups, pad_value = random.between(-1, 1);
  const bool binary = random.chance(60);
  // As far as any window reaches to the bottom and right.
  const int height = (s.out_h - 1) * s.stride_h + (s.kernel_h - 1) * s.dilation_h + 1;
  const int width = (s.out_w - 1) * s.stride_w + (s.kernel_w - 1) * s.dilation_w + 1;
  Tensor padded(s.batch, s.in_c, height, width), weight(s.out_c, in, s.kernel_h, s.kernel_w);
  Array<float> input(int64_t{s.batch} * s.in_h * s.in_w * s.in_c),
      weights(int64_t{s.out_c} * s.kernel_h * s.kernel_w * in);
  Array<uint32_t> input_bits(int64_t{s.batch} * s.in_h * s.in_w * words_for(s.in_c));
  Array<uint32_t> weight_bits(int64_t{s.out_c} * s.kernel_h * s.kernel_w * words_for(in));
  const auto value = [&] { return binary ? (random.chance(50) ? 1.0 : -1.0) : random.between(-4, 4); };

  for (int n = 0; n < s.batch; ++n)
    for (int y = 0; y < height; ++y)
      for (int x = 0; x < width; ++x)
        for (int c = 0; c < s.in_c; ++c) padded.at(n, c, y, x) = binary ? pad_value : 0;
  int64_t row = 0;
  for (int n = 0; n < s.batch; ++n)
    for (int y = 0; y < s.in_h; ++y)
      for (int x = 0; x < s.in_w; ++x, ++row)
        for (int c = 0; c < s.in_c; ++c) {
          const double v = value();
          input[row * s.in_c + c] = static_cast<float>(v);
          set_bit(input_bits, row, s.in_c, c, v);
          if (y + s.pad_top < height && x + s.pad_left < width) padded.at(n, c, y + s.pad_top, x + s.pad_left) = v;
        }
  row = 0;
  for (int o = 0; o < s.out_c; ++o)
    for (int ky = 0; ky < s.kernel_h; ++ky)
      for (int kx = 0; kx < s.kernel_w; ++kx, ++row)
        for (int c = 0; c < in; ++c) {
          const double v = weight.at(o, c, ky, kx) = value();
          weights[row * in + c] = static_cast<float>(v);
          set_bit(weight_bits, row, in, c, v);
        }

  Tensor sums = convolve(s, padded, height, width, weight);
  const int64_t rows = int64_t{s.batch} * s.out_h, outputs = rows * s.out_w * s.out_c;
  RandomEpilogue epilogue(random, s.out_c, outputs);
  for (auto* part : {&epilogue.scale, &epilogue.bias, &epilogue.slope, &epilogue.post, &epilogue.residual}) {
    make_integers(random, *part);
  }
  Array<int32_t> interval(2 * s.out_c);
  for (int64_t i = 0; i < interval.size(); ++i) interval[i] = random.between(-in, in);

  Array<float> output(outputs);
  Array<uint32_t> output_bits(rows * s.out_w * words_for(s.out_c));
  if (binary) {
    Packed packed(reference::binary_conv.pack_bytes(s));
    reference::binary_conv.pack(s, weight_bits.data(), packed.data());
    BinaryConvArgs args = {
        s, pad_value, input_bits.data(), packed.data(), epilogue.epilogue, interval.data(), output.data(), nullptr};
    reference::binary_conv.run(args, 0, rows);
    args.output = nullptr;
    args.output_bits = output_bits.data();
    reference::binary_conv.run(args, 0, rows);
  } else {
    Packed packed(reference::float_conv.pack_bytes(s));
    reference::float_conv.pack(s, weights.data(), packed.data());
    reference::float_conv.run({s, input.data(), packed.data(), epilogue.epilogue, output.data()}, 0, rows);
  }

  for (int64_t pixel = 0; pixel < rows * s.out_w; ++pixel) {
    for (int o = 0; o < s.out_c; ++o) {
      const auto n = static_cast<int>(pixel / s.out_w / s.out_h), oy = static_cast<int>(pixel / s.out_w % s.out_h);
      const double sum = sums.at(n, o, oy, static_cast<int>(pixel % s.out_w));
      const int64_t index = pixel * s.out_c + o;
      const double wanted = expected_epilogue(epilogue.epilogue, sum, o, index);
      if (static_cast<double>(output[index]) != wanted) print(s);
      CHECK(static_cast<double>(output[index]) == wanted, "seed %u, %g is not %g", seed,
            static_cast<double>(output[index]), wanted);
      if (!binary) continue;
      const bool minus = sum < interval[2 * o] || sum > interval[2 * o + 1];
      const uint32_t word = output_bits[pixel * words_for(s.out_c) + o / 32];
      CHECK((word >> (o % 32) & 1) == minus, "seed %u, bit of output %d", seed, o);
      CHECK(o != s.out_c - 1 || s.out_c % 32 == 0 || word >> (s.out_c % 32) == 0, "seed %u, spare bits", seed);
    }
  }
}

// Pools, pointwise and binarize on values worked out by hand.
void check_by_hand() {
  const Kernels& reference = reference::kernels();
  const float image[] = {1, -2, 3, 4, -5, 6, 7, 8, 9};  // 3 x 3, one channel
  float pooled[4];
  PoolArgs pool = {1, 3, 3, 1, 2, 2, 2, 2, 2, 2, 1, 1, 0, 0, false, image, pooled};
  reference.max_pool(pool, 0, 2);
  CHECK(pooled[0] == 1 && pooled[1] == 3 && pooled[2] == 7 && pooled[3] == 9, "max_pool");
  reference.average_pool(pool, 0, 2);
  CHECK(pooled[0] == 1 && pooled[1] == 0.5f && pooled[2] == 5.5f && pooled[3] == 4.5f, "average_pool");
  pool.count_padding = true;
  reference.average_pool(pool, 0, 2);
  CHECK(pooled[0] == 0.25f && pooled[1] == 0.25f && pooled[2] == 2.75f && pooled[3] == 4.5f,
        "average_pool with padding");

  const float infinity = std::numeric_limits<float>::infinity();
  const float values[] = {-0.0f, 1, 2, std::nanf(""), 0.5f, -infinity};
  const float interval[] = {0, infinity, -infinity, 1, -infinity, 1, -infinity, infinity, 1, 0, -infinity, 0};
  uint32_t word = ~0u;
  reference.binarize({1, 6, values, interval, &word}, 0, 1);
  CHECK(word == 0b011100u, "binarize gives %x", word);

  const float two[] = {2, -1}, one[] = {1, 1}, residual[] = {3, -7, 0, 5}, slope[] = {0.5f, 0.25f};
  const float input[] = {1, 2, -4, 8};
  float output[4];
  reference.pointwise({1, 2, input, {two, one, residual, slope, one, Activation::prelu}, output}, 0, 2);
  CHECK(output[0] == 7 && output[1] == -1 && output[2] == -2.5f && output[3] == 0.5f, "pointwise");
}

}  // namespace
}  // namespace onebit::test

int main() {
  using namespace onebit::test;
  const uint32_t shapes = case_count(1500);
  for (uint32_t seed = 0; seed < shapes; ++seed) check(seed);
  check_by_hand();
  std::printf("reference: %u shapes equal the independent count\n", shapes);
}
