/* The C API of the onebit engine: reads an .obn file and runs it.
 *
 * A model is immutable and may be shared between threads. A session holds the memory of one run; it serves one thread
 * at a time, and a call while another is running in it is refused with ONEBIT_BUSY. Functions that can fail return a
 * status and, where `error` is not null, say there what is wrong and how to mend it. No exception crosses this
 * boundary.
 *
 *   onebit_error error;
 *   onebit_model* model;
 *   onebit_session* session;
 *   if (onebit_model_open("m.obn", &model, &error) != ONEBIT_OK) { puts(error.message); return 1; }
 *   onebit_session_options options = ONEBIT_SESSION_DEFAULTS;
 *   if (onebit_session_open(model, &options, &session, &error) != ONEBIT_OK) { puts(error.message); return 1; }
 *   float* outputs[] = {logits};                        one buffer an output, here `logits`
 *   onebit_session_run(session, image, 1, outputs, &error);
 *   onebit_session_close(session);
 *   onebit_model_close(model);
 *
 * native/tests/capi/c_test.c is a whole program. */
#ifndef ONEBIT_ONEBIT_H
#define ONEBIT_ONEBIT_H

#include <stddef.h>
#include <stdint.h>

#if defined(_WIN32)
#define ONEBIT_API
#else
#define ONEBIT_API __attribute__((visibility("default")))
#endif

