// The learner of a frozen backbone: CWR* over a durable store. Each change is one commit, which is stored as a whole or
// not at all.
#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "learner/backbone.h"
#include "store/store.h"

namespace onebit::learner {

class TailLearner;

class Learner {
 public:
  Learner(Learner&&) noexcept;
  Learner& operator=(Learner&&) noexcept;
  ~Learner();

  static Learner create(const std::string& path, Backbone backbone, const Options& options);
  // Formats a region of bytes(backbone, options) bytes, whatever it held.
  static Learner create(std::unique_ptr<store::File> region, Backbone backbone, const Options& options);
  static uint64_t bytes(Backbone backbone, const Options& options);
  // tail: that of the backbone, or null. Throws Error if the state belongs to a backbone with another hash.
  static Learner open(std::unique_ptr<store::File> file, const Hash& backbone,
                      const std::shared_ptr<const Tail>& tail = nullptr);

  // Whether the tail learns too. Then the input is latents wherever this header says features.
  bool has_tail() const { return tail_learner_ != nullptr; }
  // The floats of one sample.
  size_t input_width() const;
  // Multiply-accumulate operations that train the tail with one sample.
  uint64_t tail_operations() const;

  // features: names.size() x input_width() floats, finite. Returns false and changes nothing if this experience was
  // taught before.
  bool teach(const float* features, const std::vector<std::string>& names, const std::string& experience,
             const TrainOptions& options);
  // The two halves of teach(): after prepare() classes() and predict() are those after the experience, and the store is
  // as before; commit() stores the state, discard() drops it, as does a commit that fails. Until then every other
  // change throws Error.
  bool prepare(const float* features, const std::vector<std::string>& names, const std::string& experience,
               const TrainOptions& options);
  void commit();
  void discard();
  // Whether the experience is among the last max_experiences that were taught.
  bool counted(const std::string& experience) const;
  // probabilities: count x classes, in units of 1 / kOne, in the order of classes().
  void predict(const float* features, size_t count, uint32_t* probabilities) const;
  // Erases the class's row and count, and every earlier commit, since those hold them too.
  void forget(const std::string& name);
  // new_name: one that no class has. Earlier commits keep the old name.
  void rename(const std::string& name, const std::string& new_name);
  void rollback(uint32_t commits);

  const std::vector<ClassSlot>& classes() const { return answers_.classes; }  // those seen
  const Constant& constant() const { return constant_; }
  const State& state() const { return state_; }
  const store::Store& store() const { return store_; }
  store::Store& store() { return store_; }

 private:
  // What predict() reads, beside the tail: made from a state.
  struct Answers {
    std::vector<ClassSlot> classes;
    std::vector<int16_t> weights;  // Q_8 of the seen rows of cw, padded (kernels/head.h)
    int32_t span = 0;
  };

  Learner(store::Store store, Constant constant, std::unique_ptr<TailLearner> tail_learner);
  Answers answers_of(const State& state) const;
  void adopt(State&& state, Answers&& answers) noexcept;
  void train(State& next, const float* features, const std::vector<uint32_t>& slots, const TrainOptions& options);
  void abandon() noexcept;
  void restore_tail();
  void settle();
  void check_finite(const float* features, size_t count) const;

  store::Store store_;
  Constant constant_;
  std::unique_ptr<TailLearner> tail_learner_;
  const HeadKernels* head_;
  State state_;  // what the newest commit holds, or what prepare() made of it
  Answers answers_;
  // The state before prepare(), without the tail's masters and the replay memory, which discard() reads from the store.
  State before_;
  Answers answers_before_;
  bool prepared_ = false, tail_missing_ = false;
};

}  // namespace onebit::learner
