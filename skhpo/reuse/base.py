"""What a family of shared fits has to say, and what it may take for granted.

A family knows one kind of parameter whose value a fit to one setting can answer for
other settings as well: the number of trees of a forest, say. The answer is a *view*: a
copy of the fitted estimator, in which only the containers are new, with attributes as
a fit of its own would have set them. scikit-learn's own code predicts with it.

Equal means equal to the last bit, but for families that say that they are only close.
What might make a fit differ from its repetition is
refused here, for all families: a random state that is not a number, code that is not
scikit-learn's, callbacks, output that is printed during the fit.
"""

from abc import ABC, abstractmethod
from copy import deepcopy
from functools import partial
from inspect import signature
from numbers import Integral
from types import NoneType

import numpy as np
import sklearn
from scipy.sparse import issparse
from sklearn.base import clone

# By how much a close answer may differ, relative to the largest.
TOLERANCE = 1e-10

_SCALARS = (bool, int, float, complex, str, bytes, NoneType, np.generic)
# Parameters that make a fit depend on others, print, or draw later, unless false.
_OFF = ("warm_start", "oob_score", "verbose", "sample_posterior")
# What an estimator may have been told besides its parameters; clones keep it.
_ADDED = {"_sklearn_output_config", "_metadata_request"}
# When a random_state of None does no harm, by name of the class.
_DOES_NOT_DRAW = {
    "ElasticNet": lambda params: params["selection"] == "cyclic",
    "Lars": lambda params: params["jitter"] is None,
    "Lasso": lambda params: params["selection"] == "cyclic",
    "LassoLars": lambda params: params["jitter"] is None,
    "LogisticRegression": lambda params: (
        params["solver"] in {"lbfgs", "newton-cg", "newton-cholesky"}
    ),
    "NuSVC": lambda params: params["probability"] in (False, "deprecated"),
    "PCA": lambda params: params["svd_solver"] in {"full", "covariance_eigh"},
    "Ridge": lambda params: params["solver"] not in {"sag", "saga"},
    "RidgeClassifier": lambda params: params["solver"] not in {"sag", "saga"},
    "SVC": lambda params: params["probability"] in (False, "deprecated"),
}
# Whoever searches one of these may change whether an estimator draws.
DECIDE_DRAWS = {"random_state", "probability", "selection", "solver", "svd_solver"}


class NotShared(Exception):
    """Raised inside the package where candidates have to be fitted separately."""


class Family(ABC):
    """How one fit answers for several candidates; the base of all families.

    Attributes
    ----------
    shared : tuple of str
        Parameters in which the candidates of a group may differ. The first is the
        size: a fit with the largest answers for the others.
    exact : bool
        Whether views equal separate fits to the last bit. If not, their predictions
        differ by less than `TOLERANCE` of the largest.
    """

    shared = ()
    exact = True

    def key(self, estimator):
        """Tell what else has to be equal in a group, as a hashable.

        Called for each candidate, before anything is fitted, with valid parameters.

        Parameters
        ----------
        estimator : estimator
            With the parameters of the candidate, not fitted.

        Returns
        -------
        key : hashable
            Empty if equal parameters, the shared ones left out, are all it takes.

        Raises
        ------
        NotShared
            If the candidate shares its fit with none.
        """
        if draws(estimator, nested=False):
            raise NotShared
        return ()

    def may_share(self, names):
        """Tell whether candidates that differ in these parameters may share a fit."""
        return any(map(self.is_shared, names))

    def is_shared(self, name):
        """Tell whether candidates of a group may differ in this parameter."""
        return name in self.shared

    def size(self, estimator):
        """Give what is largest for the leader, as a number."""
        return getattr(estimator, self.shared[0])

    def may_grow(self, estimator):
        """Tell whether a fit goes on to a larger size as one of its own would.

        Parameters
        ----------
        estimator : estimator
            Fitted, of those that have a key.

        Returns
        -------
        may : bool
            True if another fit, with ``warm_start`` and a larger size, leaves it to the
            last bit as a single fit with that size would.
        """
        return False

    def leader(self, estimators):
        """Make what is fitted; it has a method ``fit``. The candidates stay as is."""
        return clone(max(estimators, key=self.size))

    def alone(self, estimator, X):
        """Tell whether `estimator`, fitted to X, has to be fitted separately."""
        return False

    @abstractmethod
    def view(self, leader, estimator):
        """Make the view of one candidate.

        Parameters
        ----------
        leader : object
            What :meth:`leader` made, fitted. It is not changed.
        estimator : estimator
            With the parameters of the candidate, not fitted.

        Returns
        -------
        view : estimator or None
            None if only a fit of its own can answer.
        """

    def features(self, view, X, leader_features):
        """Give what ``fit_transform`` of the candidate would make of its data.

        Called for views of transformers that are not the last step of a pipeline.

        Parameters
        ----------
        view : estimator
            Of the candidate.
        X : array-like or sparse matrix
            Training data.
        leader_features : array-like or sparse matrix
            What ``fit_transform`` of the leader gave.

        Returns
        -------
        features : array-like or sparse matrix
            The same bits, in the same memory layout.
        """
        return view.transform(X)

    @abstractmethod
    def examples(self, cls):
        """Yield (X, y, candidates) for the self-test of `cls`: tiny, but telling."""


