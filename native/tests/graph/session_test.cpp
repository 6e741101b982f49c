// Arena, pool, plan and session: no value overlaps a living one, every row is done once, the answer depends on neither
// batch, threads, instruction set nor wanted outputs, and a run allocates nothing.
#include "graph/session.h"

#include <atomic>
#include <cstring>
#include <memory>
#include <random>
#include <set>
#include <string>

#include "base/error.h"
#include "graph/arena.h"
#include "graph/operations.h"
#include "kernels/reference/tables.h"
#include "kernels/registry.h"
#include "support/allocations.h"
#include "support/check.h"
#include "support/obn_writer.h"
#include "support/strips.h"

using namespace onebit;

namespace {

void arenas() {
  std::mt19937 random(1);
  for (int round = 0; round < 300; ++round) {
    std::vector<Lifetime> lifetimes;
    const uint32_t steps = 1 + random() % 40;
    uint64_t together = 0;
    for (uint32_t step = 0; step < steps; ++step) {
      lifetimes.push_back({1 + random() % 5000, step, step + static_cast<uint32_t>(random() % 5)});
      together += (lifetimes.back().bytes + 63) / 64 * 64;
    }
    const Arena arena = place(lifetimes);
    CHECK(arena.bytes <= together, "the arena is larger than all values");
    for (size_t i = 0; i < lifetimes.size(); ++i) {
      CHECK(arena.offsets[i] % 64 == 0 && arena.offsets[i] + lifetimes[i].bytes <= arena.bytes, "outside");
      for (size_t j = 0; j < i; ++j) {
        const bool at_once = lifetimes[j].last >= lifetimes[i].first;
        const bool apart = arena.offsets[j] + lifetimes[j].bytes <= arena.offsets[i] ||
                           arena.offsets[i] + lifetimes[i].bytes <= arena.offsets[j];
        CHECK(apart || !at_once, "values %zu and %zu overlap", j, i);
      }
    }
  }
  const std::vector<Lifetime> chain = {{640, 0, 1}, {640, 1, 2}, {640, 2, 3}, {640, 3, 4}};
  CHECK(place(chain).bytes == 2 * 640, "a chain takes two buffers");
}

void pools() {
  for (int threads = 1; threads <= 4; ++threads) {
    ThreadPool pool(threads);
    for (int round = 0; round < 2000; ++round) {
      const int rows = round % 37;
      std::vector<int> done(37, 0);
      pool.split(rows, [&](int64_t begin, int64_t end, size_t) {
        for (int64_t row = begin; row < end; ++row) ++done[static_cast<size_t>(row)];
      });
      for (int row = 0; row < 37; ++row) CHECK(done[static_cast<size_t>(row)] == (row < rows), "row %d", row);
    }
  }
}

std::shared_ptr<const Plan> make_plan(std::shared_ptr<const Model> model, const Kernels& kernels, int32_t batch,
                                      int threads = 1, const std::vector<std::string>& outputs = {}) {
  auto weights = std::make_shared<const PackedWeights>(*model, kernels);
  return std::make_shared<const Plan>(std::move(model), kernels, std::move(weights), batch, threads, outputs);
}

// One sample at a time and on the plainest kernels, or many at once: so many that the threads share each step.
void sessions(const test::FileWriter& writer, int32_t samples) {
  const test::Buffer file = writer.bytes();
  const auto model = read_model(Bytes::from_memory(file.data(), file.size()));
  const size_t elements = model->input_value().elements();
  std::mt19937 random(2);
  const auto many = static_cast<size_t>(samples);
  std::vector<float> input(many * elements);
  for (float& x : input) x = static_cast<float>(random() % 2001) / 1000.0f - 1.0f;

  std::vector<std::vector<float>> expected;
  for (const Output& output : model->outputs) expected.emplace_back(many * model->values[output.value].elements());
  Session one(make_plan(model, reference::kernels(), 1));
  for (size_t i = 0; i < many; ++i) {
    std::vector<float*> outputs;
    for (auto& output : expected) outputs.push_back(&output[i * (output.size() / many)]);
    one.run(&input[i * elements], 1, outputs.data());
  }
  CHECK(std::memcmp(&expected[0][0], &expected[0][expected[0].size() / 2], 16) != 0, "two images answer alike");

  for (const char* const* name = available_isas(); *name != nullptr; ++name) {
    for (int threads = 1; threads <= 3; ++threads) {
      Session session(make_plan(model, select_isa(*name)->kernels(), samples + 1, threads));
      for (int round = 0; round < 2; ++round) {
        auto got = expected;
        std::vector<float*> outputs;
        for (auto& output : got) {
          std::fill(output.begin(), output.end(), -1.0f);
          outputs.push_back(output.data());
        }
        const uint64_t before = allocations;
        session.run(input.data(), samples, outputs.data());
        CHECK(allocations == before, "a run allocated");
        CHECK(got == expected, "%s with %d threads answers differently", *name, threads);
      }
    }
    const std::string last = model->outputs.back().name;
    Session session(make_plan(model, select_isa(*name)->kernels(), samples, 1, {last}));
    std::vector<float> got(expected.back().size());
    float* const outputs[] = {got.data()};
    session.run(input.data(), samples, outputs);
    CHECK(got == expected.back(), "%s answers differently to %s alone", *name, last.c_str());
  }
}

// Whole words of bits and bytes, which every kind of kernel takes: 9 x 9 x 64 floats in, 9 x 9 x 48 out.
test::FileWriter plain_layers() {
  using test::absent;
  test::FileWriter w;
  std::vector<uint32_t> words(64 * 9 * 2);
  for (size_t i = 0; i < words.size(); ++i) words[i] = static_cast<uint32_t>(i) * 2654435761u;
  std::vector<int8_t> bytes(48 * 64);
  for (size_t i = 0; i < bytes.size(); ++i) bytes[i] = static_cast<int8_t>(static_cast<int>(i * 7919 % 255) - 127);
  std::vector<float> bounds;
  for (int i = 0; i < 64; ++i) bounds.insert(bounds.end(), {0.0f, __builtin_inff()});
  w.text("weights.sha256", std::string(64, '0'));
  const uint32_t input = w.value(ValueType::f32, 9, 9, 64);
  const uint32_t bits =
      w.node(Op::binarize, {input}, w.value(ValueType::bits, 9, 9, 64), {w.tensor(DType::f32, {64, 2}, bounds)});
  const uint32_t sums = w.node(Op::conv_binary, {bits, input}, w.value(ValueType::f32, 9, 9, 64),
                               {w.tensor(DType::bits, {64, 3, 3, 64}, words), absent, absent, absent, absent, absent},
                               {1, 1, 1, 1, 1, 1, 1, 1, 1, 0, 0});
  const uint32_t last = w.node(Op::conv_int8, {sums}, w.value(ValueType::f32, 9, 9, 48),
                               {w.tensor(DType::i8, {48, 1, 1, 64}, bytes), absent, absent, absent, absent,
                                w.tensor<float>(DType::f32, {1}, {2.5f})},
                               {1, 1, 0, 0, 0, 0, 1, 1, 1, 0, 90});
  w.outputs = {{last, "last"}};
  return w;
}

// A table in which the kernels of one place come first, whatever the clock would say.
class Forced {
 public:
  Forced(const Kernels& kernels, int32_t place) : table_(kernels) {
    force(table_.float_conv, float_, place);
    force(table_.binary_conv, binary_, place);
    force(table_.int8_conv, int8_, place);
  }

