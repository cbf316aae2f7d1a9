/* Stands before the import system's own _find_and_load. A hidden module is handed out only while
 * nothing tells it from one that is loaded now: search path and finders are the first ones, nobody
 * traces or audits; else the import system loads another one as ever. */
#include "sandbox/template_hidden.h"
#include <internal/pycore_interp.h>
#include <stdbool.h>

static PyObject *hidden_modules, *find_and_load;
static const char *const lists[] = {"path", "meta_path", "path_hooks"};
#define LISTS (sizeof lists / sizeof lists[0])
static PyObject *as_started[LISTS];

int template_hidden_open(PyObject *hidden)
{
    PyObject *bootstrap = PyImport_ImportModule("_frozen_importlib");
    PyObject *find = bootstrap ? PyCFunction_New(&template_hidden_find, NULL) : NULL;
    find_and_load = bootstrap ? PyObject_GetAttrString(bootstrap, "_find_and_load") : NULL;
    bool done =
        find && find_and_load && PyObject_SetAttrString(bootstrap, "_find_and_load", find) == 0;
    for (size_t i = 0; i < LISTS && done; i++) {
        PyObject *list = PySys_GetObject(lists[i]);
        as_started[i] = list ? PySequence_List(list) : NULL;
        done = as_started[i] != NULL;
    }
    hidden_modules = Py_NewRef(hidden);
    Py_XDECREF(find);
    Py_XDECREF(bootstrap);
    return done ? 0 : -1;
}

static bool import_is_plain(void)
{
    const PyThreadState *thread = PyThreadState_Get();
    if (thread->interp->audit_hooks || thread->c_tracefunc || thread->c_profilefunc)
        return false;
    for (size_t i = 0; i < LISTS; i++) {
        PyObject *list = PySys_GetObject(lists[i]);
        int same = list && PyList_CheckExact(list)
                       ? PyObject_RichCompareBool(list, as_started[i], Py_EQ)
                       : 0;
        if (same <= 0) {
            PyErr_Clear();
            return false;
        }
    }
    return true;
}

/* Puts one module where its import would; false with a Python exception set. */
static bool reveal(PyObject *name, PyObject *modules)
{
    PyObject *entry = PyDict_GetItemWithError(hidden_modules, name);
    if (!entry)
        return !PyErr_Occurred();
    Py_INCREF(entry);
    PyObject *module = PyTuple_GET_ITEM(entry, 0), *package = PyTuple_GET_ITEM(entry, 2);
    int there = PyDict_Contains(modules, name);
    bool done = there >= 0 && PyDict_DelItem(hidden_modules, name) == 0;
    if (done && there == 0)
        done = PyDict_SetItem(modules, name, module) == 0;
    PyObject *owner =
        done && there == 0 && package != Py_None ? PyDict_GetItemWithError(modules, package) : NULL;
    if (owner)
        done = PyObject_SetAttr(owner, PyTuple_GET_ITEM(entry, 3), module) == 0;
    Py_DECREF(entry);
    return done && !PyErr_Occurred();
}

static PyObject *find(PyObject *self, PyObject *const *args, Py_ssize_t count)
{
    (void)self;
    PyObject *modules = PyImport_GetModuleDict();
    PyObject *entry = NULL;
    if (count == 2 && PyUnicode_CheckExact(args[0]) && import_is_plain())
        entry = PyDict_GetItemWithError(hidden_modules, args[0]);
    if (!entry) {
        if (PyErr_Occurred())
            return NULL;
        return PyObject_Vectorcall(find_and_load, args, (size_t)count, NULL);
    }
    Py_INCREF(entry);
    PyObject *names = PyTuple_GET_ITEM(entry, 1);
    bool done = true;
    for (Py_ssize_t i = 0; i < PyTuple_GET_SIZE(names) && done; i++)
        done = reveal(PyTuple_GET_ITEM(names, i), modules);
    Py_DECREF(entry);
    PyObject *module = done ? PyDict_GetItemWithError(modules, args[0]) : NULL;
    return module ? Py_NewRef(module) : NULL;
}

PyMethodDef template_hidden_find = {"_find_and_load", (PyCFunction)(void (*)(void))find,
                                    METH_FASTCALL, NULL};
