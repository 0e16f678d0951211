"""The searches fare as well in scikit-learn's estimator checks as its own do."""

import warnings
from collections import Counter
from functools import cache

import pytest
from oracle import GRID, RANDOM
from sklearn.decomposition import PCA
from sklearn.linear_model import LogisticRegression, Ridge
from sklearn.utils import get_tags
from sklearn.utils.estimator_checks import check_estimator

from skhpo import BayesSearch, HypergradSearch, Real

INNER = {
    "classifier": (LogisticRegression(), {"C": [0.1, 1.0]}),
    "regressor": (Ridge(), {"alpha": [0.1, 1.0]}),
    "transformer": (PCA(), {"n_components": [1, 2]}),
}


RANGES = {
    "classifier": (LogisticRegression(), {"C": Real(0.1, 1.0, log=True)}),
    "regressor": (Ridge(), {"alpha": Real(0.1, 1.0, log=True)}),
}


def with_transformer_tags(cls):
    """Let a search of scikit-learn's say that it transforms, if its estimator does.

    Without, check_estimator refuses it: it has ``transform`` but no such tag.
    """

    class Tagged(cls):
        def __sklearn_tags__(self):
            tags = super().__sklearn_tags__()
            tags.transformer_tags = get_tags(self.estimator).transformer_tags
            return tags

    Tagged.__name__ = cls.__name__
    return Tagged


def check_results(search):
    """Run all checks; answer how each ended, by name and occurrence."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        results = check_estimator(search, on_skip=None, on_fail=None)
    seen = Counter()
    named = {}
    for result in results:
        name = result["check_name"]
        named[name, seen[name]] = result["status"]
        seen[name] += 1
    return named


@cache
def theirs(cls, inner):
    """Answer how the checks end for a search of scikit-learn's."""
    options = {} if cls is GRID[1] else {"n_iter": 2, "random_state": 0}
    if inner == "transformer":
        cls = with_transformer_tags(cls)
    return check_results(cls(*INNER[inner], cv=2, **options))


@pytest.mark.parametrize("inner", INNER)
@pytest.mark.parametrize(
    "classes",
    [GRID, RANDOM, (BayesSearch, RANDOM[1])],
    ids=["grid", "random", "bayes"],
)
def test_no_check_ends_worse_than_for_scikit_learns_own(classes, inner):
    options = {} if classes is GRID else {"n_iter": 2, "random_state": 0}
    ours = classes[0](*INNER[inner], cv=2, **options)
    assert_no_worse(check_results(ours), theirs(classes[1], inner))


@pytest.mark.parametrize("inner", RANGES)
def test_no_check_ends_worse_for_gradients_than_for_the_random_search(inner):
    ours = HypergradSearch(*RANGES[inner], n_iter=2, cv=2)
    assert_no_worse(check_results(ours), theirs(RANDOM[1], inner))


def assert_no_worse(ours, theirs):
    for status in ("failed", "skipped"):
        found = {check for check, ended in ours.items() if ended == status}
        assert found <= {check for check, ended in theirs.items() if ended == status}
    n_passed = Counter(ours.values())["passed"]
    assert n_passed >= Counter(theirs.values())["passed"] >= 40
