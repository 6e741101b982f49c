/* Runs a compiled model on a device without an operating system: no heap, no files, no threads. The program is a
 * constant array, used where it lies, in flash; all memory that changes is an arena that the caller gives.
 *
 *   #include "digits.h"                                   made by: onebit compile digits.obn -o digits.h
 *   #include "onebit/embedded.h"
 *
 *   static ONEBIT_ALIGNED uint8_t arena[DIGITS_ARENA_BYTES];
 *
 *   if (onebit_program_check(digits_program, sizeof digits_program) != ONEBIT_OK) ...      once, at the start
 *   if (onebit_program_run(digits_program, arena, sizeof arena, image) != ONEBIT_OK) ...
 *   const float* logits = onebit_program_output(digits_program, arena, 0);
 *
 * One arena serves one run at a time; several programs may share it in turn. The answers are the same bits as those of
 * a session on the machine that compiled the program. */
#ifndef ONEBIT_EMBEDDED_H
#define ONEBIT_EMBEDDED_H

#include "onebit/onebit.h"

#ifdef __cplusplus
extern "C" {
#endif

/* Of programs and arenas, in bytes. */
#define ONEBIT_PROGRAM_ALIGNMENT 64
#define ONEBIT_ALIGNED __attribute__((aligned(ONEBIT_PROGRAM_ALIGNMENT)))

/* Checks magic, version, sizes and the checksum over all of the program; `size` may be larger than it, as a flash
 * partition is. ONEBIT_BAD_FILE: it is no program, or damaged or cut off. ONEBIT_UNSUPPORTED: another version of onebit
 * compiled it. The functions below rely on this check. What passes it is trusted as the rest of the firmware is: the
 * checksum finds damage, not malice. */
ONEBIT_API onebit_status onebit_program_check(const void* program, size_t size) ONEBIT_NOEXCEPT;

/* Of the program itself, and of the arena that it needs. */
ONEBIT_API size_t onebit_program_bytes(const void* program) ONEBIT_NOEXCEPT;
ONEBIT_API size_t onebit_program_arena_bytes(const void* program) ONEBIT_NOEXCEPT;

ONEBIT_API onebit_shape onebit_program_input(const void* program) ONEBIT_NOEXCEPT;
ONEBIT_API size_t onebit_program_output_count(const void* program) ONEBIT_NOEXCEPT;
/* Zeros if the index is out of range. */
ONEBIT_API onebit_shape onebit_program_output_shape(const void* program, size_t index) ONEBIT_NOEXCEPT;

/* Runs one sample. input: h * w * c floats, channels innermost, finite, normalised as in training; not in the arena.
 * ONEBIT_NO_MEMORY: the arena is too small. ONEBIT_INVALID_ARGUMENT: a pointer is null or not aligned. */
ONEBIT_API onebit_status onebit_program_run(const void* program, void* arena, size_t arena_bytes,
                                            const float* input) ONEBIT_NOEXCEPT;

/* h * w * c floats in the arena, until the next run; null if the index is out of range. */
ONEBIT_API const float* onebit_program_output(const void* program, const void* arena, size_t index) ONEBIT_NOEXCEPT;

#ifdef __cplusplus
}
#endif

#endif
