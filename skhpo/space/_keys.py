"""When two settings are the same."""

import hashlib
import threading
from functools import partial

import numpy as np
import scipy.sparse
from sklearn.base import BaseEstimator


def candidate_key(params):
    """Return a hashable key: equal keys mean the same setting.

    Values are the same when they have the same type and value: 1, 1.0, True and NumPy's
    int64(1) differ. NaN equals NaN, 0.0 is not -0.0, and arrays, sparse matrices,
    lists, tuples, sets and dicts compare by content. Estimators compare by class and
    parameters; objects that are nothing but their attributes, such as ``KFold(5)``, by
    class and attributes; functions and all other objects are equal to themselves only.

    Parameters
    ----------
    params : dict of str to object
        What ``set_params`` receives.

    Returns
    -------
    tuple
        Hashable, whatever the values are. It keeps alive the objects that are no
        built-in values, arrays or estimators.

    Examples
    --------
    >>> candidate_key({"a": 1, "b": [2]}) == candidate_key({"b": [2], "a": 1})
    True
    >>> candidate_key({"a": 1}) == candidate_key({"a": 1.0})
    False
    """
    return tuple([(name, _value_key(params[name])) for name in sorted(params)])


def _value_key(value):
    kind = type(value)
    if kind in _HASHED_BY_VALUE:
        return kind, value
    if kind is float:
        # A zero by its sign, NaN as equal to itself.
        return kind, (value or repr(value)) if value == value else None
    if kind is complex:
        return kind, _value_key(value.real), _value_key(value.imag)
    if isinstance(value, np.generic):
        if value.dtype.kind == "f" and np.isnan(value):
            return kind, None
        return kind, str(value.dtype), value.tobytes()
    if isinstance(value, (list, tuple)):
        return kind, tuple(map(_value_key, value))
    if isinstance(value, (set, frozenset)):
        return kind, frozenset(map(_value_key, value))
    if isinstance(value, dict):
        items = ((_value_key(name), _value_key(v)) for name, v in value.items())
        return kind, frozenset(items)
    if kind in (np.ndarray, np.memmap):
        return np.ndarray, str(value.dtype), value.shape, _array_content(value)
    if scipy.sparse.issparse(value):
        csr = value.tocsr(copy=True)
        csr.sum_duplicates()
        parts = (csr.data, csr.indices, csr.indptr)
        return kind, value.shape, tuple(map(_value_key, parts))
    if hasattr(value, "get_params") and not isinstance(value, type):
        return _estimator_key(value)
    return _Identity(value)


def _array_content(array):
    if array.dtype.hasobject:
        return tuple(map(_value_key, array.ravel().tolist()))
    if array.dtype.kind in "fc":
        array = np.where(np.isnan(array), np.nan, array).astype(array.dtype)
    return hashlib.sha256(array.tobytes()).digest()


def _estimator_key(estimator):
    kind = type(estimator)
    own_clone = getattr(kind, "__sklearn_clone__", None)
    if own_clone not in (None, BaseEstimator.__sklearn_clone__):
        # FrozenEstimator and its like stay fitted when cloned: the fit counts too.
        return _Identity(estimator)
    params = candidate_key(estimator.get_params(deep=False))
    # What clone carries along besides the parameters.
    output = getattr(estimator, "_sklearn_output_config", None)
    requests = getattr(estimator, "_metadata_request", None)
    return kind, params, _value_key(output), repr(requests)


class _Identity:
    """Make any object hashable; equal to itself, and to what has the same content."""

    __slots__ = ("content", "value")

    def __init__(self, value):
        self.value = value
        self.content = None
        # One that holds itself would have no end.
        if not any(value is other for other in _open.values):
            _open.values.append(value)
            try:
                self.content = _content(value)
            finally:
                _open.values.pop()

    def __eq__(self, other):
        if not isinstance(other, _Identity):
            return False
        if self.value is other.value:
            return True
        is_known = type(self.value) is type(other.value) and self.content is not None
        return is_known and self.content == other.content

    def __hash__(self):
        # Its content may have changed since.
        return id(type(self.value) if self.content is not None else self.value)


def _content(value):
    """Return the key of all that an object is made of; None if that is not known."""
    kind = type(value)
    if kind is partial:
        return _value_key((value.func, value.args, value.keywords))
    if not hasattr(value, "__dict__") or isinstance(value, type):
        return None
    bases = kind.__mro__[:-1]
    is_plain = (
        all(base.__flags__ & _OF_PYTHON for base in bases)
        and not any(vars(base).get("__slots__") for base in bases)
        and all(getattr(kind, name) is getattr(object, name) for name in _PICKLING)
        and getattr(kind, "__getstate__", None) is getattr(object, "__getstate__", None)
    )
    return _value_key(vars(value)) if is_plain else None


class _Open(threading.local):
    """Objects whose content is being read."""

    def __init__(self):
        self.values = []


_open = _Open()
# Of types that a class statement has made.
_OF_PYTHON = 1 << 9
# Whoever overrides one of these is more than its attributes.
_PICKLING = "__reduce__", "__reduce_ex__"
_HASHED_BY_VALUE = frozenset([int, str, bool, bytes, range, type(None)])
