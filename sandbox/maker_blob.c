/* See maker_blob.h. */
#include "sandbox/maker_blob.h"

__asm__(".section .rodata\n"
        ".balign 16\nmaker_program_at:\n"
        ".incbin \"" MAKER_PROGRAM "\"\nmaker_program_end:\n"
        ".previous\n");
extern const char maker_program_at[], maker_program_end[];

struct span maker_program(void)
{
    return span_of(maker_program_at, (size_t)(maker_program_end - maker_program_at));
}
