/* What a submission may bring beside code and stdin, and the rule of a given file's path: one for
 * the gateway, for validate and for the launcher, which trusts neither. Pure. */
#pragma once
#include "lib/base/span.h"

#define GIVEN_ARGS_MAX 64
#define GIVEN_ARGS_BYTES 4096 /* each counts one more, its NUL */
#define GIVEN_FILES_MAX 64
#define GIVEN_FILES_BYTES 262144 /* of all contents */
#define FILE_PATH_MAX 200
#define FILE_PART_MAX 100
#define FILE_DEPTH_MAX 8

/* NULL, or the rule that a path breaks. */
const char *file_path_rule(struct span path);
/* a is b, or a directory that b lies in. */
bool file_path_covers(struct span a, struct span b);
