/* What was made ahead from the compilers (ops/lib/prebuild): the precompiled header of C++ and
 * javac's class-data archive. Found by compilers at MOUNTS_PREBUILT, read-only, from a copy in the
 * launcher's memory. */
#pragma once

/* The copy, as a sealed detached mount; -1 when dir is NULL, or when what it holds cannot be
 * trusted to fit the tools that are installed now (the log says why): jobs then do without. */
int prebuilt_load(const char *dir);
