/* Turns a model into a program for a device without an operating system, where onebit/embedded.h runs it. */
#ifndef ONEBIT_COMPILE_H
#define ONEBIT_COMPILE_H

#include "onebit/onebit.h"

#ifdef __cplusplus
extern "C" {
#endif

/* A program computes one sample at a time, with the `portable` kernels. `outputs` names those that it is to have, null
 * all. The program is aligned to ONEBIT_PROGRAM_ALIGNMENT; the same model gives the same bytes. Free it with
 * onebit_program_free. */
ONEBIT_API onebit_status onebit_model_compile(onebit_model* model, const char* const* outputs, size_t output_count,
                                              void** program, size_t* size, onebit_error* error) ONEBIT_NOEXCEPT;

/* Null is allowed. */
ONEBIT_API void onebit_program_free(void* program) ONEBIT_NOEXCEPT;

#ifdef __cplusplus
}
#endif

#endif