#ifdef __cplusplus
#define ONEBIT_NOEXCEPT noexcept
extern "C" {
#else
#define ONEBIT_NOEXCEPT
#endif

typedef enum onebit_status {
  ONEBIT_OK = 0,
  ONEBIT_INVALID_ARGUMENT = 1, /* the caller's mistake */
  ONEBIT_IO = 2,               /* the operating system refused */
  ONEBIT_BAD_FILE = 3,         /* the file is damaged or breaks the format's rules */
  ONEBIT_UNSUPPORTED = 4,      /* a newer version, or an instruction set that is not here */
  ONEBIT_BUSY = 5,             /* another thread is inside this session */
  ONEBIT_NO_MEMORY = 6,
  ONEBIT_INTERNAL = 7 /* a fault of onebit */
} onebit_status;

/* UTF-8, always terminated; the hint may be empty. */
typedef struct onebit_error {
  char message[512];
  char hint[256];
} onebit_error;

typedef struct onebit_model onebit_model;
typedef struct onebit_session onebit_session;

/* An image per sample: h * w * c floats, channels innermost. */
typedef struct onebit_shape {
  uint32_t h, w, c;
} onebit_shape;

/* ---- The model. Strings and arrays that it returns live until it is closed. ---- */

/* Reads the file and checks all of it. One of 16 MiB or more is mapped: it may be replaced by renaming another over it
 * while the model is open, but not changed in place; on POSIX systems, making it shorter would end the process. */
ONEBIT_API onebit_status onebit_model_open(const char* path, onebit_model** model, onebit_error* error) ONEBIT_NOEXCEPT;

/* The same from memory. Bytes that are aligned to 64 are used in place and must stay as they are until the model and
 * its sessions are closed; others are copied. */
ONEBIT_API onebit_status onebit_model_open_memory(const void* bytes, size_t size, onebit_model** model,
                                                  onebit_error* error) ONEBIT_NOEXCEPT;

/* Null is allowed. Open sessions stay valid. */
ONEBIT_API void onebit_model_close(onebit_model* model) ONEBIT_NOEXCEPT;

ONEBIT_API onebit_shape onebit_model_input(const onebit_model* model) ONEBIT_NOEXCEPT;

ONEBIT_API size_t onebit_model_output_count(const onebit_model* model) ONEBIT_NOEXCEPT;
ONEBIT_API const char* onebit_model_output_name(const onebit_model* model, size_t index) ONEBIT_NOEXCEPT;
ONEBIT_API onebit_shape onebit_model_output_shape(const onebit_model* model, size_t index) ONEBIT_NOEXCEPT;

/* Class names in the order of the logits; the count is 0 if the file has none. */
ONEBIT_API size_t onebit_model_class_count(const onebit_model* model) ONEBIT_NOEXCEPT;
ONEBIT_API const char* onebit_model_class_name(const onebit_model* model, size_t index) ONEBIT_NOEXCEPT;

/* An entry of META ("provenance", "weights.sha256", "input.mean", ...); null if it is absent or of another type. */
ONEBIT_API const char* onebit_model_text(const onebit_model* model, const char* key) ONEBIT_NOEXCEPT;
ONEBIT_API const float* onebit_model_floats(const onebit_model* model, const char* key, size_t* count) ONEBIT_NOEXCEPT;
ONEBIT_API const uint32_t* onebit_model_integers(const onebit_model* model, const char* key,
                                                 size_t* count) ONEBIT_NOEXCEPT;

/* A node of the graph. */
typedef struct onebit_layer {
  const char* name;
  const char* op;     /* "conv_binary", "conv_float", ... as in docs/file-format.md */
  onebit_shape input; /* of the first input */
  onebit_shape output;
  uint32_t weight_bits; /* 1, 8, 32, or 0 without weights */
  uint64_t bytes;       /* of its constant tensors in the file */
  uint64_t operations;  /* multiply-accumulates per sample, taps outside the image left out; 0 without weights */
  uint64_t traffic;     /* bytes of its inputs, output and constants, a sample */
} onebit_layer;

ONEBIT_API size_t onebit_model_layer_count(const onebit_model* model) ONEBIT_NOEXCEPT;
/* Zeros if the index is out of range. */
ONEBIT_API onebit_layer onebit_model_layer(const onebit_model* model, size_t index) ONEBIT_NOEXCEPT;

/* ---- The session ---- */

typedef struct onebit_session_options {
  uint32_t batch;             /* maximum samples per run, 1 to 4096 */
  uint32_t threads;           /* 1 to 256; 1 runs in the calling thread alone */
  const char* isa;            /* one of onebit_isa, or null for ONEBIT_ISA of the environment, else the best */
  const char* const* outputs; /* names of the outputs wanted; null for all. Only what they need is run */
  size_t output_count;        /* of the names */
} onebit_session_options;

#define ONEBIT_SESSION_DEFAULTS {1, 1, NULL, NULL, 0}

/* Allocates all that a run needs. Sessions of one model share its rearranged weights. Where several kernels can run a
 * convolution, the first session of the process with such a shape tries them for some milliseconds and takes the
 * fastest; the answers are the same bits. */
ONEBIT_API onebit_status onebit_session_open(onebit_model* model, const onebit_session_options* options,
                                             onebit_session** session, onebit_error* error) ONEBIT_NOEXCEPT;

/* Null is allowed. Not while a run is going on. */
ONEBIT_API void onebit_session_close(onebit_session* session) ONEBIT_NOEXCEPT;

/* Runs `count` samples (1 to batch). input: count * h * w * c floats, finite, normalised as in training. outputs: a
 * buffer for each wanted output, in the order of the options (or of the model), of count * h * w * c floats of that
 * output. */
ONEBIT_API onebit_status onebit_session_run(onebit_session* session, const float* input, uint32_t count,
                                            float* const* outputs, onebit_error* error) ONEBIT_NOEXCEPT;

/* Nanoseconds that each layer of the model took in the last run; 0 for one that was not needed. `times` has room for
 * onebit_model_layer_count numbers. */
ONEBIT_API onebit_status onebit_session_profile(onebit_session* session, uint64_t* times,
                                                onebit_error* error) ONEBIT_NOEXCEPT;

ONEBIT_API const char* onebit_session_isa(const onebit_session* session) ONEBIT_NOEXCEPT;

/* Which kernel a convolution runs, such as "avx2 nibbles"; of another layer the instruction set. Null if there is no such
 * layer. */
ONEBIT_API const char* onebit_session_kernel(const onebit_session* session, size_t layer) ONEBIT_NOEXCEPT;

ONEBIT_API uint64_t onebit_session_arena_bytes(const onebit_session* session) ONEBIT_NOEXCEPT;
ONEBIT_API uint64_t onebit_session_weight_bytes(const onebit_session* session) ONEBIT_NOEXCEPT;

/* ---- This machine ---- */

/* Instruction sets that this build and this CPU have, best first; null past the last. */
ONEBIT_API const char* onebit_isa(size_t index) ONEBIT_NOEXCEPT;

/* What one thread reaches in the caches with an instruction set's own kernels on a layer of a good shape: the base of a
 * layer's floor. Takes some tenths of a second. */
typedef struct onebit_rates {
  double binary; /* 1-bit multiply-accumulates per second */
  double real;   /* binary32 multiply-accumulates per second */
  double bytes;  /* bytes copied per second, read and written ones both counted */
  double int8;   /* multiply-accumulates of bytes per second */
} onebit_rates;
ONEBIT_API onebit_status onebit_measure_rates(const char* isa, onebit_rates* rates,
                                              onebit_error* error) ONEBIT_NOEXCEPT;

/* CRC-32C as docs/file-format.md states it; `initial` is the checksum of what came before, 0 for nothing. */
ONEBIT_API uint32_t onebit_crc32c(const void* bytes, size_t size, uint32_t initial) ONEBIT_NOEXCEPT;

#ifdef __cplusplus
}
#endif

#endif
