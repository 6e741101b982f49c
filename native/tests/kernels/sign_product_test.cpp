// Every table of products of bytes by signs against a loop written out here.
#include "kernels/sign_product.h"

#include "kernels/portable/tables.h"
#include "support/random_cases.h"

namespace onebit::test {
namespace {

std::vector<const SignKernels*> sign_tables() {
  std::vector<const SignKernels*> all = {&portable::signs()};
  for (const Isa* isa : isas()) {
    const SignKernels* kernels = &isa->signs();
    if (std::find(all.begin(), all.end(), kernels) == all.end()) all.push_back(kernels);
  }
  return all;
}

struct Case {
  int64_t rows, columns, terms, left_segments, right_segments;
  Array<int8_t> h;        // [row][left segment][term]
  Array<uint32_t> right;  // [right segment][term][words]
  std::vector<SignPair> pairs;

  int32_t expected(int64_t row, int64_t column) {
    int32_t sum = 0;
    for (const SignPair pair : pairs) {
      for (int64_t k = 0; k < terms; ++k) {
        const uint32_t word = right[(pair.right * terms + k) * words_for(columns) + column / 32];
        const int32_t term = h[(row * left_segments + pair.left) * terms + k];
        sum += word >> (column % 32) & 1 ? -term : term;
      }
    }
    return sum;
  }
};

Case random_case(Random& random) {
  const int64_t rows = random.between(1, 9), columns = random.between(1, 300), terms = random.between(1, 140);
  const int64_t left = random.between(1, 5), right = random.between(1, 5);
  Case made = {
      rows, columns, terms, left, right, Array<int8_t>(rows * left * terms), bits(random, right * terms, columns), {}};
  // All of the same sign where 16 bits are nearest to their end.
  constexpr int kRanges[][2] = {{127, 127}, {-128, -128}, {-128, 127}, {-3, 3}};
  const auto& [least, most] = kRanges[random.between(0, 3)];
  for (int64_t i = 0; i < made.h.size(); ++i) made.h[i] = static_cast<int8_t>(random.between(least, most));
  if (random.chance(20))
    for (int64_t i = 0; i < made.right.size(); ++i) made.right[i] = 0xffffffffu;
  for (int pairs = random.between(0, 9); pairs > 0; --pairs)
    made.pairs.push_back(
        {random.between(0, static_cast<int>(left) - 1), random.between(0, static_cast<int>(right) - 1)});
  return made;
}

void equals_loops(const SignKernels& kernels, Case& made) {
  const int64_t steps = (made.terms + kernels.terms - 1) / kernels.terms, padded = steps * kernels.terms;
  const int64_t segments = made.left_segments, blocks = (made.columns + kernels.columns - 1) / kernels.columns;
  Packed left_memory(static_cast<size_t>(made.rows * segments * steps * kernels.left_bytes));
  auto* left = static_cast<uint8_t*>(left_memory.data());
  Array<int32_t> sums(made.rows * segments), output(made.rows * made.columns);
  for (int64_t segment = 0; segment < made.rows * segments; ++segment) {
    Array<int8_t> h(padded);
    sums[segment] = 0;
    for (int64_t k = 0; k < padded; ++k) {
      h[k] = k < made.terms ? made.h[segment * made.terms + k] : int8_t{0};
      sums[segment] += h[k];
    }
    kernels.spread(h.data(), steps, left + segment * steps * kernels.left_bytes);
  }
  const int64_t block_step = made.right_segments * steps * kernels.right_bytes;
  Packed right_memory(static_cast<size_t>(blocks * block_step));
  auto* right = static_cast<uint8_t*>(right_memory.data());
  const int64_t words = words_for(made.columns);
  for (int64_t segment = 0; segment < made.right_segments; ++segment)
    kernels.pack({segment, made.terms, made.columns, made.right.data() + segment * made.terms * words, words, right,
                  block_step});
  for (int64_t block = 0; block < blocks; ++block) {
    const int64_t first = block * kernels.columns;
    kernels.run({made.rows, std::min(kernels.columns, made.columns - first), steps, left, sums.data(), segments,
                 right + block * block_step, made.pairs.data(), static_cast<int64_t>(made.pairs.size()),
                 output.data() + first, made.columns});
  }
  for (int64_t row = 0; row < made.rows; ++row) {
    for (int64_t column = 0; column < made.columns; ++column) {
      CHECK(output[row * made.columns + column] == made.expected(row, column), "%s: row %d, column %d", kernels.name,
            static_cast<int>(row), static_cast<int>(column));
    }
  }
}

void run() {
  Random random(3);
  for (uint32_t i = 0; i < case_count(60); ++i) {
    Case made = random_case(random);
    for (const SignKernels* kernels : sign_tables()) equals_loops(*kernels, made);
  }
}

}  // namespace
}  // namespace onebit::test

int main() { onebit::test::run(); }
