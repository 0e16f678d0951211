"""Whose code leaves data and estimators as they are: they may be shared with it."""

import sys

import numpy as np

from skhpo._sklearn import MultimetricScorer

# Of scikit-learn's, those that draw nothing.
_SCORES = "chi2", "f_classif", "f_regression", "r_regression"


def cannot_write(value):
    """Tell whether `value` leaves the data it is given as they are.

    True for scikit-learn's classes and ours (exact type, all the way down) that are not
    told to save a copy, and for the functions by which features are scored; they are
    tested to accept read-only data. A function of the user's may do anything.
    """
    if isinstance(value, list | tuple):
        return all(cannot_write(item) for item in value)
    if isinstance(value, type):
        return issubclass(value, np.generic)  # a dtype
    if hasattr(value, "get_params"):
        return _is_known(value) and all(
            cannot_write(param) and not ("copy" in name and param is False)
            for name, param in value.get_params(deep=False).items()
        )
    if type(value).__name__ == "make_column_selector":
        return _is_known(value)
    return not callable(value) or _scores_features(value)


def _is_known(value):
    return type(value).__module__.startswith(("sklearn.", "skhpo."))


def _scores_features(function):
    module = sys.modules.get("sklearn.feature_selection")
    return any(function is getattr(module, name, None) for name in _SCORES)


def scorer_cannot_write(scorer):
    """Tell whether `scorer` is one of scikit-learn's, with a metric of its own."""
    if isinstance(scorer, MultimetricScorer):
        return False
    # Without a metric it is the one that calls the estimator's own ``score``.
    metric = getattr(scorer, "_score_func", scorer)
    modules = (getattr(item, "__module__", None) for item in (type(scorer), metric))
    return all(str(module).startswith("sklearn.") for module in modules)


def scorer_asks_only(scorer):
    """Tell whether `scorer` is one of scikit-learn's, with whatever metric.

    What the user has written may do anything to an estimator; a metric sees none.
    """
    if isinstance(scorer, MultimetricScorer):
        return all(map(scorer_asks_only, scorer._scorers.values()))
    return type(scorer).__module__.startswith("sklearn.")
