"""The canonical forms of functions and classes.

What comes with Python, with an installed package or with skhpo counts by its name: a
new version of it gives a warning of its own. What the user wrote counts by what it
does: bytecode, defaults, closures, and the functions, classes and constants that it
finds in its module, with theirs in turn. Where it stands in a file does not count, nor
does a docstring. Global variables of any other kind do not count: they are where
programs keep what changes.
"""

import dis
import inspect
import os
import sys
import sysconfig
from functools import cache
from types import (
    BuiltinFunctionType,
    CodeType,
    FunctionType,
    GetSetDescriptorType,
    MemberDescriptorType,
    MethodType,
    ModuleType,
)

from skhpo.checkpoint._forms import Bag, NoFormError, Pair, class_name

_CONSTANTS = (bool, int, float, complex, str, bytes, type(None), type(Ellipsis))
# Attributes of a class that its body did not set, or that say where it stands.
_GIVEN = frozenset(["__doc__", "__module__", "__qualname__", "__firstlineno__"])
# Where descriptors keep the function that they were put around.
_WRAPPED = ("__func__", "__wrapped__", "func", "fn", "fget", "fset", "fdel")
_HAS_DOCSTRING = 0x4000000  # a flag of code since Python 3.13


class Body:
    """A function or class of the user's without what it refers to by global names.

    Parameters
    ----------
    of : function or type
        Whose body.
    """

    __slots__ = ("of",)

    def __init__(self, of):
        self.of = of


@cache
def is_library(module):
    """Tell whether a module came with Python, with an installed package or with skhpo.

    Parameters
    ----------
    module : str
        Its full name.

    Returns
    -------
    bool
        False also for a module that is not known.
    """
    if module.partition(".")[0] == "skhpo":
        return True
    found = sys.modules.get(module)
    if found is None or module in ("__main__", "__mp_main__"):
        return False
    file = getattr(found, "__file__", None)
    if file is None:
        spec = getattr(found, "__spec__", None)
        return getattr(spec, "origin", None) in ("built-in", "frozen")
    parts = os.path.normpath(file).split(os.sep)
    if "site-packages" in parts or "dist-packages" in parts:
        return True
    homes = {sysconfig.get_path(name) for name in ("stdlib", "platstdlib")}
    homes |= {os.path.realpath(home) for home in homes}
    return any(file.startswith(home + os.sep) for home in homes)


def function_form(function):
    """Give the form of a function.

    Parameters
    ----------
    function : function
        Written in Python.

    Returns
    -------
    tag, parts : str and list of (step, object)
        As in the forms of data.
    """
    if not _is_library_function(function):
        return "function", [("", Body(function)), ("", _others(function))]
    parts = [("", function.__module__), ("", function.__qualname__)]
    if function.__closure__ or "<" in function.__qualname__:
        # Made by a function of the library: its name alone does not tell it.
        parts += [("", function.__code__), *_state(function)]
    return "library function", parts


def class_form(cls):
    """Give the form of a class."""
    if is_library(cls.__module__):
        return "library class", [("", class_name(cls))]
    return "class", [("", Body(cls)), ("", _others(cls))]


def body_form(body):
    """Give the form of a function or class without what it refers to."""
    if isinstance(body.of, type):
        return _class_body(body.of)
    function = body.of
    parts = [("", function.__module__), ("", function.__qualname__)]
    parts += [("", function.__code__), *_state(function)]
    constants = {
        name: value for name, value in _globals(function) if _is_constant(value)
    }
    return "function body", [*parts, ("", constants)]


def _class_body(cls):
    parts = [("", class_name(cls)), ("", [class_name(base) for base in cls.__bases__])]
    changing = _attributes_set(cls)
    for name, value in sorted(vars(cls).items()):
        functions = [Body(function) for function in _functions(value)]
        if name in _GIVEN or (name in changing and not functions):
            continue
        if functions or _is_constant(value):
            content = [class_name(type(value)), functions] if functions else value
            parts.append((f".{name}", Pair(name, content)))
    return "class body", parts


def _attributes_set(cls):
    """Collect the attributes that the methods of a class set, on whatever object.

    A constant of that name may be a counter, which is none of what the class does.
    """
    names = set()
    for value in vars(cls).values():
        for function in _functions(value):
            for step in _instructions(function.__code__):
                if step.opname == "STORE_ATTR":
                    names.add(step.argval)
    return names


def _state(function):
    """List the defaults of a function and what its closure holds."""
    parts = [(".__defaults__", function.__defaults__)]
    parts += [(".__kwdefaults__", function.__kwdefaults__)]
    names = function.__code__.co_freevars
    for name, cell in zip(names, function.__closure__ or (), strict=True):
        try:
            content = cell.cell_contents
        except ValueError:  # not yet set
            parts.append(("", name))
            continue
        # That of `super()` leads back to the class whose method it is.
        content = class_name(content) if name == "__class__" else content
        parts.append((f".<{name}>", Pair(name, content)))
    return parts