  const Kernels& table() const { return table_; }

 private:
  template <class Kernel>
  static void force(KernelList<Kernel>& list, Kernel& first, int32_t place) {
    if (place >= list.count()) return;
    first = list[place];
    first.candidate = false;
    list = list.after(first);
  }

  Kernels table_;
  FloatConvKernel float_ = {};
  BinaryConvKernel binary_ = {};
  Int8ConvKernel int8_ = {};
};

// The answer does not depend on which kernels are chosen.
void choices() {
  static std::vector<std::unique_ptr<Forced>> tables;  // a choice is kept as long as the process
  const test::Buffer file = plain_layers().bytes();
  const auto model = read_model(Bytes::from_memory(file.data(), file.size()));
  std::vector<float> input(9 * 9 * 64), expected(9 * 9 * 48);
  std::mt19937 random(4);
  for (float& x : input) x = static_cast<float>(random() % 2001) / 1000.0f - 1.0f;
  const auto answer = [&](const Kernels& kernels, float* output) {
    const auto plan = make_plan(model, kernels, 1);
    float* const outputs[] = {output};
    Session(plan).run(input.data(), 1, outputs);
    std::string names;
    for (const PackedWeights::Layer& layer : plan->weights->layers) names += std::string(layer.kernel_name) + ", ";
    return names;
  };
  answer(reference::kernels(), expected.data());
  for (const char* const* name = available_isas(); *name != nullptr; ++name) {
    std::set<std::string> chosen;
    for (int32_t place = 0; place < KernelList<BinaryConvKernel>::kMax; ++place) {
      std::vector<float> got(expected.size(), -1.0f);
      tables.push_back(std::make_unique<Forced>(select_isa(*name)->kernels(), place));
      const std::string names = answer(tables.back()->table(), got.data());
      CHECK(got == expected, "%s answers differently on %s", *name, names.c_str());
      chosen.insert(names);
    }
    CHECK(&select_isa(*name)->kernels() == &reference::kernels() || chosen.size() > 1, "%s: no choice", *name);
  }
}

void unneeded_nodes() {
  const test::Buffer file = test::example().bytes();
  const auto model = read_model(Bytes::from_memory(file.data(), file.size()));
  const auto plan = make_plan(model, reference::kernels(), 1, 1, {"features"});
  for (const Step& step : plan->steps)
    CHECK(model->nodes[step.node].output != model->outputs[0].value, "the dense layer is run without need");
}

// Taps that meet inside the image, counted one by one.
void operation_counts() {
  std::mt19937 random(3);
  const auto between = [&](int low, int high) {
    return low + static_cast<int>(random() % static_cast<unsigned>(high - low + 1));
  };
  for (int round = 0; round < 500; ++round) {
    Model model{Bytes::from_memory(nullptr, 0), {}, {}, {}, {}, {}, 0};
    Tensor weight{};
    Node node{};
    node.op = Op::conv_float;
    node.weight = &weight;
    node.input = 0, node.output = 1;
    const int side = between(1, 9);
    node.kernel_h = between(1, 4), node.dilation_h = between(1, 3), node.stride_h = between(1, 4);
    const int reach = node.dilation_h * (node.kernel_h - 1) + 1;
    node.pad_top = between(0, reach - 1), node.pad_bottom = between(0, reach - 1);
    const int room = side + node.pad_top + node.pad_bottom - reach;
    if (room < 0) continue;
    const int out = room / node.stride_h + 1;
    model.values = {{ValueType::f32, static_cast<uint32_t>(side), 1, 2},
                    {ValueType::f32, static_cast<uint32_t>(out), 1, 3}};
    uint64_t expected = 0;
    for (int o = 0; o < out; ++o)
      for (int k = 0; k < node.kernel_h; ++k) {
        const int y = o * node.stride_h - node.pad_top + k * node.dilation_h;
        expected += y >= 0 && y < side ? 2 * 3 : 0;
      }
    CHECK(operations(model, node) == expected, "side %d kernel %d", side, node.kernel_h);
  }
}

void refusals() {
  const test::Buffer file = test::example().bytes();
  const auto model = read_model(Bytes::from_memory(file.data(), file.size()));
  const auto refused = [&](const auto& call) {
    try {
      call();
    } catch (const Error& error) {
      return error.status == ONEBIT_INVALID_ARGUMENT;
    }
    return false;
  };
  CHECK(refused([&] { make_plan(model, reference::kernels(), 0); }), "batch 0");
  CHECK(refused([&] { make_plan(model, reference::kernels(), 5000); }), "batch 5000");
  CHECK(refused([&] { make_plan(model, reference::kernels(), 1, 1, {"boxes"}); }), "no such output");
  CHECK(refused([&] { make_plan(model, reference::kernels(), 1, 0); }), "0 threads");
}

// While one thread runs, another one's call is refused, and neither waits.
void busy() {
  const test::Buffer file = test::example().bytes();
  onebit_model* model = nullptr;
  onebit_session* session = nullptr;
  const onebit_session_options options{4096, 1, "reference", nullptr, 0};
  CHECK(onebit_model_open_memory(file.data(), file.size(), &model, nullptr) == ONEBIT_OK, "open");
  CHECK(onebit_session_open(model, &options, &session, nullptr) == ONEBIT_OK, "open");
  onebit_model_close(model);  // the session keeps what it needs
  const std::vector<float> input(4096 * 90, 0.5f);
  std::atomic<bool> refused{false}, running{true};
  const auto call = [&] {
    std::vector<float> logits(4096 * 4), features(4096 * 38);
    float* const outputs[] = {logits.data(), features.data()};
    return onebit_session_run(session, input.data(), 64, outputs, nullptr);
  };
  std::thread other([&] {
    while (running)
      if (call() == ONEBIT_BUSY) refused = true;
  });
  for (int i = 0; i < 1000 && !refused; ++i)
    if (call() == ONEBIT_BUSY) refused = true;
  running = false;
  other.join();
  CHECK(refused, "two threads ran in one session");
  CHECK(call() == ONEBIT_OK, "a session is free again after a run");
  onebit_session_close(session);
}

}  // namespace

int main() {
  busy();
  arenas();
  pools();
  operation_counts();
  sessions(test::example(), 24);
  sessions(test::strips(), 100);
  choices();
  unneeded_nodes();
  refusals();
}
