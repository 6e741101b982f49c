#include <atomic>
#include <cstdlib>
#include <cstring>

#include "capi/model.h"
#include "capi/status.h"
#include "graph/rates.h"
#include "graph/session.h"
#include "kernels/registry.h"

struct onebit_session {
  explicit onebit_session(std::shared_ptr<const onebit::Plan> plan) : session(std::move(plan)) {}

  onebit::Session session;
  std::atomic_flag busy = ATOMIC_FLAG_INIT;
};

namespace {

// The kernels called `isa` (null: the environment's, else the best).
const onebit::Kernels& kernels_for(const char* isa) {
  const onebit::Isa* found = onebit::select_isa(isa == nullptr ? "" : isa);
  if (found != nullptr) return found->kernels();
  std::string have;
  for (const char* const* name = onebit::available_isas(); *name != nullptr; ++name)
    have += (have.empty() ? "" : ", ") + std::string(*name);
  const char* wanted = isa == nullptr ? std::getenv("ONEBIT_ISA") : isa;
  throw onebit::Error(
      ONEBIT_UNSUPPORTED,
      onebit::text("this CPU or this build has no instruction set ", onebit::quoted(wanted == nullptr ? "" : wanted)),
      "it has: " + have);
}

// Marks the session as busy while it lives.
class Turn {
 public:
  explicit Turn(onebit_session& session)
      : session_(session), mine_(!session.busy.test_and_set(std::memory_order_acquire)) {}
  ~Turn() {
    if (mine_) session_.busy.clear(std::memory_order_release);
  }
  Turn(const Turn&) = delete;
  Turn& operator=(const Turn&) = delete;

  bool mine() const { return mine_; }

 private:
  onebit_session& session_;
  const bool mine_;
};

onebit_status report_busy(onebit_error* error) {
  return onebit::report(ONEBIT_BUSY, "another thread is running in this session", "open a session for each thread",
                        error);
}

}  // namespace

onebit_status onebit_session_open(onebit_model* model, const onebit_session_options* options, onebit_session** session,
                                  onebit_error* error) noexcept {
  return onebit::guarded(error, [&] {
    onebit::expect(model != nullptr && options != nullptr && session != nullptr,
                   "model, options and session may not be null");
    *session = nullptr;
    onebit::expect(options->batch >= 1 && options->batch <= onebit::kMaxBatch, "batch is outside 1 to 4096");
    onebit::expect(options->threads >= 1 && options->threads <= onebit::kMaxThreads, "threads is outside 1 to 256");
    std::vector<std::string> outputs;
    for (size_t i = 0; i < options->output_count && options->outputs != nullptr; ++i) {
      onebit::expect(options->outputs[i] != nullptr, "an output's name is null");
      outputs.emplace_back(options->outputs[i]);
    }
    const onebit::Kernels& kernels = kernels_for(options->isa);
    auto plan = std::make_shared<const onebit::Plan>(model->model, kernels, model->weights(kernels),
                                                     static_cast<int32_t>(options->batch),
                                                     static_cast<int>(options->threads), outputs);
    *session = new onebit_session(std::move(plan));
  });
}

void onebit_session_close(onebit_session* session) noexcept { delete session; }

onebit_status onebit_session_run(onebit_session* session, const float* input, uint32_t count, float* const* outputs,
                                 onebit_error* error) noexcept {
  if (session == nullptr || input == nullptr || outputs == nullptr)
    return onebit::report(ONEBIT_INVALID_ARGUMENT, "session, input and outputs may not be null", "", error);
  const Turn turn(*session);
  if (!turn.mine()) return report_busy(error);
  const onebit::Plan& plan = session->session.plan();
  if (count < 1 || count > static_cast<uint32_t>(plan.batch))
    return onebit::report(ONEBIT_INVALID_ARGUMENT, "the number of samples is outside 1 to the session's batch",
                          "open a session with a larger batch", error);
  for (size_t i = 0; i < plan.outputs.size(); ++i)
    if (outputs[i] == nullptr) return onebit::report(ONEBIT_INVALID_ARGUMENT, "an output's buffer is null", "", error);
  session->session.run(input, static_cast<int32_t>(count), outputs);
  return onebit::report(ONEBIT_OK, "", "", error);
}

onebit_status onebit_session_profile(onebit_session* session, uint64_t* times, onebit_error* error) noexcept {
  if (session == nullptr || times == nullptr)
    return onebit::report(ONEBIT_INVALID_ARGUMENT, "session and times may not be null", "", error);
  const Turn turn(*session);
  if (!turn.mine()) return report_busy(error);
  const std::vector<uint64_t>& known = session->session.times();
  if (!known.empty()) std::memcpy(times, known.data(), known.size() * sizeof known[0]);
  return onebit::report(ONEBIT_OK, "", "", error);
}

const char* onebit_session_isa(const onebit_session* session) noexcept { return session->session.plan().kernels.name; }

const char* onebit_session_kernel(const onebit_session* session, size_t layer) noexcept {
  const auto& layers = session->session.plan().weights->layers;
  return layer < layers.size() ? layers[layer].kernel_name : nullptr;
}

uint64_t onebit_session_arena_bytes(const onebit_session* session) noexcept {
  const onebit::Plan& plan = session->session.plan();
  return plan.arena_bytes + plan.scratch_bytes * static_cast<uint64_t>(plan.threads);
}

uint64_t onebit_session_weight_bytes(const onebit_session* session) noexcept {
  return session->session.plan().weights->bytes;
}

const char* onebit_isa(size_t index) noexcept {
  const char* const* names = onebit::available_isas();
  for (size_t i = 0; names[i] != nullptr; ++i)
    if (i == index) return names[i];
  return nullptr;
}

onebit_status onebit_measure_rates(const char* isa, onebit_rates* rates, onebit_error* error) noexcept {
  return onebit::guarded(error, [&] {
    onebit::expect(rates != nullptr, "rates may not be null");
    *rates = onebit::measure_rates(kernels_for(isa));
  });
}
