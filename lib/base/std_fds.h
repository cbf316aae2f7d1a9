/* Descriptors 0 to 2 at a program's start. */
#pragma once
#include <stdbool.h>

/* One that the caller closed would be the next socket's number, and what is printed or logged would
 * go to the database or the broker. Each closed one is held so that reading or writing it fails;
 * false when that is not possible. Call it before anything is opened. */
bool std_fds_hold(void);
