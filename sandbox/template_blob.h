/* See template_blob.c; both empty in a launcher that was built without Python's headers. */
#pragma once
#include "lib/base/span.h"

struct span template_loader(void);
struct span template_extension(void);
