/* A device with bare flash teaches a packed model, and its power is cut again and again in the middle of a commit:
 *
 *   power_cut MODEL.obn
 *
 * The flash is an array here, with the manners of the real thing: a sector is erased to ones before it is written, and
 * a cut leaves a byte, half an erasing or half a sector behind. On a device, erase_sector and program become the
 * driver's, and nothing else changes. */
#include <onebit/learner.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { SECTOR = 4096, LESSON = 8, CUTS = 400 };

/* ---- The flash. `power`: bytes that can still be erased or programmed before it goes. ---- */

typedef struct flash {
  unsigned char* cells;
  uint64_t power, used;
} flash;

static int spend(flash* f) { return f->power == 0 ? 1 : (--f->power, ++f->used, 0); }

static int erase_sector(flash* f, uint64_t sector) {
  for (uint64_t i = 0; i < SECTOR; ++i) {
    if (spend(f)) return 1;
    f->cells[sector * SECTOR + i] = 0xFF;
  }
  return 0;
}

/* Programming can only turn ones into zeros. */
static int program(flash* f, uint64_t offset, const unsigned char* bytes, size_t count) {
  for (size_t i = 0; i < count; ++i) {
    if (spend(f)) return 1;
    f->cells[offset + i] &= bytes[i];
  }
  return 0;
}

/* ---- The region that the learner asks for. ---- */

static int read_flash(void* context, uint64_t offset, void* bytes, size_t count) {
  memcpy(bytes, ((flash*)context)->cells + offset, count);
  return 0;
}

static int write_flash(void* context, uint64_t offset, const void* bytes, size_t count) {
  flash* f = context;
  const unsigned char* from = bytes;
  unsigned char buffer[SECTOR];
  while (count > 0) {
    const uint64_t sector = offset / SECTOR, at = offset % SECTOR;
    const size_t part = count < SECTOR - at ? count : (size_t)(SECTOR - at);
    memcpy(buffer, f->cells + sector * SECTOR, SECTOR);
    memcpy(buffer + at, from, part);
    if (erase_sector(f, sector) != 0 || program(f, sector * SECTOR, buffer, SECTOR) != 0) return 1;
    offset += part, from += part, count -= part;
  }
  return 0;
}

static int sync_flash(void* context) { /* what is programmed is there */
  return ((flash*)context)->power == 0;
}

/* ---- The program. ---- */

static void check(onebit_status status, const onebit_error* error) {
  if (status == ONEBIT_OK) return;
  fprintf(stderr, "%s %s\n", error->message, error->hint);
  exit(1);
}

static void expect(int condition, const char* what) {
  if (condition) return;
  fprintf(stderr, "power_cut: %s\n", what);
  exit(1);
}

/* The backbone's features of LESSON images; a device would take them from its camera. */
static float* look(onebit_model* model, unsigned seed) {
  onebit_error error;
  onebit_session* session;
  onebit_session_options options = ONEBIT_SESSION_DEFAULTS;
  const char* wanted[] = {"features"};
  options.outputs = wanted;
  options.output_count = 1;
  check(onebit_session_open(model, &options, &session, &error), &error);

  size_t index = 0;
  while (strcmp(onebit_model_output_name(model, index), "features") != 0) ++index;
  const onebit_shape input = onebit_model_input(model), output = onebit_model_output_shape(model, index);
  const size_t pixels = (size_t)input.h * input.w * input.c, width = (size_t)output.h * output.w * output.c;
  float* image = malloc(pixels * sizeof *image);
  float* features = malloc(LESSON * width * sizeof *features);
  for (size_t k = 0; k < LESSON; ++k) {
    for (size_t i = 0; i < pixels; ++i) image[i] = (float)((i * 7919 + k * 31 + seed * 101) % 1009) / 504.5f - 1.0f;
    float* outputs[] = {features + k * width};
    check(onebit_session_run(session, image, 1, outputs, &error), &error);
  }
  free(image);
  onebit_session_close(session);
  return features;
}

