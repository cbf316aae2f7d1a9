/* Running a program in a forked interpreter. What must not differ from a cold start: the stack (no
 * frame of the template is below the program), __main__, exit codes, and what happens at the end.
 *
 * The end: a cold interpreter takes itself apart, which costs milliseconds and in most programs is
 * seen by nobody. So the fork looks first whether anything is alive that would run code or write
 * when it is taken apart; if so, or in any doubt, it is taken apart like a cold one
 * (Py_FinalizeEx), else only what can be seen is done: threads joined, atexit, the standard streams
 * flushed. */
#include "sandbox/template_main.h"
#include <internal/pycore_frame.h>
#include <internal/pycore_gc.h>
#include <internal/pycore_interp.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#if PY_VERSION_HEX < 0x030b0000 || PY_VERSION_HEX >= 0x030c0000
#error "the template is written for CPython 3.11"
#endif

/* The interpreter's own, exported by Debian's python3.11 but in no public header. */
extern int _Py_HandleSystemExit(int *exit_code);
extern int _Py_UnhandledKeyboardInterrupt;

#define EXIT_FLUSH 120 /* the interpreter's code for an end that could not write its output */

static PyObject *random_seed, *random_instance, *main_thread, *main_module, *builtins;
static PyObject *streams[2]; /* stdout, stderr as started */
static PyObject **const kept[] = {&random_seed, &random_instance, &main_thread,
                                  &builtins,    &streams[0],      &streams[1]};
static const void *frozen_first, *frozen_last;

static PyObject *attribute(const char *module, const char *name)
{
    PyObject *from = PyImport_ImportModule(module);
    PyObject *value = from ? PyObject_GetAttrString(from, name) : NULL;
    Py_XDECREF(from);
    return value;
}

static bool reseed(void)
{
    PyObject *none = PyObject_CallOneArg(random_seed, random_instance);
    PyObject *id = PyLong_FromLong(getpid());
    bool done = none && id && PyObject_SetAttrString(main_thread, "_native_id", id) == 0;
    Py_XDECREF(none);
    Py_XDECREF(id);
    return done;
}

/* Without the hooks of random and threading, the only ones here: reseed does all that they matter
 * for, and they would touch, and so copy, some hundred pages. */
static void after_fork(void)
{
    PyInterpreterState *interp = PyInterpreterState_Get();
    PyObject *hooks = interp->after_forkers_child;
    interp->after_forkers_child = NULL;
    PyOS_AfterFork_Child();
    interp->after_forkers_child = hooks;
}

static PyObject *make_main(void)
{
    PyObject *module = PyModule_New("__main__");
    PyObject *names = module ? PyModule_GetDict(module) : NULL;
    PyObject *type = attribute("_frozen_importlib_external", "SourceFileLoader");
    PyObject *values[] = {type ? PyObject_CallFunction(type, "ss", "__main__", TEMPLATE_PROGRAM)
                               : NULL,
                          PyDict_New(), PyImport_ImportModule("builtins"),
                          PyUnicode_FromString(TEMPLATE_PROGRAM), Py_NewRef(Py_None)};
    static const char *const keys[] = {"__loader__", "__annotations__", "__builtins__", "__file__",
                                       "__cached__"};
    bool done = names && type;
    for (size_t i = 0; i < sizeof keys / sizeof keys[0]; i++) {
        done = done && values[i] && PyDict_SetItemString(names, keys[i], values[i]) == 0;
        Py_XDECREF(values[i]);
    }
    Py_XDECREF(type);
    if (done && PyDict_SetItemString(PyImport_GetModuleDict(), "__main__", module) == 0)
        return module;
    Py_XDECREF(module);
    return NULL;
}

/* Whether a generator or coroutine would run code, or complain, when it is given up. */
static bool waits_to_speak(const PyObject *object)
{
    const PyGenObject *generator = (const PyGenObject *)object;
    if (generator->gi_frame_state >= FRAME_COMPLETED)
        return false;
    if (!PyGen_CheckExact(object))
        return true;
    return generator->gi_frame_state != FRAME_CREATED &&
           PyBytes_GET_SIZE(generator->gi_code->co_exceptiontable) > 0;
}

static bool is_loud(PyObject *object)
{
    const PyTypeObject *type = Py_TYPE(object);
    if (PyType_Check(object)) {
        const PyTypeObject *self = (const PyTypeObject *)object;
        return self->tp_finalize || self->tp_del;
    }
    if (PyWeakref_Check(object))
        return ((const PyWeakReference *)object)->wr_callback != NULL;
    if (!type->tp_finalize && !type->tp_del)
        return false;
    if (PyGen_CheckExact(object) || PyCoro_CheckExact(object) || PyAsyncGen_CheckExact(object))
        return waits_to_speak(object);
    /* In memory only. */
    return strcmp(type->tp_name, "_io.StringIO") != 0 && strcmp(type->tp_name, "_io.BytesIO") != 0;
}

static bool any_loud(PyGC_Head *list)
{
    for (PyGC_Head *at = _PyGCHead_NEXT(list); at != list; at = _PyGCHead_NEXT(at))
        if (is_loud((PyObject *)(at + 1)))
            return true;
    return false;
}

/* Looks at what the program left, without allocating. */
static bool end_is_quiet(void)
{
    PyInterpreterState *interp = PyInterpreterState_Get();
    struct _gc_runtime_state *gc = &interp->gc;
    if (interp->threads.head->next || interp->audit_hooks || gc->debug ||
        PySys_GetObject("stdout") != streams[0] || PySys_GetObject("stderr") != streams[1] ||
        (gc->callbacks && PyList_GET_SIZE(gc->callbacks) > 0) ||
        frozen_first != (const void *)gc->permanent_generation.head._gc_next ||
        frozen_last != (const void *)gc->permanent_generation.head._gc_prev)
        return false;
    for (int i = 0; i < NUM_GENERATIONS; i++)
        if (any_loud(&gc->generations[i].head))
            return false;
    return true;
}