def code_form(code):
    """Give the form of bytecode: all that matters when it runs."""
    consts = list(code.co_consts)
    if _has_docstring(code):
        consts[0] = None
    n_arguments = code.co_argcount + code.co_kwonlyargcount
    n_arguments += bool(code.co_flags & inspect.CO_VARARGS)
    n_arguments += bool(code.co_flags & inspect.CO_VARKEYWORDS)
    parts = [
        code.co_name,
        (code.co_argcount, code.co_posonlyargcount, code.co_kwonlyargcount),
        code.co_flags & ~_HAS_DOCSTRING,
        code.co_code,
        code.co_exceptiontable,
        code.co_names,
        code.co_varnames[:n_arguments],
        consts,
    ]
    return "code", [("", part) for part in parts]


def _has_docstring(code):
    if sys.version_info >= (3, 13):
        return bool(code.co_flags & _HAS_DOCSTRING)
    # Before, the first constant was the docstring or None, but in what has no name.
    first = code.co_consts[0] if code.co_consts else None
    return isinstance(first, str) and not code.co_name.startswith("<")


def _others(root):
    """Collect what the user wrote and a function or class leads to by global names."""
    found = {id(root): root}
    waiting = [root]
    while waiting:
        for value in _references(waiting.pop()):
            if id(value) not in found:
                found[id(value)] = value
                waiting.append(value)
    del found[id(root)]
    return Bag([("", _name_or_body(value)) for value in found.values()])


def _references(value):
    """Yield functions, classes and modules that a function or class refers to."""
    if isinstance(value, type):
        if is_library(value.__module__):
            return
        yield from value.__bases__
        for attribute in vars(value).values():
            for function in _functions(attribute):
                yield from _references(function)
    elif isinstance(value, FunctionType) and not _is_library_function(value):
        for _, found in _globals(value):
            if isinstance(found, (type, FunctionType, ModuleType)):
                yield found
            elif isinstance(found, BuiltinFunctionType):
                # One bound to an object may change with it.
                if _is_free(found):
                    yield found
            else:
                yield from _functions(found)


def _name_or_body(value):
    if isinstance(value, type) and not is_library(value.__module__):
        return Body(value)
    if isinstance(value, FunctionType) and not _is_library_function(value):
        return Body(value)
    return value


def _is_library_function(function):
    # Not by its own word: functools.wraps gives it the module of another one.
    return is_library(function.__globals__.get("__name__", ""))


def _globals(function):
    """List the globals that a function reads and never sets, in order of their names.

    A counter that the function itself keeps is none of what it does.
    """
    read, written = set(), set()
    for step in _instructions(function.__code__):
        if step.opname in ("LOAD_GLOBAL", "LOAD_NAME"):
            read.add(step.argval)
        elif step.opname in ("STORE_GLOBAL", "DELETE_GLOBAL"):
            written.add(step.argval)
    known = function.__globals__
    return [(name, known[name]) for name in sorted(read - written) if name in known]


def _instructions(code):
    """Yield the instructions of code and of all code in it."""
    yield from dis.get_instructions(code)
    for const in code.co_consts:
        if isinstance(const, CodeType):
            yield from _instructions(const)


def _is_constant(value):
    if type(value) in (tuple, frozenset):
        return all(map(_is_constant, value))
    return type(value) in _CONSTANTS


def _functions(value):
    """List the functions of the user's in an attribute: itself, or what it wraps."""
    if isinstance(value, FunctionType):
        return [value]
    if isinstance(value, (type, MethodType, ModuleType)):
        return []
    found = []
    for name in _WRAPPED:
        # Not getattr, which may run what the user wrote.
        inner = inspect.getattr_static(value, name, None)
        if isinstance(inner, (MemberDescriptorType, GetSetDescriptorType)):
            inner = inner.__get__(value)
        found.append(inner)
    return [inner for inner in found if isinstance(inner, FunctionType)]


def builtin_form(function):
    """Give the form of a function written in C: its name, and what it is bound to."""
    if _is_free(function):
        return "builtin", [("", function.__module__), ("", function.__qualname__)]
    return method_form(function)


def method_form(method):
    """Give the form of a bound method: what it is bound to, and its function.

    One that a library offers as a function counts by name, such as
    ``numpy.random.rand``, which is bound to NumPy's global generator.
    """
    owner, name = method.__self__, method.__name__
    if is_library(type(owner).__module__) and any(
        _found(module, name) is method for module in filter(is_library, _loaded())
    ):
        return "library method", [("", type(owner)), ("", name)]
    parts = [("", name), (".__self__", owner)]
    return "method", [*parts, (".__func__", getattr(method, "__func__", None))]


def _is_free(function):
    return function.__self__ is None or isinstance(function.__self__, ModuleType)


def named_form(value, name):
    """Give the form of what is pickled as a global name, if it is found there.

    Parameters
    ----------
    value : object
        Anything.
    name : str
        The name that it gives itself.

    Returns
    -------
    tag, parts : str and list of (step, object)
        As in the forms of data.
    """
    own = getattr(value, "__module__", None)
    if isinstance(own, str) and _found(own, name) is value:
        return "name", [("", own), ("", name)]
    # Modules in which it is found depend on what was imported: any one will do.
    if any(_found(module, name) is value for module in _loaded()):
        return "name", [("", class_name(type(value))), ("", name)]
    raise NoFormError("is known by a name under which it is not found")


def _loaded():
    return list(sys.modules)


def _found(module, name):
    value = sys.modules.get(module)
    for part in name.split("."):
        # Not getattr: some modules import what they are asked for.
        value = getattr(value, "__dict__", {}).get(part)
    return value
