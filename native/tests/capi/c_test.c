/* The C API from C, and an example of its use: onebit.h compiles as C99, every error is a status with a message, and a
 * model read from a file answers as the same one from memory, on every instruction set. */
#include <onebit/onebit.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

extern size_t example_file(unsigned char** bytes); /* support/example_file.cpp; the caller frees the bytes */

#define CHECK_THAT(condition)                                         \
  do {                                                                \
    if (!(condition)) {                                               \
      fprintf(stderr, "%s:%d: %s\n", __FILE__, __LINE__, #condition); \
      exit(1);                                                        \
    }                                                                 \
  } while (0)

static size_t volume(onebit_shape shape) { return (size_t)shape.h * shape.w * shape.c; }

/* Opens a session, runs one image of ramps and returns the logits; the caller frees them. */
static float* classify(onebit_model* model, const char* isa) {
  onebit_error error;
  onebit_session* session = NULL;
  const char* wanted[] = {"logits"};
  onebit_session_options options = ONEBIT_SESSION_DEFAULTS;
  options.isa = isa;
  options.outputs = wanted;
  options.output_count = 1;
  CHECK_THAT(onebit_session_open(model, &options, &session, &error) == ONEBIT_OK);
  CHECK_THAT(error.message[0] == '\0');

  const size_t inputs = volume(onebit_model_input(model)), logits = volume(onebit_model_output_shape(model, 0));
  float* image = malloc(inputs * sizeof *image);
  float* result = malloc(logits * sizeof *result);
  for (size_t i = 0; i < inputs; ++i) image[i] = (float)(i % 13) / 6.0f - 1.0f;
  float* outputs[] = {result};
  CHECK_THAT(onebit_session_run(session, image, 1, outputs, &error) == ONEBIT_OK);

  CHECK_THAT(onebit_session_run(session, image, 2, outputs, &error) == ONEBIT_INVALID_ARGUMENT);
  CHECK_THAT(strstr(error.message, "batch") != NULL && error.hint[0] != '\0');
  CHECK_THAT(onebit_session_run(session, NULL, 1, outputs, NULL) == ONEBIT_INVALID_ARGUMENT);
  uint64_t* times = malloc(onebit_model_layer_count(model) * sizeof *times);
  CHECK_THAT(onebit_session_profile(session, times, &error) == ONEBIT_OK);
  CHECK_THAT(onebit_session_arena_bytes(session) > 0 && onebit_session_weight_bytes(session) > 0);
  if (isa != NULL) CHECK_THAT(strcmp(onebit_session_isa(session), isa) == 0);
  free(times);
  free(image);
  onebit_session_close(session);
  return result;
}

static void check_errors(void) {
  onebit_error error;
  onebit_model* model = NULL;
  CHECK_THAT(onebit_model_open("/no/such/file.obn", &model, &error) == ONEBIT_IO);
  CHECK_THAT(model == NULL && strstr(error.message, "/no/such/file.obn: ") == error.message);
  CHECK_THAT(onebit_model_open("/", &model, &error) == ONEBIT_IO);
  CHECK_THAT(onebit_model_open(NULL, &model, &error) == ONEBIT_INVALID_ARGUMENT);
  CHECK_THAT(onebit_model_open_memory("x", 1, &model, &error) == ONEBIT_BAD_FILE);
  CHECK_THAT(onebit_model_open_memory(NULL, 0, &model, NULL) == ONEBIT_BAD_FILE);
  char path[2000];
  memset(path, 'x', sizeof path - 1);
  path[sizeof path - 1] = '\0';
  CHECK_THAT(onebit_model_open(path, &model, &error) == ONEBIT_IO);
  CHECK_THAT(strlen(error.message) == sizeof error.message - 1);
  onebit_model_close(NULL);
  onebit_session_close(NULL);
}

static void check_introspection(onebit_model* model) {
  size_t count = 0;
  CHECK_THAT(onebit_model_output_count(model) == 2 && strcmp(onebit_model_output_name(model, 1), "features") == 0);
  CHECK_THAT(onebit_model_output_name(model, 2) == NULL && volume(onebit_model_output_shape(model, 2)) == 0);
  CHECK_THAT(onebit_model_class_count(model) == 4 && strcmp(onebit_model_class_name(model, 3), "dog") == 0);
  CHECK_THAT(onebit_model_class_name(model, 4) == NULL);
  CHECK_THAT(onebit_model_floats(model, "input.mean", &count)[2] == 0.5f && count == 3);
  CHECK_THAT(onebit_model_integers(model, "classes.samples", &count) == NULL && count == 0);
  CHECK_THAT(strlen(onebit_model_text(model, "weights.sha256")) == 64);
  CHECK_THAT(onebit_model_layer_count(model) == 10);
  const onebit_layer layer = onebit_model_layer(model, 2);
  CHECK_THAT(strcmp(layer.op, "conv_binary") == 0 && layer.weight_bits == 1 && layer.output.c == 35);
  CHECK_THAT(layer.bytes == 35 * 9 * 2 * 4 + 35 * 2 * 4);
  CHECK_THAT(layer.operations == (uint64_t)(3 * 6 - 2) * (3 * 5 - 2) * 35 * 35);
  const onebit_layer mixed = onebit_model_layer(model, 6);
  CHECK_THAT(strcmp(mixed.op, "conv_int8") == 0 && mixed.weight_bits == 8 && mixed.bytes == 38 * 6 * 19 + 4);
  CHECK_THAT(onebit_model_layer(model, 10).name == NULL);
}

int main(void) {
  CHECK_THAT(onebit_crc32c("123456789", 9, 0) == 0xE3069283u);
  check_errors();

  onebit_error error;
  unsigned char* bytes;
  const size_t size = example_file(&bytes);
  const char* path = "c_api_test.obn";
  FILE* file = fopen(path, "wb");
  CHECK_THAT(file != NULL && fwrite(bytes, 1, size, file) == size && fclose(file) == 0);
  onebit_model *mapped, *held;
  CHECK_THAT(onebit_model_open(path, &mapped, &error) == ONEBIT_OK);
  CHECK_THAT(onebit_model_open_memory(bytes, size, &held, &error) == ONEBIT_OK);
  check_introspection(mapped);

  float* expected = classify(mapped, NULL);
  for (size_t i = 0; onebit_isa(i) != NULL; ++i) {
    float* logits = classify(held, onebit_isa(i));
    CHECK_THAT(memcmp(logits, expected, 4 * sizeof *logits) == 0);
    free(logits);
  }
  onebit_session* session;
  onebit_session_options options = ONEBIT_SESSION_DEFAULTS;
  options.isa = "abacus";
  CHECK_THAT(onebit_session_open(held, &options, &session, &error) == ONEBIT_UNSUPPORTED);
  CHECK_THAT(strstr(error.hint, "reference") != NULL);
  free(expected);
  onebit_model_close(mapped);
  onebit_model_close(held);
  free(bytes);
  remove(path);
  return 0;
}
