/* The interpreter's side of the Python template: what a forked interpreter does to run a program as
 * a freshly started one would. Compiled into the template's extension module only, against the
 * headers of exactly the interpreter that runs it. */
#pragma once
#define Py_BUILD_CORE_MODULE 1
#include <Python.h>
#include <stdbool.h>

#define TEMPLATE_PROGRAM "/box/main.py" /* what every program is called, and the template too */

/* In the template, once, before the first fork and with only the loader's frame on the stack. Takes
 * what a fork renews: random's generator and the main thread's object; and gc.freeze, after which
 * the collector leaves alone what exists by now. -1 with a Python exception set. */
int template_main_open(PyObject *instance, PyObject *thread, PyObject *freeze);
/* In the fork: an interpreter without the template's frames, reseeded, with a new __main__. Runs no
 * code of the job's. false = no memory. */
bool template_main_forked(void);
/* In a fork that waits for its job: touches, and so copies, the memory that any program will. */
bool template_main_ahead(void);
/* In the fork: runs the program as the interpreter's own main does and ends the process as it does.
 */
_Noreturn void template_main_run(void);
