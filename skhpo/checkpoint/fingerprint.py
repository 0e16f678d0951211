"""Tell by its content whether a value is the same as in an earlier run.

Every value has a canonical form: a tag and parts, which are values in turn. Its digest
is that of the tag and of the digests of the parts, so that it depends on nothing but
content: not on the process, on addresses, or on the order of sets and dicts. No form
is ever taken from a ``repr``.
"""

import copyreg
import functools
import hashlib
import re
import reprlib
from decimal import Decimal
from enum import Enum
from fractions import Fraction
from pathlib import PurePath
from types import (
    BuiltinFunctionType,
    CodeType,
    FunctionType,
    MappingProxyType,
    MethodType,
    ModuleType,
)

import numpy as np
import scipy.sparse
from sklearn.base import BaseEstimator
from sklearn.utils import Bunch

from skhpo.checkpoint._code import (
    Body,
    body_form,
    builtin_form,
    class_form,
    code_form,
    function_form,
    method_form,
    named_form,
)
from skhpo.checkpoint._data import (
    array_form,
    dtype_form,
    frame_form,
    random_form,
    scalar_form,
    sparse_form,
)
from skhpo.checkpoint._forms import Bag, NoFormError, Pair, class_name, packages

# Parameters of estimators that may be others when a search goes on.
_VOLATILE = frozenset(["n_jobs", "verbose", "memory"])
# Values met inside themselves are walked again from elsewhere; so often at most.
_MAX_VISITS = 1000


class UnstableError(TypeError):
    """A value has no content that could be recognised in another process."""


def fingerprint(value, *, version=None, name="value"):
    """Compute a digest of the content of a value, the same in every process.

    Values have the same digest if they have the same type and content: 1, 1.0, True and
    ``np.int64(1)`` differ, as do a list and a tuple, while the order of a dict or set
    does not count, nor how an array lies in memory.

    * Estimators count by class, parameters and what else ``clone`` keeps, without
      ``n_jobs``, ``verbose`` and ``memory``; one that is cloned with its fit, such as
      ``FrozenEstimator``, counts with it.
    * Functions and classes of Python and of installed packages count by name. Those of
      the user's count by what they do: bytecode, defaults, closures, and the functions,
      classes and constants (numbers, texts, None, tuples of such) that they find in
      their module; not other global variables, docstrings or positions in files. The
      bytecode is that of one version of Python.
    * Distributions of SciPy count without their random state, generators of random
      numbers by their state, frames by names, types, index and values.
    * All else counts by what :mod:`pickle` would keep of it.

    Parameters
    ----------
    value : object
        Anything.
    version : str, default=None
        Stands for the content of what has none that is stable; such objects then count
        by class and version.
    name : str, default="value"
        What an error calls the value.

    Returns
    -------
    digest : str
        32 hexadecimal digits.

    Raises
    ------
    UnstableError
        If something in the value has no stable content, such as an open file, a lock
        or a generator, and there is no version.

    Examples
    --------
    >>> fingerprint({"a": 1, "b": 2}) == fingerprint({"b": 2, "a": 1})
    True
    >>> fingerprint(1) == fingerprint(1.0)
    False
    """
    walk = _Walk(version, name)
    try:
        return hashlib.blake2b(walk.encode(value), digest_size=16).hexdigest()
    except RecursionError:
        raise UnstableError(
            f"{name} ({class_name(type(value))}) is nested too deeply to be recognised "
            "in another run."
        ) from None


