// What a learner takes from a packed model: the weights of its last dense layer as real numbers, or a refusal.
#include "learner/backbone.h"

#include "base/error.h"
#include "support/check.h"
#include "support/obn_writer.h"

using namespace onebit;

namespace {

learner::Backbone backbone_of(const test::FileWriter& writer) {
  const test::Buffer file = writer.bytes();
  return learner::read_backbone(*read_model(Bytes::from_memory(file.data(), file.size())));
}

// The example with a scale and a bias, its dense layer in floats or in bytes.
test::FileWriter classifier(bool int8) {
  test::FileWriter w = test::example();
  auto& dense = w.nodes.back();
  dense.tensors[1] = w.tensor<float>(DType::f32, {4}, {0.5f, 1.0f, 2.0f, -4.0f});
  dense.tensors[2] = w.tensor<float>(DType::f32, {4}, {1.0f, 2.0f, 3.0f, 4.0f});
  if (int8) {
    std::vector<int8_t> weight;
    for (int i = 0; i < 4 * 38; ++i) weight.push_back(static_cast<int8_t>(i % 255 - 127));
    dense.op = Op::conv_int8;
    dense.tensors[0] = w.tensor(DType::i8, {4, 1, 1, 38}, weight);
    dense.tensors[5] = w.tensor<float>(DType::f32, {1}, {0.25f});
    dense.attributes[10] = 7;
  }
  return w;
}

void heads() {
  const learner::Backbone real = backbone_of(classifier(false)), bytes = backbone_of(classifier(true));
  const float scale[] = {0.5f, 1.0f, 2.0f, -4.0f};
  CHECK(real.features == 38 && real.weight.size() == 4 * 38 && bytes.weight.size() == 4 * 38, "sizes");
  CHECK(real.weight[0] == -1.0f * scale[0], "the first weight is %g", static_cast<double>(real.weight[0]));
  for (int i = 0; i < 4 * 38; ++i) {
    const float expected = static_cast<float>(i - 127) * 0.25f * scale[i / 38];
    CHECK(bytes.weight[static_cast<size_t>(i)] == expected, "weight %d", i);
  }
  for (const auto& backbone : {real, bytes}) CHECK((backbone.bias == std::vector<float>{1, 2, 3, 4}), "bias");
}

void refusals() {
  const auto refused = [](const char* what, const test::FileWriter& writer) {
    try {
      backbone_of(writer);
    } catch (const Error& error) {
      return error.message.find(what) != std::string::npos;
    }
    return false;
  };
  test::FileWriter activated = classifier(true), named = classifier(true), pooled = classifier(true);
  activated.nodes.back().attributes[9] = 1;
  CHECK(refused("not one dense layer", activated), "an activation after the dense layer");
  named.outputs[1].name = "pixels";
  CHECK(refused("no output 'features'", named), "no features");
  pooled.meta.erase(pooled.meta.begin() + 1);
  CHECK(refused("range", pooled), "no range");
}

}  // namespace

int main() {
  heads();
  refusals();
}