/* Teaches one lesson of a class; the status is the learner's. */
static onebit_status teach(onebit_learner* learner, const float* features, const char* name, onebit_error* error) {
  const onebit_teach_options options = ONEBIT_TEACH_DEFAULTS;
  const char* names[LESSON];
  for (size_t k = 0; k < LESSON; ++k) names[k] = name;
  return onebit_learner_teach(learner, features, names, LESSON, name, &options, NULL, error);
}

/* All that the learner knows, as one number: its answers to some features. */
static uint32_t answers(onebit_learner* learner, const float* features) {
  onebit_error error;
  const size_t bytes = LESSON * onebit_learner_class_count(learner) * sizeof(uint32_t);
  uint32_t* probabilities = malloc(bytes);
  check(onebit_learner_predict(learner, features, LESSON, probabilities, &error), &error);
  const uint32_t sum = onebit_crc32c(probabilities, bytes, 0);
  free(probabilities);
  return sum;
}

int main(int count, char** words) {
  if (count != 2) {
    fprintf(stderr, "usage: power_cut MODEL.obn (with the output 'features')\n");
    return 2;
  }
  onebit_error error;
  onebit_model* model;
  check(onebit_model_open(words[1], &model, &error), &error);
  float *monday = look(model, 1), *tuesday = look(model, 2);

  /* Set up once. */
  onebit_learner_options options = ONEBIT_LEARNER_DEFAULTS;
  options.max_classes = 16, options.max_experiences = 16, options.history = 2;
  flash f = {NULL, UINT64_MAX, 0};
  onebit_region region = {&f, 0, read_flash, write_flash, sync_flash};
  check(onebit_learner_size(model, &options, &region.size, &error), &error);
  f.cells = malloc(region.size);
  unsigned char* kept = malloc(region.size);
  onebit_learner* learner;
  check(onebit_learner_create_on(&region, model, &options, &learner, &error), &error);
  check(teach(learner, monday, "monday", &error), &error);
  const uint32_t before = answers(learner, monday);
  memcpy(kept, f.cells, region.size);

  /* The second lesson, undisturbed: what should be there in the end, and how much power it takes. */
  f.used = 0;
  check(teach(learner, tuesday, "tuesday", &error), &error);
  const uint32_t after = answers(learner, monday);
  const uint64_t power = f.used;
  onebit_learner_close(learner);
  expect(before != after, "the second lesson changes nothing");

  int lost = 0, done = 0;
  for (int i = 0; i <= CUTS; ++i) {
    memcpy(f.cells, kept, region.size);
    f.power = power * (uint64_t)i / CUTS;
    check(onebit_learner_open_on(&region, model, &learner, &error), &error);
    const onebit_status status = teach(learner, tuesday, "tuesday", &error);
    onebit_learner_close(learner); /* the device is dark */

    f.power = UINT64_MAX; /* and light again */
    check(onebit_learner_open_on(&region, model, &learner, &error), &error);
    const uint32_t now = answers(learner, monday);
    expect(now == before || now == after, "a cut left another state");
    expect(status != ONEBIT_OK || now == after, "a lesson that was said to be done is lost");
    lost += now == before;
    done += now == after;

    /* The same lesson again: it is counted once, whether or not it had come through. */
    check(teach(learner, tuesday, "tuesday", &error), &error);
    onebit_learner_report report;
    check(onebit_learner_check(learner, &report, &error), &error);
    expect(answers(learner, monday) == after && report.experiences == 2, "the lesson was not counted once");
    onebit_learner_close(learner);
  }
  expect(lost > 0 && done > 0, "no cut came in the middle of a commit");
  printf("%d cuts in a commit of %llu flash operations: %d left the state before it, %d the one after it\n", CUTS,
         (unsigned long long)power, lost, done);
  free(kept);
  free(f.cells);
  free(monday);
  free(tuesday);
  onebit_model_close(model);
  return 0;
}