class _Walk:
    """The way through one value: what it stands in, what it has seen.

    Parameters
    ----------
    version : str or None
        Stands for what has no form.
    name : str
        Of the whole value.
    """

    def __init__(self, version, name):
        self._version = version
        self._steps = [name]
        self._fitted = False
        self._depths = {}
        self._codes = {}
        self._visits = {}
        # Depth of the outermost value that something inside refers back to.
        self._outermost = np.inf

    def encode(self, value, step=""):
        """Give bytes that say the content, and end where they end."""
        atom = _ATOMS.get(type(value))
        if atom is not None:
            return atom(value)
        if type(value) is _Fitted:
            return self._encode_fitted(value)
        key = id(value), self._fitted
        if key in self._codes:
            return self._codes[key][0]
        depth = len(self._depths)
        if key in self._depths:
            self._outermost = min(self._outermost, self._depths[key])
            return b"^%x;" % (depth - self._depths[key])
        outermost, self._outermost = self._outermost, np.inf
        self._depths[key] = depth
        self._steps.append(step)
        try:
            code = self._encode_parts(value, key)
        finally:
            self._steps.pop()
            del self._depths[key]
        if self._outermost >= depth:
            # What refers to nothing around it is the same wherever it stands. The
            # value is kept too: another one must not get its id.
            self._codes[key] = code, value
        self._outermost = min(self._outermost, outermost)
        return code

    def _encode_parts(self, value, key):
        self._visits[key] = self._visits.get(key, 0) + 1
        try:
            if self._visits[key] > _MAX_VISITS:
                raise NoFormError("refers to itself in too many ways")
            tag, parts = _form(value, self._fitted)
        except NoFormError as error:
            tag, parts = "version", self._parts_of_version(value, error)
        digest = hashlib.blake2b(_text(tag), digest_size=16)
        if isinstance(parts, Bag):
            for code in sorted([self.encode(part, to) for to, part in parts.parts]):
                digest.update(code)
        else:
            for to, part in parts:
                digest.update(self.encode(part, to))
        return b"#" + digest.digest()

    def _encode_fitted(self, value):
        before, self._fitted = self._fitted, True
        try:
            return self.encode(value.estimator)
        finally:
            self._fitted = before

    def _parts_of_version(self, value, error):
        kind = class_name(type(value))
        if self._version is not None:
            return [("", kind), ("", self._version)]
        path = "".join(f"[{s}]" if isinstance(s, int) else s for s in self._steps)
        raise UnstableError(
            f"{path} ({kind}) {error}, so that it cannot be recognised in another run. "
            "Use something else, or give Checkpoint a version, and another version "
            "whenever this changes."
        ) from error.__cause__


class _Fitted:
    """An estimator that counts with its fit."""

    __slots__ = ("estimator",)

    def __init__(self, estimator):
        self.estimator = estimator


def _text(value):
    data = value.encode("utf-8", "surrogatepass")
    return b"s%d:%b" % (len(data), data)


def _float(value):
    return b"f%b;" % value.hex().encode()


def _constant(code):
    return lambda value: code


# What is not worth a digest of its own: code that ends where it ends.
_ATOMS = {
    type(None): _constant(b"N"),
    type(Ellipsis): _constant(b"E"),
    type(NotImplemented): _constant(b"I"),
    bool: lambda value: b"T" if value else b"F",
    int: lambda value: b"i%x;" % value,
    float: _float,
    complex: lambda value: b"c" + _float(value.real) + _float(value.imag),
    str: _text,
    bytes: lambda value: b"b%d:%b" % (len(value), value),
}


def _form(value, fitted):
    """Find the rule for a value and follow it."""
    rule = _RULES.get(type(value))
    if rule is not None:
        return rule(value)
    for kind, rule in _FAMILIES:
        if isinstance(value, kind):
            return rule(value)
    if scipy.sparse.issparse(value):
        return sparse_form(value)
    form = frame_form(value) or _distribution_form(value) or _numba_form(value)
    if form is not None:
        return form
    if hasattr(value, "get_params"):
        return _estimator_form(value, fitted)
    return _object_form(value)


def _items_form(value):
    return type(value).__name__, enumerate(value)


def _set_form(value):
    return type(value).__name__, Bag([("", element) for element in value])


def _dict_form(value):
    items = [(f"[{_key_text(key)}]", Pair(key, value[key])) for key in value]
    return type(value).__name__, Bag(items)


def _key_text(key):
    return repr(key) if type(key) in (str, int) else reprlib.repr(type(key).__name__)


def _attributes(*names):
    """Make a rule: by these attributes."""

    def form(value):
        return type(value).__name__, [
            (f".{name}", getattr(value, name)) for name in names
        ]

    return form


def _as_text(value):
    return type(value).__name__, [("", str(value))]


def _enum_form(value):
    return "enum", [("", type(value)), ("", value.name), (".value", value.value)]


def _cached_form(value):
    parts = [(".__wrapped__", value.__wrapped__), ("", value.cache_parameters())]
    return "cached function", parts


def _distribution_form(value):
    """Give the form of a distribution of scipy.stats, frozen or not, or None."""
    if "scipy" not in packages(value):
        return None
    if all(hasattr(value, name) for name in ("dist", "args", "kwds")):
        parts = [("", _distribution_parts(value.dist)), (".args", value.args)]
        parts += [
            (f".{name}", getattr(value, name, None)) for name in ("kwds", "a", "b")
        ]
        return "frozen distribution", parts
    if all(hasattr(value, name) for name in ("rvs", "name", "random_state", "shapes")):
        return "distribution", _distribution_parts(value)
    return None


def _distribution_parts(distribution):
    # Those given as a list of values or as a histogram have these; all have a and b.
    names = ("name", "a", "b", "xk", "pk", "_histogram")
    parts = [(".__class__", type(distribution))]
    return parts + [(f".{name}", getattr(distribution, name, None)) for name in names]


def _numba_form(value):
    # What it is pickled to differs in each process.
    if "numba" in packages(value) and hasattr(value, "py_func"):
        return "compiled function", [(".py_func", value.py_func)]
    return None


