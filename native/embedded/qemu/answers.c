/* Runs the program in flash on each of the samples in flash, and prints a line a sample: the bits of all outputs. Then
 * a line with the bytes that it took, and the ticks of the core's clock in the last run. */
#include <stdint.h>

#include "onebit/embedded.h"
#include "semihosting.h"

extern const uint8_t program[], program_room[];
extern uint8_t arena[], arena_room[];
extern uint32_t stack_bottom[], stack_top[];
/* Of `floats` each, one after another. */
extern const struct {
  uint32_t count, floats;
  float values[];
} samples;

static volatile uint32_t* const systick = (uint32_t*)0xE000E010u; /* control, reload, current */

static void start_counting(void) {
  systick[1] = 0xFFFFFFu;
  systick[2] = 0;
  systick[0] = 5; /* on, by the core's clock */
}

static uint32_t counted(void) { return 0xFFFFFFu - systick[2]; }

static const uint32_t untouched = 0xA5A5A5A5u;

static void paint_stack(void) {
  const uint32_t* here = __builtin_frame_address(0);
  for (uint32_t* word = stack_bottom; word < here - 64; ++word) *word = untouched;
}

static uint32_t stack_used(void) {
  const uint32_t* word = stack_bottom;
  while (word < stack_top && *word == untouched) ++word;
  return (uint32_t)((const char*)stack_top - (const char*)word);
}

static void print_word(uint32_t word) {
  char text[10] = "";
  for (int i = 0; i < 8; ++i) text[i] = "0123456789abcdef"[word >> (28 - 4 * i) & 15u];
  text[8] = ' ';
  print(text);
}

static int refuse(const char* what, onebit_status status) {
  print(what);
  print(" was refused: ");
  print_word(status);
  print("\n");
  return 1;
}

static size_t elements(onebit_shape shape) { return (size_t)shape.h * shape.w * shape.c; }

int main(void) {
  paint_stack();
  onebit_status status = onebit_program_check(program, (size_t)program_room);
  if (status != ONEBIT_OK) return refuse("the program", status);
  if (samples.floats != elements(onebit_program_input(program))) return refuse("the samples", ONEBIT_BAD_FILE);
  uint32_t ticks = 0;
  for (uint32_t i = 0; i < samples.count; ++i) {
    start_counting();
    status = onebit_program_run(program, arena, (size_t)arena_room, samples.values + i * samples.floats);
    ticks = counted();
    if (status != ONEBIT_OK) return refuse("the run", status);
    for (size_t k = 0; k < onebit_program_output_count(program); ++k) {
      const uint32_t* bits = (const uint32_t*)onebit_program_output(program, arena, k);
      const size_t count = elements(onebit_program_output_shape(program, k));
      for (size_t j = 0; j < count; ++j) print_word(bits[j]);
    }
    print("\n");
  }
  status = onebit_program_check(program, (size_t)program_room);
  if (status != ONEBIT_OK) return refuse("the program after the runs", status);
  if (stack_used() >= (uint32_t)((const char*)stack_top - (const char*)stack_bottom))
    return refuse("the stack", ONEBIT_NO_MEMORY);
  print("# program, arena, stack, ticks: ");
  print_word(onebit_program_bytes(program));
  print_word(onebit_program_arena_bytes(program));
  print_word(stack_used());
  print_word(ticks);
  print("\n");
  return 0;
}
