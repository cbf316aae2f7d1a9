/* The memory of a template, laid out so that a copy of it is cheap: few mappings, large pages. */
#pragma once
#include <stdbool.h>

/* Moves what the process has into large pages, every byte at the address it has. Once, with one
 * thread, and before the first fork. true = done; false = left as it was, which only costs time.
 * Ends the process when the kernel refuses halfway. */
bool template_pages_gather(void);
