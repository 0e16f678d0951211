"""Whether views still equal separate fits, on this release of scikit-learn."""

import threading
import warnings

import numpy as np
import sklearn
from joblib import parallel_config
from scipy.sparse import issparse
from sklearn.base import clone
from sklearn.utils import check_random_state

from skhpo.reuse.base import TOLERANCE, grow

METHODS = (
    "predict",
    "predict_proba",
    "decision_function",
    "score_samples",
    "transform",
    "get_support",
)

_KNOWN = {}


def holds(cls, family):
    """Tell whether `family` works for `cls`; tried once in a process.

    Parameters
    ----------
    cls : type
        Class of an estimator.
    family : Family
        As in the table.

    Returns
    -------
    holds : bool
        True if views equal separate fits on tiny data.

    Warns
    -----
    UserWarning
        The first time, if they do not.
    """
    key = cls, family
    if key not in _KNOWN:
        problem = _problem(cls, family, _problems)
        _KNOWN[key] = problem is None
        if problem is not None:
            warnings.warn(
                f"skhpo fits every candidate of {cls.__name__} separately: with "
                f"scikit-learn {sklearn.__version__}, {type(family).__name__} does not "
                f"give what separate fits give ({problem}). Results are not affected, "
                "only time is. reuse=False avoids this warning.",
                UserWarning,
                stacklevel=2,
            )
    return _KNOWN[key]


def grows(cls, family):
    """Tell whether fits of `cls` go on as `family` says; see :func:`holds`.

    Where they do not, nobody is warned: fits start anew, as they do in scikit-learn.
    False also where it was not tried, and would be in a thread beside others: filters
    of warnings and NumPy's generator are theirs as well.
    """
    key = cls, family, "grows"
    if key not in _KNOWN:
        if threading.current_thread() is not threading.main_thread():
            return False
        _KNOWN[key] = _problem(cls, family, _problems_of_growth) is None
    return _KNOWN[key]


def differences(one, other, X, *, exact=True):
    """Yield the names of methods by which two fitted estimators differ on X.

    Parameters
    ----------
    one, other : estimator
        Fitted.
    X : array-like or sparse matrix
        Data to predict.
    exact : bool, default=True
        Whether equal means the same bits; close otherwise.

    Yields
    ------
    name : str
        Of a method whose results are not equal.
    """
    for name in METHODS:
        if hasattr(one, name) != hasattr(other, name):
            yield name
        elif hasattr(one, name):
            args = () if name == "get_support" else (X,)
            results = [_answer(getattr(each, name), args) for each in (one, other)]
            if not same(*results, exact=exact):
                yield name


def same(one, other, *, exact=True):
    """Tell whether two results are equal, and of the same type.

    Parameters
    ----------
    one, other : object
        Numbers, arrays or sparse matrices, or lists of them.
    exact : bool, default=True
        Whether to the last bit. If not, arrays of numbers may differ by `TOLERANCE` of
        their largest.

    Returns
    -------
    same : bool
        False as well if one has another shape or kind of numbers.
    """
    if type(one) is not type(other):
        return False
    if isinstance(one, list | tuple):
        return len(one) == len(other) and all(
            same(*pair, exact=exact) for pair in zip(one, other, strict=True)
        )
    if issparse(one):
        one, other = one.toarray(), other.toarray()
    if isinstance(one, np.ndarray | np.floating | float):
        one, other = np.asarray(one), np.asarray(other)
        if one.shape != other.shape or one.dtype != other.dtype:
            return False
        if one.dtype.kind != "f":
            return bool(np.array_equal(one, other))
        return one.tobytes() == other.tobytes() or (not exact and _close(one, other))
    return bool(one == other)


def _close(one, other):
    scale = np.max(np.abs(other), initial=0.0)
    return bool(np.max(np.abs(one - other), initial=0.0) <= TOLERANCE * scale)


def _answer(method, args):
    try:
        return method(*args)
    except Exception as error:
        return type(error).__name__, str(error)


def _problem(cls, family, problems):
    """Find the first of some problems, or give None."""
    generator = check_random_state(None)  # NumPy's own, which the user may have seeded
    state = generator.get_state()
    with (
        warnings.catch_warnings(),
        sklearn.config_context(transform_output="default"),
        # Threads of the user's would sum the votes of trees in any order.
        parallel_config("sequential", n_jobs=1),
    ):
        warnings.simplefilter("ignore")
        try:
            return next(problems(cls, family), None)
        except Exception as error:
            return f"{type(error).__name__}: {error}"
        finally:
            generator.set_state(state)


def _problems(cls, family):
    n_views = 0
    for X, y, estimators in family.examples(cls):
        leader = family.leader(estimators).fit(X, y)
        for estimator in estimators:
            view = family.view(leader, estimator)
            if view is None:
                continue
            n_views += 1
            separate = clone(estimator).fit(X, y)
            for name in differences(view, separate, X, exact=family.exact):
                yield f"{name} of {estimator} differs"
            if repr(view.get_params()) != repr(separate.get_params()):
                yield f"parameters of {estimator} differ"
    if not n_views:
        yield "no view was made"


def _problems_of_growth(cls, family):
    """Yield differences between fits that go on and separate ones."""
    n_grown = 0
    for X, y, estimators in family.examples(cls):
        small, *_, large = sorted(estimators, key=family.size)
        fitted = clone(large).set_params(**{family.shared[0]: family.size(small)})
        fitted.fit(X, y)
        if not family.may_grow(fitted):
            continue
        n_grown += 1
        grow(fitted, family, family.size(large)).fit(X, y)
        separate = clone(large).fit(X, y)
        for name in differences(fitted, separate, X):
            yield f"{name} of {large} differs"
    if not n_grown:
        yield "no fit went on"