def tiny_data(cls):
    """Make data for the self-test of a class, with three classes for a classifier.

    Parameters
    ----------
    cls : type
        Class of an estimator.

    Returns
    -------
    X, y : ndarray of shape (40, 4) and (40,)
        The same each time.
    """
    rng = np.random.default_rng(0)
    X = rng.normal(size=(40, 4))
    y = X[:, 0] + X[:, 1] * X[:, 2] + 0.3 * rng.normal(size=40)
    return X, (np.digitize(y, [-0.5, 0.5]) if "Classifier" in cls.__name__ else y)


def copy_of(leader, estimator, **attributes):
    """Copy a fitted estimator, not what it holds, with parameters of another.

    Parameters
    ----------
    leader : estimator
        Fitted.
    estimator : estimator
        Of the same class; gives the parameters.
    **attributes : object
        Fitted attributes that differ.

    Returns
    -------
    view : estimator
        Fitted.
    """
    view = object.__new__(type(estimator))
    view.__dict__.update(vars(leader), **{**vars(estimator), **attributes})
    return view


def grow(fitted, family, size):
    """Set a fitted estimator up for a fit that goes on to a larger size."""
    return fitted.set_params(warm_start=True, **{family.shared[0]: size})


class OwnMethod:
    """Base of what stands for a method of one view, and answers for several."""


class LastAnswers:
    """Answers to the last two queries, as test and training data are asked in turn.

    They are found by content: whoever predicts may have changed an array meanwhile.
    """

    def __init__(self):
        self._kept = []

    def __call__(self, X, answer):
        """Find the answer to `X`, or ask for ``answer(X)``."""
        for known, kept in self._kept:
            if known.dtype == X.dtype and np.array_equal(
                known, X, equal_nan=X.dtype.kind == "f"
            ):
                return kept
        new = answer(X)
        self._kept = [*self._kept, (X.copy(), new)][-2:]
        return new


def own_copy(view, replaced=()):
    """Copy a view with all that it holds, for those who may change it.

    Parameters
    ----------
    view : estimator
        As :func:`skhpo.reuse.fitted` gives it. Not to be used any more.
    replaced : iterable of (object, object)
        Training data, and what takes its place where the view holds it: some distances
        are computed differently between an array and itself.

    Returns
    -------
    estimator : estimator
        Shares nothing with other views.
    """
    for part in parts(view):
        # Answers of an instance would outlive another fit of it.
        for name, value in [*vars(part).items()]:
            if isinstance(value, OwnMethod):
                delattr(part, name)
    return deepcopy(view, {id(one): other for one, other in replaced})


def fit(estimator, X, y, params):
    """Fit an estimator to data that others look at as well; return it."""
    X = untouched(X)
    return estimator.fit(X, **params) if y is None else estimator.fit(X, y, **params)


def calls(params):
    """Tell whether a fit would call what its parameters hold, such as a ``monitor``.

    That may decide by anything, and be heard by some fits only where several share one.
    """
    return any(map(callable, params.values()))


def untouched(X):
    """Give X, or a copy if those who look at it may change the order of its entries.

    Support vector machines and others sort a sparse matrix in place. Its values stay
    the same, but what comes later sums them in another order.

    Parameters
    ----------
    X : array-like or sparse matrix
        Data or features.

    Returns
    -------
    X : array-like or sparse matrix
        Itself unless it is a sparse matrix whose entries are not in order.
    """
    # Its own copy may have indices of another type.
    return deepcopy(X) if may_be_sorted(X) else X


def may_be_sorted(X):
    """Tell whether a fit may put the entries of its data in order.

    Parameters
    ----------
    X : array-like or sparse matrix
        Training data.

    Returns
    -------
    may : bool
        True for a sparse matrix whose entries are not.
    """
    return issparse(X) and X.format in ("csr", "csc") and not X.has_canonical_format


def parts(value):
    """Yield the estimators in `value`, at any depth, itself first."""
    if isinstance(value, list | tuple):
        for item in value:
            yield from parts(item)
    elif isinstance(value, dict):
        yield from parts(list(value.values()))
    elif hasattr(value, "get_params") and not isinstance(value, type):
        yield value
        for param in value.get_params(deep=False).values():
            yield from parts(param)