static bool is_closed(PyObject *file)
{
    PyObject *closed = PyObject_GetAttrString(file, "closed");
    int yes = closed ? PyObject_IsTrue(closed) : -1;
    Py_XDECREF(closed);
    if (yes < 0)
        PyErr_Clear();
    return yes > 0;
}

/* false = could not be written, which is for the interpreter to report. */
static bool flush(PyObject *file)
{
    PyObject *done =
        is_closed(file) ? Py_NewRef(Py_None) : PyObject_CallMethod(file, "flush", NULL);
    Py_XDECREF(done);
    PyErr_Clear();
    return done != NULL;
}

static void call_if_loaded(const char *module, const char *function)
{
    PyObject *name = PyUnicode_FromString(module);
    PyObject *from = name ? PyImport_GetModule(name) : NULL;
    PyObject *done = from ? PyObject_CallMethod(from, function, NULL) : NULL;
    if (from && !done)
        PyErr_WriteUnraisable(from);
    Py_XDECREF(name);
    Py_XDECREF(from);
    Py_XDECREF(done);
    PyErr_Clear();
}

/* What can be seen of an end that nobody watches; false = it is for the interpreter to do. */
static bool finish_quietly(void)
{
    call_if_loaded("threading", "_shutdown");
    call_if_loaded("atexit", "_run_exitfuncs");
    if (!end_is_quiet() || !flush(streams[0]) || !flush(streams[1]))
        return false;
    fflush(NULL);
    return true;
}

/* A small program from its first line to its end, of which nothing stays. */
static bool rehearse(void)
{
    static char text[] = "def f(x):\n    return x + 1\nprint(end='')\n";
    PyCompilerFlags flags = _PyCompilerFlags_INIT;
    FILE *file = fmemopen(text, sizeof text - 1, "r");
    PyObject *names = PyDict_New(), *done = NULL;
    if (file && names && PyDict_SetItemString(names, "__builtins__", builtins) == 0)
        done = PyRun_FileExFlags(file, TEMPLATE_PROGRAM, Py_file_input, names, names, 1, &flags);
    Py_XDECREF(names);
    Py_XDECREF(done);
    finish_quietly();
    return done != NULL;
}

bool template_main_ahead(void)
{
    return rehearse();
}

int template_main_open(PyObject *instance, PyObject *thread, PyObject *freeze)
{
    PyInterpreterState *interp = PyInterpreterState_Get();
    random_instance = Py_NewRef(instance);
    random_seed = PyObject_GetAttrString((PyObject *)Py_TYPE(instance)->tp_base, "seed");
    main_thread = Py_NewRef(thread);
    builtins = Py_NewRef(PyEval_GetBuiltins());
    streams[0] = attribute("sys", "stdout");
    streams[1] = attribute("sys", "stderr");
    if (!random_seed || !streams[0] || !streams[1] || !rehearse() || !reseed())
        return -1;
    /* A first time costs more than the next: what is looked up, bound and allocated once is so in
     * the template, not in every fork. */
    after_fork();
    PyGC_Collect();
    PyObject *done = PyObject_CallNoArgs(freeze);
    Py_XDECREF(done);
    frozen_first = (const void *)interp->gc.permanent_generation.head._gc_next;
    frozen_last = (const void *)interp->gc.permanent_generation.head._gc_prev;
    /* After the freeze: the collector must see what only __main__ keeps alive. */
    main_module = done ? make_main() : NULL;
    return main_module ? 0 : -1;
}

bool template_main_forked(void)
{
    PyThreadState *thread = PyThreadState_Get();
    after_fork();
    /* The loader's frame is never returned to. */
    thread->cframe = &thread->root_cframe;
    thread->root_cframe.current_frame = NULL;
    thread->root_cframe.use_tracing = 0;
    thread->root_cframe.previous = NULL;
    thread->recursion_remaining = thread->recursion_limit;
    return reseed();
}

static _Noreturn void end(int code)
{
    bool interrupted = _Py_UnhandledKeyboardInterrupt != 0;
    if (!finish_quietly()) {
        /* The streams write what they hold when their last reference goes. */
        for (size_t i = 0; i < sizeof kept / sizeof kept[0]; i++)
            Py_CLEAR(*kept[i]);
        if (Py_FinalizeEx() < 0)
            code = EXIT_FLUSH;
    }
    if (interrupted) {
        signal(SIGINT, SIG_DFL);
        kill(getpid(), SIGINT);
        code = SIGINT + 128;
    }
    _exit(code);
}

_Noreturn void template_main_run(void)
{
    FILE *file = fopen(TEMPLATE_PROGRAM, "rbe");
    PyCompilerFlags flags = _PyCompilerFlags_INIT;
    int code = 0;
    if (!file) {
        fprintf(stderr, "%s: can't open file '%s'\n", "/usr/bin/python3.11", TEMPLATE_PROGRAM);
        _exit(2);
    }
    PyObject *names = PyModule_GetDict(main_module);
    PyObject *done =
        PyRun_FileExFlags(file, TEMPLATE_PROGRAM, Py_file_input, names, names, 1, &flags);
    Py_CLEAR(main_module); /* sys.modules has it */
    if (!done) {
        code = 1;
        if (PyErr_Occurred() == PyExc_KeyboardInterrupt)
            _Py_UnhandledKeyboardInterrupt = 1;
        if (!_Py_HandleSystemExit(&code))
            PyErr_Print();
    }
    Py_XDECREF(done);
    end(code);
}
