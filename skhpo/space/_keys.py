"""When two settings are the same."""

import copyreg
import hashlib
from functools import partial
from types import BuiltinFunctionType, FunctionType

import numpy as np
import scipy.sparse
from sklearn.base import BaseEstimator


def candidate_key(params):
    """Return a hashable key: equal keys mean the same setting.

    Values are the same when they have the same type and value: 1, 1.0, True and NumPy's
    int64(1) differ. NaN equals NaN, 0.0 is not -0.0, and arrays, sparse matrices,
    lists, tuples, sets and dicts compare by content. Estimators compare by class and
    parameters; objects that are nothing but simple attributes, such as ``KFold(5)``, by
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
    return _Opaque(value)


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
        return _Opaque(estimator)
    params = candidate_key(estimator.get_params(deep=False))
    # What clone carries along besides the parameters.
    output = getattr(estimator, "_sklearn_output_config", None)
    requests = getattr(estimator, "_metadata_request", None)
    return kind, params, _value_key(output), repr(requests)


class _Opaque:
    """Make any object hashable; equal to itself, and to one with the same content."""

    __slots__ = ("content", "value")

    def __init__(self, value):
        self.value = value
        self.content = _content(value)

    def __eq__(self, other):
        if not isinstance(other, _Opaque):
            return False
        if self.value is other.value:
            return True
        is_known = type(self.value) is type(other.value) and self.content is not None
        return is_known and self.content == other.content

    def __hash__(self):
        # An object stays equal to itself when it changes.
        return id(type(self.value) if self.content is not None else self.value)


def _content(value):
    """Return the key of the attributes of an object that is nothing else, or None.

    Attributes that are objects themselves are not looked into.
    """
    kind = type(value)
    if kind is partial:
        parts = [value.func, *value.args, *value.keywords.values()]
        is_known = all(map(_is_simple, parts)) and not vars(value)
        key = value.func, value.args, value.keywords
        return _value_key(key) if is_known else None
    if any(getattr(kind, name) is not getattr(object, name) for name in _PICKLING):
        return None
    if getattr(kind, "__getstate__", None) is not getattr(object, "__getstate__", None):
        return None
    try:
        made, args, state, *_ = value.__reduce_ex__(4)
    except TypeError:  # it holds what cannot be copied
        return None
    if made is not copyreg.__newobj__ or args != (kind,) or type(state) is not dict:
        return None
    return _value_key(state) if all(map(_is_simple, state.values())) else None


def _is_simple(value):
    """Tell whether a value, or all in a list of them, is as good as any copy of it."""
    if type(value) in (list, tuple):
        return all(type(each) in _SIMPLE for each in value)
    if type(value) is np.ndarray:
        return not value.dtype.hasobject
    return type(value) in _SIMPLE or isinstance(value, (np.generic, type))


_PICKLING = "__reduce__", "__reduce_ex__"
_HASHED_BY_VALUE = frozenset([int, str, bool, bytes, range, type(None)])
_SIMPLE = _HASHED_BY_VALUE | {float, complex, FunctionType, BuiltinFunctionType}
