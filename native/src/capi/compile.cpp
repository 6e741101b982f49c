#include "capi/model.h"
#include "capi/status.h"
#include "graph/program.h"
#include "onebit/compile.h"

onebit_status onebit_model_compile(onebit_model* model, const char* const* outputs, size_t output_count, void** program,
                                   size_t* size, onebit_error* error) noexcept {
  return onebit::guarded(error, [&] {
    onebit::expect(model != nullptr && program != nullptr && size != nullptr,
                   "model, program and size may not be null");
    *program = nullptr;
    std::vector<std::string> names;
    for (size_t i = 0; i < output_count && outputs != nullptr; ++i) {
      onebit::expect(outputs[i] != nullptr, "an output's name is null");
      names.emplace_back(outputs[i]);
    }
    onebit::AlignedMemory compiled = onebit::compile(model->model, names);
    *size = reinterpret_cast<const onebit::ProgramHeader*>(compiled.get())->bytes;
    *program = compiled.release();
  });
}

void onebit_program_free(void* program) noexcept { onebit::FreeDeleter()(program); }
