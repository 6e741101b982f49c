#include "learner/learner.h"

#include <algorithm>
#include <cmath>

#include "base/error.h"
#include "integer/softmax.h"
#include "kernels/registry.h"
#include "learner/tail_learner.h"

namespace onebit::learner {
namespace {

// FNV-1a, 64 bits.
uint64_t experience_hash(const std::string& id) {
  uint64_t hash = 0xCBF29CE484222325u;
  for (const char c : id) hash = (hash ^ static_cast<unsigned char>(c)) * 0x100000001B3u;
  return hash;
}

using First = std::pair<Constant, State>;

void format(store::File& file, const First& first, uint32_t history) {
  store::Store::format(file, history, encode(first.first), state_bytes(first.first),
                       [&](store::Writer& out) { encode(first.second, out); });
}

[[noreturn]] void refuse(std::string message, std::string hint = "") {
  throw Error(ONEBIT_INVALID_ARGUMENT, std::move(message), std::move(hint));
}

}  // namespace

Learner Learner::create(const std::string& path, Backbone backbone, const Options& options) {
  const Hash hash = backbone.hash;
  const auto tail = backbone.tail;
  std::unique_ptr<store::File> file;
  {
    const First first = first_state(std::move(backbone), options);
    file = store::create_file(path, store::Store::file_size(state_bytes(first.first), options.history),
                              [&](store::File& made) { format(made, first, options.history); });
  }
  return open(std::move(file), hash, tail);
}

Learner Learner::create(std::unique_ptr<store::File> region, Backbone backbone, const Options& options) {
  const Hash hash = backbone.hash;
  const auto tail = backbone.tail;
  format(*region, first_state(std::move(backbone), options), options.history);
  return open(std::move(region), hash, tail);
}

uint64_t Learner::bytes(Backbone backbone, const Options& options) {
  return store::Store::file_size(state_bytes(first_state(std::move(backbone), options).first), options.history);
}

Learner Learner::open(std::unique_ptr<store::File> file, const Hash& backbone,
                      const std::shared_ptr<const Tail>& tail) {
  auto store = store::Store::open(std::move(file));
  const Constant constant = decode_constant(store.constant());
  if (constant.backbone != backbone) {
    throw Error(ONEBIT_INVALID_ARGUMENT, "this learner's state belongs to another backbone (the model's hash differs)",
                "open it with the model that it was made for");
  }
  std::unique_ptr<TailLearner> tail_learner;
  if (constant.tail.any()) {
    if (!tail || !constant.fits(*tail))
      throw Error(ONEBIT_BAD_FILE, "the learner's state is of another tail than its model has",
                  "restore the file from a copy, or make a new learner");
    tail_learner = std::make_unique<TailLearner>(tail);
  }
  return Learner(std::move(store), constant, std::move(tail_learner));
}

Learner::Learner(store::Store store, Constant constant, std::unique_ptr<TailLearner> tail_learner)
    : store_(std::move(store)), constant_(constant), tail_learner_(std::move(tail_learner)), head_(&best_isa().head()) {
  store_.read([this](store::Reader& in) { state_ = decode_state(constant_, in); });
  answers_ = answers_of(state_);
}

Learner::Learner(Learner&&) noexcept = default;
Learner& Learner::operator=(Learner&&) noexcept = default;
Learner::~Learner() = default;

size_t Learner::input_width() const { return tail_learner_ ? tail_learner_->width() : constant_.numbers.features; }

uint64_t Learner::tail_operations() const {
  uint64_t sum = 0;
  if (!tail_learner_) return sum;
  const Tail& tail = tail_learner_->tail();
  for (size_t i = 0; i < tail.layers.size(); ++i) {
    const uint64_t products = static_cast<uint64_t>(tail.layers[i].weight_count() * tail.values[i + 1].pixels());
    sum += products * (tail.layers[i].input == 0 ? 2 : 3);  // forward, the weights' gradient, the input's
  }
  return sum;
}

Learner::Answers Learner::answers_of(const State& state) const {
  const size_t width = constant_.numbers.width();
  Answers answers;
  std::vector<int16_t> rows;
  for (const uint32_t slot : state.seen()) {
    answers.classes.push_back(state.classes[slot]);
    rows.insert(rows.end(), &state.cw[slot * width], &state.cw[slot * width] + width);
  }
  const size_t count = answers.classes.size();
  answers.weights.resize(count * static_cast<size_t>(head_pitch(static_cast<int64_t>(width))));
  answers.span = quantize_weights(*head_, rows.data(), count, width, answers.weights.data()).span;
  return answers;
}

void Learner::adopt(State&& state, Answers&& answers) noexcept {
  state_ = std::move(state);
  answers_ = std::move(answers);
  if (tail_learner_) tail_learner_->masters_changed();
}

void Learner::restore_tail() {
  if (!tail_missing_) return;
  State newest;
  store_.read([&](store::Reader& in) { newest = decode_state(constant_, in); });
  state_.tail = std::move(newest.tail);
  state_.replay = std::move(newest.replay);
  tail_missing_ = false;
}

void Learner::check_finite(const float* features, size_t count) const {
  const size_t width = input_width();
  for (size_t i = 0; i < count * width; ++i) {
    if (!std::isfinite(features[i]))
      refuse(text("the features of image ", i / width, " hold a value that is not finite"), "check that image");
  }
}

void Learner::settle() {
  if (prepared_) refuse("an experience is prepared and not committed", "commit or discard it first");
  restore_tail();
}

bool Learner::counted(const std::string& experience) const {
  const size_t remembered = std::min<uint64_t>(state_.taught, state_.experiences.size());
  const auto end = state_.experiences.begin() + static_cast<std::ptrdiff_t>(remembered);
  return std::find(state_.experiences.begin(), end, experience_hash(experience)) != end;
}

bool Learner::teach(const float* features, const std::vector<std::string>& names, const std::string& experience,
                    const TrainOptions& options) {
  const bool done = prepare(features, names, experience, options);
  if (done) commit();
  return done;
}

bool Learner::prepare(const float* features, const std::vector<std::string>& names, const std::string& experience,
                      const TrainOptions& options) {
  settle();
  if (names.empty()) refuse("there is nothing to learn: no image was given");
  if (experience.empty()) refuse("an experience needs an id");
  if (options.steps < 1 || options.steps > 1000000 || options.batch < 1 || options.batch > kMaxBatch ||
      !(options.learning_rate > 0 && options.learning_rate <= 1e6)) {
    refuse(text("steps is 1 to 1000000, the batch 1 to ", kMaxBatch, ", the learning rate above 0 and at most 1e6"));
  }
  if (has_tail() && (options.epochs < 1 || options.epochs > 10000 || options.replayed < 1 ||
                     !(options.tail_rate >= 0 && options.tail_rate <= 1e6))) {
    refuse("with a tail epochs is 1 to 10000, the tail's rate 0 to 1e6, replayed from 1 on");
  }
  if (has_tail() && options.replayed >= options.batch) {
    refuse(text("a mini-batch of ", options.batch, " has no new sample beside ", options.replayed, " replayed ones"),
           "let batch be larger than replayed");
  }
  if (counted(experience)) return false;
  check_finite(features, names.size());

  State named;
  named.classes = state_.classes;
  std::vector<uint32_t> slots;
  for (const std::string& name : names) slots.push_back(named.slot_for(name));
  before_ = {state_.classes, state_.cw, state_.experiences, state_.taught, state_.random, {}, {}};
  answers_before_ = answers_;
  State next = std::move(state_);
  prepared_ = true;
  tail_missing_ = has_tail();
  try {
    next.classes = std::move(named.classes);
    train(next, features, slots, options);
    next.experiences[next.taught % next.experiences.size()] = experience_hash(experience);
    ++next.taught;
    Answers answers = answers_of(next);
    adopt(std::move(next), std::move(answers));
    tail_missing_ = false;
  } catch (...) {
    next = {};  // frees the memory for the tail, which is read again
    abandon();
    throw;
  }
  return true;
}

void Learner::train(State& next, const float* features, const std::vector<uint32_t>& slots,
                    const TrainOptions& options) {
  const Numbers& numbers = constant_.numbers;
  if (tail_learner_) {
    tail_learner_->teach(numbers, next, features, slots, options);
    return;
  }
  std::vector<int16_t> inputs(slots.size() * numbers.width());
  for (size_t i = 0; i < slots.size(); ++i)
    numbers.quantize(features + i * numbers.features, &inputs[i * numbers.width()]);
  cwr_teach(numbers, next, inputs, slots, options);
}

void Learner::commit() {
  if (!prepared_) refuse("no experience is prepared", "prepare one first");
  try {
    store_.commit([this](store::Writer& out) { encode(state_, out); });
  } catch (...) {
    abandon();
    throw;
  }
  prepared_ = false;
}

void Learner::discard() {
  if (prepared_) {
    adopt(std::move(before_), std::move(answers_before_));
    tail_missing_ = has_tail();
    prepared_ = false;
  }
  restore_tail();
}

void Learner::abandon() noexcept {
  try {
    discard();
  } catch (...) {  // the tail is read later; the first error is the one to report
  }
}

void Learner::predict(const float* features, size_t count, uint32_t* probabilities) const {
  if (tail_missing_) throw Error(ONEBIT_IO, "the learner's state could not be read again", "open the learner again");
  if (classes().empty()) refuse("this learner knows no class yet", "teach it one");
  check_finite(features, count);
  const size_t width = constant_.numbers.width();
  const Factor factor = constant_.numbers.score_factor(answers_.span);
  std::vector<int16_t> inputs(TailLearner::kAtOnce * width);
  std::vector<int32_t> scores(classes().size());
  std::vector<int64_t> powers(classes().size());
  for (size_t i = 0; i < count; ++i) {
    const size_t place = i % TailLearner::kAtOnce, rest = std::min(count - i, TailLearner::kAtOnce);
    const float* sample = features + i * input_width();
    if (!tail_learner_) constant_.numbers.quantize(sample, &inputs[place * width]);
    if (tail_learner_ && place == 0)
      tail_learner_->features(constant_.numbers, state_.tail, sample, rest, inputs.data());
    const int16_t* input = &inputs[place * width];
    head_->scores({answers_.weights.data(), static_cast<int64_t>(classes().size()), static_cast<int64_t>(width), &input,
                   1, scores.data(), 1});
    softmax(scores.data(), scores.size(), factor, powers.data(), probabilities + i * classes().size());
  }
}

void Learner::forget(const std::string& name) {
  settle();
  State next = state_;
  ClassSlot& slot = next.find(name);
  const size_t width = constant_.numbers.width(), row = static_cast<size_t>(&slot - next.classes.data());
  slot = {};
  next.replay.erase(static_cast<uint32_t>(row));
  std::fill_n(next.cw.begin() + static_cast<std::ptrdiff_t>(row * width), width, int16_t{0});
  Answers answers = answers_of(next);
  const uint64_t sequence = store_.sequence();
  try {
    store_.commit_and_erase([&](store::Writer& out) { encode(next, out); });
  } catch (...) {
    if (store_.sequence() != sequence)  // committed, and not yet erased
      adopt(std::move(next), std::move(answers));
    throw;
  }
  adopt(std::move(next), std::move(answers));
}

void Learner::rename(const std::string& name, const std::string& new_name) {
  settle();
  State next = state_;
  next.rename(name, new_name);
  Answers answers = answers_of(next);
  store_.commit([&](store::Writer& out) { encode(next, out); });
  adopt(std::move(next), std::move(answers));
}

void Learner::rollback(uint32_t commits) {
  settle();
  State state;
  Answers answers;
  store_.rollback(commits, [&](store::Reader& in) {
    state = decode_state(constant_, in);
    answers = answers_of(state);
  });
  adopt(std::move(state), std::move(answers));
}

}  // namespace onebit::learner