def check_plain(estimator):
    """Raise NotShared unless fits of `estimator` are nothing but its parameters'.

    Parameters
    ----------
    estimator : estimator
        Looked at with all that it holds.

    Raises
    ------
    NotShared
        If code that is not scikit-learn's would run, if callbacks, an output container
        or metadata requests are set, if something is fitted already, or if a fit would
        go on from another, print, write to its data, or draw without a seed in a
        function.
    """
    if sklearn.get_config()["transform_output"] != "default":
        raise NotShared
    for part in parts(estimator):
        if not type(part).__module__.startswith("sklearn."):
            raise NotShared
        attributes = vars(part)
        if attributes.get("_skl_callbacks") or "_parent_callback_ctx" in attributes:
            raise NotShared
        if not _ADDED.isdisjoint(attributes):
            raise NotShared
        if type(part).__name__ == "FrozenEstimator":
            raise NotShared  # clones are fitted, so that parameters do not tell all
        params = part.get_params(deep=False)
        # An array is not false either, whatever it is for.
        if any(name in params and not _is_off(params[name]) for name in _OFF):
            raise NotShared
        _check_keywords(params)
        for value in params.values():
            _check_value(value)


def draws(estimator, *, nested=True):
    """Tell whether two fits of `estimator` may differ by their random draws.

    Parameters
    ----------
    estimator : estimator
        With its parameters set.
    nested : bool, default=True
        Whether estimators inside count, or are given their random state by it.

    Returns
    -------
    draws : bool
        True if a random state is not a number, and might be used.
    """
    for part in parts(estimator) if nested else [estimator]:
        params = part.get_params(deep=False)
        state = params.get("random_state", 0)
        if isinstance(state, Integral) and not isinstance(state, bool):
            continue
        does_not = _DOES_NOT_DRAW.get(type(part).__name__)
        if does_not is None or not does_not(params):
            return True
    return False


def freeze(value):
    """Make a hashable that is equal for equal values of a parameter, and only then.

    Parameters
    ----------
    value : object
        Of a parameter; estimators are told apart by class and parameters.

    Returns
    -------
    frozen : hashable
        With the types: 1 is not 1.0, nor True, and 0.0 is not -0.0.

    Raises
    ------
    NotShared
        If equality cannot be told.
    """
    if isinstance(value, _SCALARS):
        return type(value), repr(value)
    if type(value) in (list, tuple):
        return type(value), tuple(map(freeze, value))
    if type(value) is dict:
        items = ((freeze(key), freeze(item)) for key, item in value.items())
        return dict, tuple(items)
    if isinstance(value, type):
        return value
    if type(value) is slice:
        return slice, freeze((value.start, value.stop, value.step))
    if type(value).__name__ == "make_column_selector":
        return type(value), freeze(vars(value))  # a clone has copies
    if type(value) is np.ndarray and value.dtype != object:
        return np.ndarray, value.shape, value.dtype.str, value.tobytes()
    if type(value) is partial:
        return freeze(value.func), freeze(value.args), freeze(value.keywords)
    if hasattr(value, "get_params"):
        return type(value), freeze(value.get_params(deep=False))
    if isinstance(value, np.ufunc):
        return value
    if callable(value) and str(getattr(value, "__module__", "")).startswith(
        ("sklearn.", "numpy")
    ):
        return value
    raise NotShared


def values_of(estimator, names):
    """Freeze the values of some parameters, with the names that it has."""
    values = estimator.get_params()
    return tuple((name, freeze(values[name])) for name in names if name in values)


def check_valid(estimator):
    """Raise NotShared if the parameters are invalid: a fit of its own tells why."""
    if not hasattr(estimator, "_parameter_constraints"):
        return  # a FeatureUnion
    try:
        estimator._validate_params()
    except Exception as error:
        raise NotShared from error


def _check_value(value, seeded=False):
    """Raise NotShared if `value` may hold what is not looked at, a splitter's seed."""
    if isinstance(value, list | tuple):
        for item in value:
            _check_value(item)
    elif isinstance(value, dict):
        _check_keywords(value)
        _check_value(list(value.values()))
    elif type(value) is partial:
        # What it binds, RandomState instances for one, is looked at by freeze.
        _check_keywords(value.keywords)
        state = value.keywords.get("random_state")
        freeze(value)
        _check_value(value.func, seeded=isinstance(state, Integral))
    elif not (isinstance(value, _SCALARS) or hasattr(value, "get_params")):
        freeze(value)
        if callable(value) and not seeded and _function_draws(value):
            raise NotShared


def _check_keywords(keywords):
    """Raise NotShared if arguments say that data may be overwritten."""
    if any("copy" in str(name) and value is False for name, value in keywords.items()):
        raise NotShared


def _function_draws(function):
    """Tell whether a function of scikit-learn or NumPy may draw random numbers."""
    if isinstance(function, type | np.ufunc):
        return False
    owner = getattr(function, "__self__", None)
    if isinstance(owner, np.random.RandomState | np.random.Generator):
        return True
    try:
        return "random_state" in signature(function).parameters
    except (TypeError, ValueError):  # compiled
        return False


def _is_off(value):
    return value is None or (isinstance(value, bool | Integral) and not value)
