/* Talks to the emulator through Arm's semihosting. */
#ifndef SEMIHOSTING_H
#define SEMIHOSTING_H

void print(const char* text);
_Noreturn void leave(int code); /* ends the emulation: 0, or 1 for any other code */

#endif
