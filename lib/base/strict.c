/* The end of a process whose invariant does not hold: one line on stderr, then abort, so that a
 * core file shows the place. Called only through CHECK. */
#include "lib/base/strict.h"
#include <stdio.h>
#include <stdlib.h>

_Noreturn void strict_abort(const char *condition, const char *file, int line)
{
    fprintf(stderr, "level=fatal event=invariant_broken condition=\"%s\" at=%s:%d\n", condition,
            file, line);
    abort();
}
