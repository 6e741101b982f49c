/* The C API of the learner: a packed model keeps learning where it runs (docs/teach.md).
 *
 * The model is the frozen backbone: run it with the output that onebit_learner_input names (onebit_session_run) and hand
 * those floats to the learner. Every change is one commit to a file of fixed size: a power cut at any byte leaves the last commit or the
 * next one. A learner serves one thread at a time and locks its file against a second one.
 *
 *   onebit_learner* learner;
 *   onebit_teach_options teach = ONEBIT_TEACH_DEFAULTS;
 *   if (onebit_learner_open("learner.state", model, &learner, &error) != ONEBIT_OK) { puts(error.message); return 1; }
 *   onebit_learner_teach(learner, features, names, count, "monday", &teach, NULL, &error);
 *   onebit_learner_close(learner);
 *
 * native/examples/power_cut.c is a whole program, on a flash memory of its own. */
#ifndef ONEBIT_LEARNER_H
#define ONEBIT_LEARNER_H

#include "onebit/onebit.h"

#ifdef __cplusplus
extern "C" {
#endif

typedef struct onebit_learner onebit_learner;

typedef struct onebit_learner_options {
  uint32_t max_classes;     /* 1 to 65536; the file's size is fixed by the first three and `replay` */
  uint32_t max_experiences; /* ids that are remembered, 1 to 1048576; then the oldest is forgotten */
  uint32_t history;         /* commits that rollback can go back, 1 to 1024 */
  uint64_t seed;            /* of the order of samples and of rounding */
  uint32_t replay;          /* for a model with a teachable tail: samples that are kept to learn them again, 1 bit a
                             * latent, up to 1048576; with 0 the head alone learns */
} onebit_learner_options;

#define ONEBIT_LEARNER_DEFAULTS {64, 1024, 8, 0, 300}

typedef struct onebit_teach_options {
  uint32_t steps;       /* mini-batches, 1 to 1000000 */
  uint32_t batch;       /* 1 to 4096 */
  double learning_rate; /* above 0 */
  /* With a tail, in place of the steps: */
  uint32_t epochs;   /* over the new samples, 1 to 10000 */
  double tail_rate;  /* from 0 */
  uint32_t replayed; /* of each batch: samples that were kept, from 1 and below the batch; fewer if fewer are kept */
} onebit_teach_options;

#define ONEBIT_TEACH_DEFAULTS {250, 50, 0.1, 10, 0.1, 36}

/* Makes the file and opens it. The model needs the output "features", META "features.range" and, as its "logits", one
 * dense layer over the features, whose rows are where the learner starts; "classes.samples" says how many images each
 * class had. */
ONEBIT_API onebit_status onebit_learner_create(const char* path, const onebit_model* model,
                                               const onebit_learner_options* options, onebit_learner** learner,
                                               onebit_error* error) ONEBIT_NOEXCEPT;

/* ONEBIT_BUSY if another learner has the file open; ONEBIT_INVALID_ARGUMENT if it belongs to another model. */
ONEBIT_API onebit_status onebit_learner_open(const char* path, const onebit_model* model, onebit_learner** learner,
                                             onebit_error* error) ONEBIT_NOEXCEPT;

/* What a device without files supplies: a region of `size` bytes that can be read, written in place and synced. The
 * functions return 0 when all is done; anything else becomes ONEBIT_IO. Until `sync` returns, a write may be on the
 * medium in part, in whole or not at all, and writes may pass each other; what was not synced is not read, but other
 * bytes may be (a rollback copies one slot to another in parts). Flash must be erased before it is written: its
 * `write` reads the sector, changes it, erases it and writes it back. Whatever lies in the 4096 bytes around a write
 * may be lost with the power, other bytes may not; so sectors are 4096 bytes or a fraction of that, and the region
 * begins at a multiple of 4096. Nothing else may write there while the learner is open. */
typedef struct onebit_region {
  void* context; /* handed to the functions */
  uint64_t size; /* as onebit_learner_size says */
  int (*read)(void* context, uint64_t offset, void* bytes, size_t count);
  int (*write)(void* context, uint64_t offset, const void* bytes, size_t count);
  int (*sync)(void* context);
} onebit_region;

/* The bytes that a learner of this model with these options takes. */
ONEBIT_API onebit_status onebit_learner_size(const onebit_model* model, const onebit_learner_options* options,
                                             uint64_t* bytes, onebit_error* error) ONEBIT_NOEXCEPT;

/* As create and open, in a region. The struct is copied; its context must live until the learner is closed. create
 * overwrites what is there: call it once, when the device is set up. */
ONEBIT_API onebit_status onebit_learner_create_on(const onebit_region* region, const onebit_model* model,
                                                  const onebit_learner_options* options, onebit_learner** learner,
                                                  onebit_error* error) ONEBIT_NOEXCEPT;
ONEBIT_API onebit_status onebit_learner_open_on(const onebit_region* region, const onebit_model* model,
                                                onebit_learner** learner, onebit_error* error) ONEBIT_NOEXCEPT;

/* Null is allowed. */
ONEBIT_API void onebit_learner_close(onebit_learner* learner) ONEBIT_NOEXCEPT;

/* The output of the model that the learner is handed wherever this header says features, and the floats per sample
 * of it: "features", or "latents" where a teachable tail learns too. */
ONEBIT_API const char* onebit_learner_input(const onebit_learner* learner) ONEBIT_NOEXCEPT;
ONEBIT_API uint32_t onebit_learner_features(const onebit_learner* learner) ONEBIT_NOEXCEPT;

/* Samples kept to learn them again, and for how many there is room. */
ONEBIT_API uint32_t onebit_learner_items(const onebit_learner* learner) ONEBIT_NOEXCEPT;
ONEBIT_API uint32_t onebit_learner_replay(const onebit_learner* learner) ONEBIT_NOEXCEPT;

/* Multiply-accumulates of training the tail with one sample: the products of its convolutions, forward and backward. */
ONEBIT_API uint64_t onebit_learner_tail_operations(const onebit_learner* learner) ONEBIT_NOEXCEPT;

/* The classes, in the order of the probabilities. A name lives until the next change. */
ONEBIT_API size_t onebit_learner_class_count(const onebit_learner* learner) ONEBIT_NOEXCEPT;
ONEBIT_API const char* onebit_learner_class_name(const onebit_learner* learner, size_t index) ONEBIT_NOEXCEPT;
ONEBIT_API uint32_t onebit_learner_class_samples(const onebit_learner* learner, size_t index) ONEBIT_NOEXCEPT;

/* features: count x features floats, finite; names: one per sample, new ones become classes. `counted`, if not null, is 0
 * when the experience was counted before, and then nothing happened. */
ONEBIT_API onebit_status onebit_learner_teach(onebit_learner* learner, const float* features, const char* const* names,
                                              size_t count, const char* experience, const onebit_teach_options* options,
                                              int* counted, onebit_error* error) ONEBIT_NOEXCEPT;

/* The two halves of teach, for a caller that tries an update before keeping it, on held-out images for example: after
 * prepare the classes and the probabilities are those that the update would leave, and the file is as it was. commit
 * keeps them; discard (or close) drops them, and a commit that fails does too. Until then every other change is
 * refused. `counted` is 0 when the experience was counted before, and then nothing is prepared. */
ONEBIT_API onebit_status onebit_learner_prepare(onebit_learner* learner, const float* features,
                                                const char* const* names, size_t count, const char* experience,
                                                const onebit_teach_options* options, int* counted,
                                                onebit_error* error) ONEBIT_NOEXCEPT;
ONEBIT_API onebit_status onebit_learner_commit(onebit_learner* learner, onebit_error* error) ONEBIT_NOEXCEPT;
ONEBIT_API onebit_status onebit_learner_discard(onebit_learner* learner, onebit_error* error) ONEBIT_NOEXCEPT;

/* 1 if the experience is among the last max_experiences that were counted, else 0. */
ONEBIT_API int onebit_learner_counted(const onebit_learner* learner, const char* experience) ONEBIT_NOEXCEPT;

/* probabilities: count x class_count, in units of 1 / 65536. */
ONEBIT_API onebit_status onebit_learner_predict(const onebit_learner* learner, const float* features, size_t count,
                                                uint32_t* probabilities, onebit_error* error) ONEBIT_NOEXCEPT;

/* Wipes the class's row and count, and every earlier commit, since those hold them too: a rollback cannot bring it
 * back. After ONEBIT_IO the wiping may be unfinished; the next change or opening goes on with it. */
ONEBIT_API onebit_status onebit_learner_forget(onebit_learner* learner, const char* name,
                                               onebit_error* error) ONEBIT_NOEXCEPT;

/* Gives a class another name, which no class may have. Earlier commits keep the old one. */
ONEBIT_API onebit_status onebit_learner_rename(onebit_learner* learner, const char* name, const char* new_name,
                                               onebit_error* error) ONEBIT_NOEXCEPT;

/* Goes back to the state of `commits` commits ago (at most report.commits), experiences' ids included. */
ONEBIT_API onebit_status onebit_learner_rollback(onebit_learner* learner, uint32_t commits,
                                                 onebit_error* error) ONEBIT_NOEXCEPT;

typedef struct onebit_learner_report {
  uint64_t bytes;       /* of the file, always the same */
  uint64_t experiences; /* counted */
  uint32_t commits;     /* that rollback can go back */
  uint32_t unfinished;  /* commits that a power cut broke off; harmless */
  uint32_t damaged;     /* commits whose bytes changed on the medium */
} onebit_learner_report;

/* As the file was found when it was opened. */
ONEBIT_API onebit_learner_report onebit_learner_found(const onebit_learner* learner) ONEBIT_NOEXCEPT;

/* Reads every byte of the file again. ONEBIT_BAD_FILE if the newest commit is damaged. */
ONEBIT_API onebit_status onebit_learner_check(onebit_learner* learner, onebit_learner_report* report,
                                              onebit_error* error) ONEBIT_NOEXCEPT;

#ifdef __cplusplus
}
#endif

#endif
