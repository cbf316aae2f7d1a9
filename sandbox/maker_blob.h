/* The maker's program (maker_main.c), as bytes in the launcher's own file: nothing to install
 * beside it, and both ends of maker_wire.h always come from one build. */
#pragma once
#include "lib/base/span.h"

struct span maker_program(void);
