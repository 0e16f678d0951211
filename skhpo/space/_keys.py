"""When two settings are the same."""

import hashlib

import numpy as np
import scipy.sparse
from sklearn.base import BaseEstimator


def candidate_key(params):
    """Return a hashable key: equal keys mean the same setting.

    Values are the same when they have the same type and value: 1, 1.0, True and NumPy's
    int64(1) differ. NaN equals NaN, 0.0 is not -0.0, and arrays, sparse matrices,
    lists, tuples, sets and dicts compare by content. Estimators compare by class and
    parameters; functions and all other objects are equal to themselves only.

    Parameters
    ----------
    params : dict of str to object
        What ``set_params`` receives.

    Returns
    -------
    tuple
        Hashable, whatever the values are. It keeps alive the objects that it
        compares by identity.

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
    """Make any object hashable; equal to itself only."""

    __slots__ = ("value",)

    def __init__(self, value):
        self.value = value

    def __eq__(self, other):
        return isinstance(other, _Identity) and self.value is other.value

    def __hash__(self):
        return id(self.value)


_HASHED_BY_VALUE = frozenset([int, str, bool, bytes, range, type(None)])
