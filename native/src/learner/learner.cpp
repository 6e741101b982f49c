#include "learner/learner.h"

#include <algorithm>
#include <cmath>

#include "error.h"
#include "learner/softmax.h"
#include "learner/teachable.h"

namespace onebit::learner {
namespace {

// FNV-1a, 64 bits.
uint64_t experience_hash(const std::string& id) {
  uint64_t hash = 0xCBF29CE484222325u;
  for (const char c : id) hash = (hash ^ static_cast<unsigned char>(c)) * 0x100000001B3u;
  return hash;
}

[[noreturn]] void refuse(std::string message, std::string hint = "") {
  throw Error(ONEBIT_INVALID_ARGUMENT, std::move(message), std::move(hint));
}

void check_name(const std::string& name) {
  if (!valid_name(name)) {
    refuse(text("the class name ", quoted(name), " cannot be used"),
           text("a name is 1 to ", kNameBytes - 1, " bytes of UTF-8 without control characters"));
  }
}

uint32_t slot_for(State& state, const std::string& name) {
  const auto find = [&state](const std::string& wanted) {
    return std::find_if(state.classes.begin(), state.classes.end(),
                        [&](const ClassSlot& slot) { return slot.name == wanted; });
  };
  check_name(name);
  auto slot = find(name);
  if (slot == state.classes.end()) {
    slot = find("");
    if (slot == state.classes.end()) {
      refuse(text("no room for the class ", quoted(name), ": all ", state.classes.size(), " are in use"),
             "forget a class, or make a learner with a larger max_classes");
    }
    slot->name = name;
  }
  return static_cast<uint32_t>(slot - state.classes.begin());
}

// The tail's masters and the first items of the replay memory; slot_of: of each class of the head, or kFree.
void start_tail(const Backbone& backbone, uint32_t replay, const std::vector<uint32_t>& slot_of, Constant& constant,
                State& state) {
  if (replay > kMaxItems) refuse(text("the replay memory has at most ", kMaxItems, " items"));
  const auto words = static_cast<size_t>(backbone.tail->words());
  constant.tail = {replay, static_cast<uint32_t>(words), backbone.masters.weights.size(),
                   backbone.masters.parameters.size()};
  state.tail = backbone.masters;
  state.replay = make_replay(replay, words);
  const size_t items = backbone.item_labels.size(), taken = std::min<size_t>(items, replay);
  for (size_t j = 0, place = 0; j < taken; ++j) {
    const size_t item = items > replay ? j * items / replay : j;
    const uint32_t label = backbone.item_labels[item];
    if (label >= slot_of.size()) refuse(text("an item to replay is of class ", label), "export the model again");
    if (slot_of[label] == Replay::kFree) continue;
    state.replay.put(place++, backbone.item_bits.data() + item * words, slot_of[label]);
  }
}

void check_backbone(const Backbone& b) {
  const size_t classes = b.names.size();
  if (b.features < 1 || b.features + !b.bias.empty() > kMaxWidth)
    refuse(text("a learner reads 1 to ", kMaxWidth - 1, " features"));
  if (b.samples.size() != classes || b.weight.size() != classes * b.features ||
      (!b.bias.empty() && b.bias.size() != classes)) {
    refuse("the head does not fit the class names", "export the model again");
  }
  const auto finite = [](float v) { return std::isfinite(v); };
  if (!std::all_of(b.weight.begin(), b.weight.end(), finite) || !std::all_of(b.bias.begin(), b.bias.end(), finite)) {
    refuse("the head has weights that are not finite", "export the model again");
  }
  if (!std::isfinite(b.low) || !std::isfinite(b.high) || b.low > b.high) {
    refuse(text("the range of the features is not a range: ", b.low, " to ", b.high),
           "export the model with calibration images");
  }
}

}  // namespace

std::pair<Constant, State> Learner::start(const Backbone& backbone, const Options& options) {
  check_backbone(backbone);
  Constant constant;
  constant.backbone = backbone.hash;
  constant.max_classes = options.max_classes;
  constant.max_experiences = options.max_experiences;
  Numbers& numbers = constant.numbers;
  numbers.features = backbone.features;
  numbers.bias = !backbone.bias.empty();
  numbers.quantizer = FeatureQuantizer::from_range(backbone.low, backbone.high);
  if (!valid_step(numbers.quantizer.step)) {
    refuse(text("the range of the features is too small or too large: ", backbone.low, " to ", backbone.high),
           "export the model with calibration images");
  }
  if (options.max_classes < 1 || options.max_classes > kMaxClasses || options.max_experiences < 1 ||
      options.max_experiences > kMaxExperiences) {
    refuse(text("max_classes is 1 to ", kMaxClasses, " and max_experiences 1 to ", kMaxExperiences));
  }

  State state;
  const size_t width = numbers.width();
  state.classes.resize(options.max_classes);
  state.cw.resize(options.max_classes * width);
  state.experiences.resize(options.max_experiences);
  state.random.state = options.seed;

  const double column = static_cast<double>(numbers.quantizer.step) * numbers.bias_level();
  std::vector<double> rows;
  std::vector<uint32_t> slots, slot_of(backbone.names.size(), Replay::kFree);
  for (size_t j = 0; j < backbone.names.size(); ++j) {
    if (backbone.samples[j] == 0) continue;
    const size_t before = state.seen().size();
    slots.push_back(slot_for(state, backbone.names[j]));
    slot_of[j] = slots.back();
    if (state.seen().size() == before) refuse(text("the backbone has the class ", quoted(backbone.names[j]), " twice"));
    state.classes[slots.back()].past = backbone.samples[j];
    const float* weight = backbone.weight.data() + j * backbone.features;
    rows.insert(rows.end(), weight, weight + backbone.features);
    if (numbers.bias) rows.push_back(static_cast<double>(backbone.bias[j]) / column);
  }
  double mean = 0, largest = 0;
  for (const double w : rows) mean += w;
  if (!rows.empty()) mean /= static_cast<double>(rows.size());
  for (double& w : rows) largest = std::max(largest, std::fabs(w -= mean));
  // Room for weights four times as large as the head's; without a head, for logits of 4 from one feature.
  if (largest == 0) largest = 1 / (static_cast<double>(numbers.quantizer.step) * kLevels);
  numbers.fraction = 13 - static_cast<int32_t>(std::ceil(std::log2(largest)));
  if (std::abs(numbers.fraction) > kMaxFraction)
    refuse("the head's weights are too small or too large", "scale the features in the model");
  for (size_t k = 0; k < slots.size(); ++k) {
    for (size_t i = 0; i < width; ++i) {
      const double master = std::nearbyint(std::ldexp(rows[k * width + i], numbers.fraction));
      state.cw[slots[k] * width + i] = saturate16(static_cast<int64_t>(master));
    }
  }
  if (backbone.tail && options.replay) start_tail(backbone, options.replay, slot_of, constant, state);
  return {constant, std::move(state)};
}

Learner Learner::create(const std::string& path, const Backbone& backbone, const Options& options) {
  auto [constant, state] = start(backbone, options);
  const auto header = encode(constant);
  const auto payload = encode(state);
  auto file =
      store::create_file(path, store::Store::file_size(payload.size(), options.history),
                         [&](store::File& made) { store::Store::format(made, options.history, header, payload); });
  return open(std::move(file), backbone.hash, backbone.tail);
}

Learner Learner::create(std::unique_ptr<store::File> region, const Backbone& backbone, const Options& options) {
  const auto [constant, state] = start(backbone, options);
  store::Store::format(*region, options.history, encode(constant), encode(state));
  return open(std::move(region), backbone.hash, backbone.tail);
}

uint64_t Learner::bytes(const Backbone& backbone, const Options& options) {
  return store::Store::file_size(encode(start(backbone, options).second).size(), options.history);
}

Learner Learner::open(std::unique_ptr<store::File> file, const Hash& backbone,
                      const std::shared_ptr<const Tail>& tail) {
  auto store = store::Store::open(std::move(file));
  const Constant constant = decode_constant(store.constant());
  if (constant.backbone != backbone) {
    throw Error(ONEBIT_INVALID_ARGUMENT, "this learner's state belongs to another backbone (the model's hash differs)",
                "open it with the model that it was made for");
  }
  std::unique_ptr<Teachable> teachable;
  if (constant.tail.any()) {
    if (!tail || !constant.tail.fits(*tail))
      throw Error(ONEBIT_BAD_FILE, "the learner's state is of another tail than its model has",
                  "restore the file from a copy, or make a new learner");
    teachable = std::make_unique<Teachable>(tail);
  }
  auto state = decode_state(constant, store.payload());
  return Learner(std::move(store), constant, std::move(state), std::move(teachable));
}

Learner::Learner(store::Store store, Constant constant, State state, std::unique_ptr<Teachable> teachable)
    : store_(std::move(store)), constant_(constant), teachable_(std::move(teachable)) {
  load(std::move(state));
}

Learner::Learner(Learner&&) noexcept = default;
Learner& Learner::operator=(Learner&&) noexcept = default;
Learner::~Learner() = default;

size_t Learner::input_width() const { return teachable_ ? teachable_->width() : constant_.numbers.features; }

uint64_t Learner::tail_operations() const {
  uint64_t sum = 0;
  if (!teachable_) return sum;
  const Tail& tail = teachable_->tail();
  for (size_t i = 0; i < tail.layers.size(); ++i) {
    const uint64_t products = static_cast<uint64_t>(tail.layers[i].weight_count() * tail.values[i + 1].pixels());
    sum += products * (tail.layers[i].input == 0 ? 2 : 3);  // forward, the weights' gradient, the input's
  }
  return sum;
}

void Learner::load(State state) {
  const size_t width = constant_.numbers.width();
  std::vector<ClassSlot> classes;
  std::vector<int16_t> rows;
  for (const uint32_t slot : state.seen()) {
    classes.push_back(state.classes[slot]);
    rows.insert(rows.end(), &state.cw[slot * width], &state.cw[slot * width] + width);
  }
  std::vector<int16_t> weights(rows.size());
  span_ = quantize_weights(rows.data(), rows.size(), weights.data()).span;
  weights_ = std::move(weights);
  classes_ = std::move(classes);
  state_ = std::move(state);
  if (teachable_) teachable_->load(state_.tail);
}

void Learner::reload() { load(decode_state(constant_, store_.payload())); }

void Learner::check_finite(const float* features, size_t count) const {
  const size_t width = input_width();
  for (size_t i = 0; i < count * width; ++i) {
    if (!std::isfinite(features[i]))
      refuse(text("the features of image ", i / width, " hold a value that is not finite"), "check that image");
  }
}

void Learner::expect_settled() const {
  if (prepared_) refuse("a lesson is prepared and not committed", "commit or discard it first");
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
  expect_settled();
  if (names.empty()) refuse("there is nothing to learn: no image was given");
  if (experience.empty()) refuse("an experience needs an id");
  if (options.steps < 1 || options.steps > 1000000 || options.batch < 1 || options.batch > kMaxBatch ||
      !(options.learning_rate > 0 && options.learning_rate <= 1e6)) {
    refuse(text("steps is 1 to 1000000, the batch 1 to ", kMaxBatch, ", the learning rate above 0 and at most 1e6"));
  }
  if (has_tail() && (options.epochs < 1 || options.epochs > 10000 || options.replayed < 1 ||
                     options.replayed >= options.batch || !(options.tail_rate >= 0 && options.tail_rate <= 1e6))) {
    refuse("with a tail epochs is 1 to 10000, the tail's rate 0 to 1e6, replayed from 1 and below the batch");
  }
  if (counted(experience)) return false;
  check_finite(features, names.size());

  // The state of a tail is too large to be there twice; the store has it still.
  State next = teachable_ ? std::move(state_) : state_;
  try {
    train(next, features, names, options);
  } catch (...) {
    if (teachable_) {
      prepared_ = true;
      discard();
    }
    throw;
  }
  next.experiences[next.taught % next.experiences.size()] = experience_hash(experience);
  ++next.taught;
  prepared_ = true;
  load(std::move(next));
  return true;
}

void Learner::train(State& next, const float* features, const std::vector<std::string>& names,
                    const TrainOptions& options) {
  const Numbers& numbers = constant_.numbers;
  std::vector<uint32_t> slots;
  for (const std::string& name : names) slots.push_back(slot_for(next, name));
  if (teachable_) {
    teachable_->teach(numbers, next, features, slots, options);
    return;
  }
  std::vector<int16_t> inputs(names.size() * numbers.width());
  for (size_t i = 0; i < names.size(); ++i)
    numbers.quantize(features + i * numbers.features, &inputs[i * numbers.width()]);
  cwr_teach(numbers, next, inputs, slots, options);
}

void Learner::commit() {
  if (!prepared_ || state_.classes.empty()) refuse("no lesson is prepared", "prepare one first");
  try {
    store_.commit(encode(state_));
  } catch (...) {
    discard();
    throw;
  }
  prepared_ = false;
}

void Learner::discard() {
  if (!prepared_) return;
  reload();
  prepared_ = false;
}

void Learner::predict(const float* features, size_t count, uint32_t* probabilities) const {
  if (classes_.empty()) refuse("this learner knows no class yet", "teach it one");
  check_finite(features, count);
  const size_t width = constant_.numbers.width();
  const Factor factor = constant_.numbers.score_factor(span_);
  std::vector<int16_t> inputs(Teachable::kAtOnce * width);
  std::vector<int32_t> scores(classes_.size());
  std::vector<int64_t> powers(classes_.size());
  for (size_t i = 0; i < count; ++i) {
    const size_t place = i % Teachable::kAtOnce, rest = std::min(count - i, Teachable::kAtOnce);
    const float* sample = features + i * input_width();
    if (!teachable_) constant_.numbers.quantize(sample, &inputs[place * width]);
    if (teachable_ && place == 0) teachable_->features(constant_.numbers, sample, rest, inputs.data());
    head_scores(weights_.data(), classes_.size(), width, &inputs[place * width], scores.data());
    softmax(scores.data(), scores.size(), factor, powers.data(), probabilities + i * classes_.size());
  }
}

ClassSlot& Learner::find_class(State& state, const std::string& name) const {
  const auto found = std::find_if(state.classes.begin(), state.classes.end(),
                                  [&name](const ClassSlot& slot) { return !name.empty() && slot.name == name; });
  if (found == state.classes.end())
    refuse(text("there is no class ", quoted(name)), "see the names with: onebit learn show");
  return *found;
}

void Learner::forget(const std::string& name) {
  expect_settled();
  State next = state_;
  ClassSlot& slot = find_class(next, name);
  const size_t width = constant_.numbers.width(), row = static_cast<size_t>(&slot - next.classes.data());
  slot = {};
  next.replay.erase(static_cast<uint32_t>(row));
  std::fill_n(next.cw.begin() + static_cast<std::ptrdiff_t>(row * width), width, int16_t{0});
  try {
    store_.commit_and_erase(encode(next));
  } catch (...) {
    reload();  // the commit may be made and the erasing not
    throw;
  }
  load(std::move(next));
}

void Learner::rename(const std::string& name, const std::string& new_name) {
  expect_settled();
  State next = state_;
  ClassSlot& slot = find_class(next, name);
  check_name(new_name);
  for (const ClassSlot& other : next.classes) {
    if (other.name == new_name) refuse(text("there is a class ", quoted(new_name), " already"), "choose another name");
  }
  slot.name = new_name;
  store_.commit(encode(next));
  load(std::move(next));
}

void Learner::rollback(uint32_t commits) {
  expect_settled();
  store_.rollback(commits);
  reload();
}

}  // namespace onebit::learner
