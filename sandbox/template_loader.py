# Started as /box/main.py of the template's own root. What is imported here a program need not load:
# it is taken out of sys.modules again, and put back when the program imports it, together with
# exactly what its import brings along in a cold start. sandbox/README.md says what was chosen.
import sys

cold = set(sys.modules)
caches = set(sys.path_importer_cache)
import _rustbox_template
import builtins

asked = {}  # module -> what its body imports, in order
loading = []
real_import = builtins.__import__


def resolve(name, package, level):
    if not level:
        return name
    base = package.rsplit(".", level - 1)[0]
    return f"{base}.{name}" if name else base


def spy(name, globals=None, locals=None, fromlist=(), level=0):
    importer = globals["__name__"] if globals else ""
    if importer.startswith(("_frozen_importlib", "importlib._bootstrap")) and loading:
        importer = loading[-1]  # the body of an extension module
    full = resolve(name, globals.get("__package__") if globals else None, level)
    loading.append(full)
    try:
        module = real_import(name, globals, locals, fromlist, level)
    finally:
        loading.pop()
    parts = [f"{full}.{part}" for part in fromlist or ()]
    asked.setdefault(importer, []).extend([full] + [part for part in parts if part in sys.modules])
    return module


builtins.__import__ = spy
import abc, array, bisect, cmath, collections, collections.abc, contextlib, copy, dataclasses, datetime, decimal, enum
import fractions, functools, gc, heapq, io, itertools, json, math, operator, os, random, re, statistics, string, struct
import textwrap, threading, time, traceback, typing
builtins.__import__ = real_import

new = [name for name in sys.modules if name not in cold and name != "_rustbox_template"]
known = {name for names in asked.values() for name in names}
started = {id(sys.modules[name]) for name in cold}
package_of = lambda name: name.rpartition(".")[0]
# Put there by their packages, which had them already: the import system's own first, others last.
for name in reversed(new):
    if id(sys.modules[name]) in started:
        asked.setdefault(package_of(name), []).insert(0, name)
for name in new:
    if id(sys.modules[name]) not in started and name not in known:
        asked.setdefault(package_of(name), []).append(name)


def closure(name, into, busy):
    """The names that an import of this one adds, in their order: each after those it imports."""
    package = name.rpartition(".")[0]
    if package:
        closure(package, into, busy)
    if name in cold or name in busy or name not in sys.modules:
        return into
    busy.add(name)
    for child in asked.get(name, ()):
        closure(child, into, busy)
    into[name] = None
    return into


hidden = {}
for name in new:
    package, _, attribute = name.rpartition(".")
    late = package and name not in closure(package, {}, set())
    hidden[name] = (sys.modules[name], tuple(closure(name, {}, set())), package if late else None, attribute)
for name, (module, _, package, attribute) in hidden.items():
    if package and getattr(sys.modules[package], attribute, None) is module:
        delattr(sys.modules[package], attribute)
for name in [*new, "_rustbox_template"]:
    del sys.modules[name]
for path in set(sys.path_importer_cache) - caches:
    del sys.path_importer_cache[path]
_rustbox_template.hide(hidden)
_rustbox_template.serve(random._inst, threading.main_thread(), gc.freeze)
