/* Modules that are loaded in the template but that a program must not find before it imports them.
 * Interpreter's side of the template only. */
#pragma once
#define Py_BUILD_CORE_MODULE 1
#include <Python.h>

/* hidden: name -> (module, names its import adds to sys.modules in order, package that gets it as
 * an attribute or None, the attribute). Kept. -1 with a Python exception set. */
int template_hidden_open(PyObject *hidden);
/* The interpreter's _find_and_load(name, import_), asked for what is not in sys.modules. */
extern PyMethodDef template_hidden_find;