def _estimator_form(value, fitted):
    own_clone = getattr(type(value), "__sklearn_clone__", None)
    if fitted:
        return _object_form(value)
    if own_clone not in (None, BaseEstimator.__sklearn_clone__):
        return "estimator as fitted", [("", _Fitted(value))]
    params = value.get_params(deep=False)
    parts = [(".__class__", type(value))]
    # What clone carries along besides the parameters.
    requests = getattr(value, "_metadata_request", None)
    if hasattr(requests, "_serialize"):
        requests = requests._serialize()
    parts += [("", getattr(value, "_sklearn_output_config", None)), ("", requests)]
    for name in sorted(params.keys() - _VOLATILE):
        parts.append((f".{name}", Pair(name, params[name])))
    return "estimator", parts


def _object_form(value):
    """Give the form of any object: what pickle would keep of it."""
    reduce = copyreg.dispatch_table.get(type(value))
    try:
        reduced = reduce(value) if reduce is not None else value.__reduce_ex__(4)
    except Exception as error:
        raise NoFormError("has no content that can be written down") from error
    if isinstance(reduced, str):
        return named_form(value, reduced)
    if not isinstance(reduced, tuple) or not 2 <= len(reduced) <= 6:
        raise NoFormError("has no content that can be written down")
    function, args, state, items, pairs, setter = (*reduced, *4 * [None])[:6]
    parts = [("", function), ("", args), *_state_parts(value, state)]
    if items is not None:
        parts += enumerate(items)
    if pairs is not None:
        pairs = [(f"[{_key_text(key)}]", Pair(key, item)) for key, item in pairs]
        # Two OrderedDicts in different order are not equal, unlike any other dicts.
        ordered = "OrderedDict" in {cls.__name__ for cls in type(value).__mro__}
        parts.append(("", _Items(pairs) if ordered else Bag(pairs)))
    return "object", [*parts, ("", setter)]


def _state_parts(value, state):
    """Name the attributes in a state, without those that may change."""
    slots = None
    if isinstance(state, tuple) and len(state) == 2 and isinstance(state[1], dict):
        state, slots = state
    if isinstance(state, tuple) and hasattr(value, "reset_n_calls"):
        # Trees of neighbours count what they are asked; the nodes say the rest.
        state = tuple(part for part in state if not isinstance(part, int))
    if not isinstance(state, dict):
        return [("", state), ("", slots)]
    attributes = {**state, **(slots or {})}
    dropped = set()
    if hasattr(value, "get_params"):
        dropped = _VOLATILE | {"_sklearn_version"}
    elif "scipy" in packages(value):
        names = map(str, attributes)
        dropped = {"_random_state"} | {
            name for name in names if name.endswith("_cache")
        }
    kept = [Pair(name, attributes[name]) for name in attributes if name not in dropped]
    return [("", Bag([(f".{pair.key}", pair) for pair in kept]))]


class _Items:
    """Pairs whose order counts."""

    __slots__ = ("pairs",)

    def __init__(self, pairs):
        self.pairs = pairs


# Rules by exact type.
_RULES = {
    list: _items_form,
    tuple: _items_form,
    set: _set_form,
    frozenset: _set_form,
    dict: _dict_form,
    # Pickle does not keep its attributes either.
    Bunch: _dict_form,
    MappingProxyType: _dict_form,
    Bag: lambda bag: ("bag", bag),
    Pair: lambda pair: ("pair", [("", pair.key), ("", pair.value)]),
    _Items: lambda items: ("items", items.pairs),
    Body: body_form,
    CodeType: code_form,
    FunctionType: function_form,
    BuiltinFunctionType: builtin_form,
    MethodType: method_form,
    ModuleType: lambda module: ("module", [("", module.__name__)]),
    functools.partial: _attributes("func", "args", "keywords"),
    type(functools.lru_cache(len)): _cached_form,
    memoryview: lambda view: (
        "memoryview",
        [("", view.format), ("", np.asarray(view))],
    ),
    range: _attributes("start", "stop", "step"),
    slice: _attributes("start", "stop", "step"),
    re.Pattern: _attributes("pattern", "flags"),
    Decimal: _as_text,
    Fraction: _attributes("numerator", "denominator"),
}

# Rules for subclasses too, the first that fits.
_FAMILIES = (
    (type, class_form),
    (Enum, _enum_form),
    # Other packages change how these are pickled.
    (BaseException, _attributes("__class__", "args")),
    (np.ndarray, array_form),
    (np.generic, scalar_form),
    (np.dtype, dtype_form),
    (
        (np.random.Generator, np.random.RandomState, np.random.BitGenerator),
        random_form,
    ),
    (PurePath, _as_text),
)
