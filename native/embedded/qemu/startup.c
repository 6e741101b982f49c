/* From reset to main on a Cortex-M. */
#include <stdint.h>
#include <string.h>

#include "semihosting.h"

extern uint32_t stack_top[], stack_bottom[], data_start[], data_end[], bss_start[], bss_end[];
extern const uint32_t data_load[];

int main(void);
void reset(void);

static void fault(void) {
  print("fault\n");
  leave(1);
}

void reset(void) {
  memcpy(data_start, data_load, (size_t)((char*)data_end - (char*)data_start));
  memset(bss_start, 0, (size_t)((char*)bss_end - (char*)bss_start));
#if defined(__ARM_FP)
  *(volatile uint32_t*)0xE000ED88u |= 0xFu << 20; /* CPACR: the floating-point unit may be used */
  __asm__ volatile("dsb\n isb" ::: "memory");
#endif
#if !defined(__ARM_FEATURE_UNALIGNED)
  *(volatile uint32_t*)0xE000ED14u |= 1u << 3; /* CCR: an unaligned access is a fault, as on a Cortex-M0 */
#endif
  leave(main());
}

__attribute__((section(".vectors"), used)) static const struct {
  uint32_t* stack;
  void (*handlers[15])(void);
} vectors = {stack_top,
             {reset, fault, fault, fault, fault, fault, fault, fault, fault, fault, fault, fault, fault, fault, fault}};
