"""scikit-learn's own searches as the oracle of ours: same input, same result."""

import copy
import numbers
import re
import warnings
from typing import NamedTuple

import numpy as np
from scipy import sparse
from sklearn.base import BaseEstimator
from sklearn.exceptions import FitFailedWarning
from sklearn.model_selection import GridSearchCV, RandomizedSearchCV

from skhpo import GridSearch, RandomSearch


def without_address(value):
    """Name a case by its value, as every process would."""
    return re.sub(r" at 0x[0-9A-Fa-f]+", "", repr(value))


# Our class and scikit-learn's.
GRID = (GridSearch, GridSearchCV)
RANDOM = (RandomSearch, RandomizedSearchCV)

TIMES = {"mean_fit_time", "std_fit_time", "mean_score_time", "std_score_time"}

# What a fitted search of ours has besides what scikit-learn's has.
EXTRA_ATTRIBUTES = {
    "n_candidates_",
    "n_fits_",
    "search_time_",
    "stop_reason_",
    "trials_",
}

METHODS = (
    "predict",
    "predict_proba",
    "predict_log_proba",
    "decision_function",
    "transform",
    "score_samples",
)


class Fitted(NamedTuple):
    """A fitted search, the warnings of its fit, and NumPy's global generator after."""

    search: object
    warnings: list
    generator: str


def fit_both(estimator, space, X, y=None, *, classes=GRID, params=None, **options):
    """Fit our search and scikit-learn's on equal terms, and compare them completely.

    Each of them gets copies of its own of everything, made by `X` if that is callable,
    and begins in the same state of NumPy's global generator.

    Returns
    -------
    ours, theirs : estimator
        The fitted searches.
    """
    ours, theirs = (
        fit_one(cls, estimator, space, X, y, params=params, **options)
        for cls in classes
    )
    assert_same_warnings(ours.warnings, theirs.warnings)
    assert_same_search(ours.search, theirs.search)
    assert ours.generator == theirs.generator
    return ours.search, theirs.search


def fit_one(cls, estimator, space, X, y=None, *, params=None, seed=0, **options):
    """Fit a search of class `cls` on copies of its arguments, recording warnings."""
    X = X() if callable(X) else copy.deepcopy(X)
    search = cls(
        copy.deepcopy(estimator), copy.deepcopy(space), **copy.deepcopy(options)
    )
    np.random.seed(seed)
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        search.fit(X, copy.deepcopy(y), **copy.deepcopy(params or {}))
    told = [(item.category, str(item.message)) for item in caught]
    return Fitted(search, told, str(np.random.get_state()))


def assert_same_warnings(ours, theirs):
    """Same warnings, as often; only that on failed fits may say more.

    And ours has one more, which names the candidates with useless mean scores.
    """
    ours = [w for w in ours if not re.match(r"mean_test_\w+ is (inf|nan) for ", w[1])]

    def comparable(category, message):
        if issubclass(category, FitFailedWarning):
            message = message.strip().partition("\n")[0]
        message = with_our_names(message.partition("Traceback")[0])
        return category.__name__, message

    assert sorted(comparable(*w) for w in ours) == sorted(
        comparable(*w) for w in theirs
    )


def assert_same_search(ours, theirs):
    """Compare all that two fitted searches have, but for their times."""
    assert_same_attributes(ours, theirs)
    assert_same_results(ours.cv_results_, theirs.cv_results_)
    for name in ("best_index_", "best_score_", "n_splits_", "multimetric_"):
        if hasattr(theirs, name):
            assert_same(getattr(ours, name), getattr(theirs, name), name)
    if hasattr(theirs, "best_params_"):
        assert_same(ours.best_params_, theirs.best_params_, "best_params_")
        # As in scikit-learn it is the very entry of the table.
        assert ours.best_params_ is ours.cv_results_["params"][ours.best_index_]
    if hasattr(theirs, "best_estimator_"):
        assert_same(ours.best_estimator_, theirs.best_estimator_, "best_estimator_")
    for name in ("classes_", "feature_names_in_", "n_features_in_"):
        if hasattr(theirs, name):
            assert_same(getattr(ours, name), getattr(theirs, name), name)
    assert type(ours.scorer_) is type(theirs.scorer_)
    assert repr(ours.scorer_) == repr(theirs.scorer_)
    if hasattr(theirs, "refit_time_"):
        assert type(ours.refit_time_) is type(theirs.refit_time_)
        assert 0 <= ours.refit_time_ < np.inf


def assert_same_attributes(ours, theirs):
    """Same public names, apart from those that are known to come on top."""

    def names(search):
        return {name for name in dir(search) if not name.startswith("_")}

    assert names(ours) - names(theirs) <= EXTRA_ATTRIBUTES | set(ours.get_params(False))
    assert names(theirs) <= names(ours)


def assert_same_results(ours, theirs):
    """Compare two ``cv_results_``, bit for bit and with the order of their keys."""
    assert type(ours) is type(theirs) is dict
    assert list(ours) == list(theirs)
    for key in theirs:
        if key in TIMES:
            assert ours[key].dtype == theirs[key].dtype
            assert ours[key].shape == theirs[key].shape
            assert np.all(np.isfinite(ours[key]))
            assert np.all(ours[key] >= 0)
        else:
            assert_same(ours[key], theirs[key], key)


def assert_same(ours, theirs, where):
    """Compare two values by type and, all the way down, by content."""
    assert type(ours) is type(theirs), where
    if isinstance(theirs, np.ma.MaskedArray):
        assert_same(ours.mask, theirs.mask, f"mask of {where}")
        assert_same(ours.fill_value, theirs.fill_value, f"fill value of {where}")
        # What lies under a mask says nothing.
        assert ours.dtype == theirs.dtype, where
        assert_same(ours.compressed(), theirs.compressed(), where)
    elif isinstance(theirs, np.ndarray):
        assert ours.dtype == theirs.dtype, where
        assert ours.shape == theirs.shape, where
        if theirs.dtype == object:
            for i, (our, their) in enumerate(zip(ours.flat, theirs.flat, strict=True)):
                assert_same(our, their, f"{where}[{i}]")
        else:
            assert ours.tobytes() == theirs.tobytes(), f"{where}: {ours} != {theirs}"
    elif sparse.issparse(theirs):
        assert ours.dtype == theirs.dtype, where
        assert_same(ours.toarray(), theirs.toarray(), where)
    elif isinstance(theirs, np.random.RandomState):
        assert str(ours.get_state()) == str(theirs.get_state()), where
    elif isinstance(theirs, BaseEstimator):
        assert_same(ours.get_params(), theirs.get_params(), where)
    elif isinstance(theirs, dict):
        assert list(ours) == list(theirs), where
        for key in theirs:
            assert_same(ours[key], theirs[key], f"{where}[{key!r}]")
    elif isinstance(theirs, list | tuple):
        assert len(ours) == len(theirs), where
        for i, (our, their) in enumerate(zip(ours, theirs, strict=True)):
            assert_same(our, their, f"{where}[{i}]")
    elif isinstance(theirs, numbers.Number | np.generic):
        assert ours == theirs or (ours != ours and theirs != theirs), where
    elif hasattr(theirs, "rvs"):
        assert (ours.dist.name, ours.args, ours.kwds) == (
            theirs.dist.name,
            theirs.args,
            theirs.kwds,
        ), where
    elif type(theirs).__eq__ is object.__eq__:
        assert with_our_names(repr(ours)) == with_our_names(repr(theirs)), where
    else:
        assert ours == theirs, where


def assert_same_predictions(ours, theirs, X, y=None):
    """Both have the same methods, and they give the same, bit for bit."""
    for method in METHODS:
        assert hasattr(ours, method) == hasattr(theirs, method), method
        if hasattr(theirs, method):
            # A pipeline may scale what it is given in place.
            our, their = (
                outcome_of(getattr(search, method), copy.deepcopy(X))
                for search in (ours, theirs)
            )
            assert_same(our, their, method)
    our, their = (
        outcome_of(search.score, *copy.deepcopy((X, y))) for search in (ours, theirs)
    )
    assert_same(our, their, "score")


def outcome_of(function, *args, **kwargs):
    """Call, and answer the result, or type and text of the error (with our names)."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        try:
            return function(*args, **kwargs)
        except Exception as error:
            return type(error), with_our_names(str(error))


def error_of(function, *args, **kwargs):
    """Call what must fail, and answer type and text of the error."""
    outcome = outcome_of(function, *args, **kwargs)
    assert isinstance(outcome, tuple), f"no error was raised, but {outcome} given"
    return outcome


def with_our_names(text):
    """Name classes as ours, objects without their address, and break no lines."""
    for our, their in (GRID, RANDOM):
        text = text.replace(their.__name__, our.__name__)
        text = text.replace(their.__name__.lower(), our.__name__.lower())
    return " ".join(re.sub(r"0x[0-9a-f]+", "0x", text).split())
