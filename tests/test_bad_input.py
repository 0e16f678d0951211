"""Bad input: refused before any fit, by a message that names parameter and value.

Odd input that has a meaning is at the end: it passes, and changes nothing of the
caller's.
"""

import copy
import math
import os
import pickle
import random
import subprocess
import sys
import tracemalloc
from decimal import Decimal
from fractions import Fraction
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import scipy.sparse
from joblib import parallel_config
from scipy import stats
from sklearn.base import BaseEstimator, RegressorMixin, clone
from sklearn.decomposition import PCA
from sklearn.exceptions import FitFailedWarning, NotFittedError
from sklearn.linear_model import Ridge
from sklearn.metrics import mean_squared_error
from sklearn.model_selection import GridSearchCV, KFold
from sklearn.pipeline import Pipeline
from sklearn.preprocessing import StandardScaler
from sklearn.tree import DecisionTreeClassifier
from sklearn.utils.validation import check_is_fitted

from skhpo import (
    BayesSearch,
    Categorical,
    GridSearch,
    HypergradSearch,
    Integer,
    RandomSearch,
    Real,
)
from skhpo.hypergradients.least_squares import RidgeEquations
from skhpo.space import Space

ALL = [GridSearch, RandomSearch, BayesSearch, HypergradSearch]
DRAWING = ALL[1:]

rng = np.random.default_rng(0)
X = rng.normal(size=(30, 3))
y = X[:, 0] + rng.normal(size=30)
FITS = []


class Logged(Ridge):
    """A ridge regression that logs its fits."""

    def fit(self, X, y, sample_weight=None):
        FITS.append(self.alpha)
        return super().fit(X, y, sample_weight)

    def __hypergradient__(self):
        return RidgeEquations


class Unscored(BaseEstimator):
    """Has no method score."""

    def __init__(self, alpha=1.0):
        self.alpha = alpha

    def fit(self, X, y):
        FITS.append(self.alpha)
        return self


@pytest.fixture(autouse=True)
def no_fits():
    FITS.clear()


def make(cls, **changes):
    """A search that would work, but for the changes."""
    space = "param_grid" if cls is GridSearch else "param_distributions"
    values = [0.1, 1.0] if cls is GridSearch else Real(0.1, 10, log=True)
    options = {"estimator": Logged(), "cv": 3, space: {"alpha": values}}
    if cls is not GridSearch:
        options.update(n_iter=3, random_state=0)
    if "space" in changes:
        changes[space] = changes.pop("space")
    return cls(**{**options, **changes})


def refused(search, *named, X=X, y=y, error=(ValueError, TypeError), **fit_params):
    with pytest.raises(error) as caught:
        search.fit(X, y, **fit_params)
    assert FITS == []
    message = str(caught.value)
    for part in named:
        assert str(part) in message, message
    assert not hasattr(search, "cv_results_")


@pytest.mark.parametrize("cls", ALL)
def test_without_the_bad_input_all_would_be_well(cls):
    assert make(cls).fit(X, y).best_score_ > 0.3
    assert len(FITS) > 3


# Parameters of every search: the change, and what the message has to name.
PARAMETERS = [
    ({"estimator": Logged}, "instance", "class"),
    ({"estimator": "ridge"}, "'estimator'", "'ridge'"),
    ({"estimator": None}, "'estimator'", "None"),
    ({"estimator": BaseEstimator()}, "'estimator'", "BaseEstimator()"),
    ({"estimator": Unscored()}, "scoring", "'score'", "Unscored()"),
    ({"estimator": [Logged()]}, "'estimator'", "[Logged()]"),
    ({"scoring": "acuracy"}, "'scoring'", "'acuracy'", "mean 'accuracy'?"),
    ({"scoring": "R2"}, "'scoring'", "'R2'", "mean 'r2'?"),
    ({"scoring": "mean_squared_error"}, "mean 'neg_mean_squared_error'?"),
    ({"scoring": 7}, "'scoring'", "7"),
    ({"scoring": ["r2", "acuracy"], "refit": "r2"}, "'acuracy'", "mean 'accuracy'?"),
    ({"scoring": {"a": "acuracy"}, "refit": "a"}, "'acuracy'", "mean 'accuracy'?"),
    ({"scoring": ["r2", "r2"], "refit": "r2"}, "Duplicate", "r2"),
    ({"scoring": [], "refit": False}, "Empty", "[]"),
    ({"scoring": {}, "refit": False}, "dict", "{}"),
    ({"scoring": [1, 2], "refit": False}, "1", "2"),
    ({"scoring": ["r2", len], "refit": "r2"}, "len"),
    ({"scoring": {1: "r2"}, "refit": False}, "key", "1"),
    ({"scoring": ["r2", "neg_mean_squared_error"]}, "refit", "True"),
    (
        {"scoring": ["r2", "neg_mean_squared_error"], "refit": "accuracy"},
        "refit",
        "accuracy",
    ),
    ({"refit": 1.5}, "'refit'", "1.5"),
    ({"refit": None}, "'refit'", "None"),
    ({"cv": 1}, "1"),
    ({"cv": 0}, "0"),
    ({"cv": -3}, "-3"),
    ({"cv": 31}, "31", "30"),
    ({"cv": KFold(31)}, "31", "30"),
    ({"cv": "five"}, "'cv'", "'five'"),
    ({"cv": 2.5}, "'cv'", "2.5"),
    ({"cv": math.nan}, "'cv'", "nan"),
    ({"cv": []}, "CV iterator empty"),
    (
        {"cv": [(range(20), range(20, 30)), (range(30), [])]},
        "cv: split 1 has an empty test part.",
    ),
    ({"cv": [(range(20), np.zeros(30, bool))]}, "cv: split 0 has an empty test part."),
    (
        {"cv": [(range(20), np.zeros(29, bool))]},
        "cv: ",
        "test part of split 0",
        "(29,)",
    ),
    ({"cv": [(range(20), range(20, 31))]}, "cv: ", "test part of split 0", "30"),
    (
        {"cv": [(range(20), range(20, 30)), ([0, -31], [1, 2])]},
        "cv: ",
        "training part of split 1",
        "-31",
    ),
    ({"n_jobs": 1.5}, "'n_jobs'", "1.5"),
    ({"n_jobs": "2"}, "'n_jobs'", "'2'"),
    ({"n_jobs": 0}, "n_jobs", "0"),
    ({"verbose": -1}, "'verbose'", "-1"),
    ({"verbose": "yes"}, "'verbose'", "'yes'"),
    ({"pre_dispatch": None}, "'pre_dispatch'", "None"),
    ({"pre_dispatch": 2.5}, "'pre_dispatch'", "2.5"),
    ({"error_score": "nan"}, "'error_score'", "'nan'"),
    ({"error_score": None}, "'error_score'", "None"),
    ({"return_train_score": "yes"}, "'return_train_score'", "'yes'"),
]


@pytest.mark.parametrize("cls", ALL)
@pytest.mark.parametrize("change, named", [(c, named) for c, *named in PARAMETERS])
def test_a_bad_parameter_is_refused_by_name(cls, change, named):
    refused(make(cls, **change), *named)


@pytest.mark.parametrize("cls", [GridSearch, RandomSearch, BayesSearch])
@pytest.mark.parametrize("reuse", ["near", "Exact", True, None, 1, 0])
def test_bad_reuse_is_refused(cls, reuse):
    refused(make(cls, reuse=reuse), "'reuse'", "'exact'", "False", repr(reuse))


def test_a_search_that_learns_shares_only_what_is_exact():
    refused(make(BayesSearch, reuse="close"), "'reuse'", "'exact'", "False", "'close'")


N_ITER = [0, -1, 2.5, "10", math.nan, None, True]


@pytest.mark.parametrize("cls", DRAWING)
@pytest.mark.parametrize(
    "name, value",
    [("n_iter", value) for value in N_ITER]
    + [("random_state", value) for value in (-1, 2.5, "0", 2**32)],
)
def test_a_bad_parameter_of_searches_that_draw_is_refused_by_name(cls, name, value):
    refused(make(cls, **{name: value}), name, value)


@pytest.mark.parametrize(
    "cls, name, value",
    [
        (RandomSearch, "design", "halton"),
        *(
            (cls, "racing", value)
            for cls in (GridSearch, RandomSearch)
            for value in ("bounds", True, 0.01, ["paired"])
        ),
        (RandomSearch, "design", None),
        (BayesSearch, "max_pending", 0),
        (BayesSearch, "max_pending", 1.5),
        (BayesSearch, "max_pending", True),
        (BayesSearch, "surrogate", "svm"),
        (BayesSearch, "surrogate", object),
        (BayesSearch, "initial_candidates", {"alpha": 1.0}),
        (BayesSearch, "initial_candidates", [{"alpha": 99.0}]),
        (BayesSearch, "initial_candidates", [{"alhpa": 1.0}]),
        (BayesSearch, "initial_candidates", [1.0]),
        (HypergradSearch, "smooth_scoring", "acuracy"),
        (HypergradSearch, "smooth_scoring", 7),
        (HypergradSearch, "check_gradient", "yes"),
    ],
)
def test_a_bad_parameter_of_one_search_is_refused_by_name(cls, name, value):
    shown = {object: "object"}.get(value, value) if isinstance(value, type) else value
    if isinstance(value, list):
        (shown,) = value
        shown = next(iter(shown)) if isinstance(shown, dict) else shown
    if isinstance(value, dict):
        shown = "alpha"
    refused(make(cls, **{name: value}), name, shown)


def of_one_too_few(f, y):
    return 0.0, f


def of_a_scorer(estimator, X, y):
    return 0.0


def of_another_shape(f, y, s):
    return 0.0, np.zeros(3)


def of_many_values(f, y, s):
    return f - y, f - y


def of_no_number(f, y, s):
    return "small", f


def of_an_error(f, y, s):
    raise ArithmeticError("no loss")


@pytest.mark.parametrize(
    "loss, found",
    [
        (of_one_too_few, "TypeError"),
        (of_a_scorer, "TypeError"),
        (of_another_shape, "shapes () and (3,)"),
        (of_many_values, "shapes (30, 1) and (30, 1)"),
        (of_no_number, "'small'"),
        (of_an_error, "ArithmeticError: no loss"),
        (mean_squared_error, "TypeError"),
    ],
)
def test_an_own_loss_that_gives_no_slope_is_refused_before_any_fit(loss, found):
    search = make(HypergradSearch, smooth_scoring=loss)
    refused(search, f"smooth_scoring = {loss!r}", "loss(f, y, s)", found, "Correct it")


@pytest.mark.parametrize(
    "name, value, todo",
    [
        ("smooth_scoring", "acuracy", "Did you mean 'accuracy'"),
        ("smooth_scoring", "accuracy", "such as 'neg_mean_squared_error'"),
        ("smooth_scoring", "neg_max_error", "Known are"),
        ("smooth_scoring", 7, "such as 'neg_log_loss'"),
        ("smooth_scoring", ["r2"], "such as 'neg_log_loss'"),
        ("check_gradient", "yes", "Set it to True"),
        ("check_gradient", None, "Set it to True"),
        ("check_gradient", 1, "Set it to True"),
    ],
)
def test_a_bad_parameter_of_the_descent_is_refused_with_what_to_do(name, value, todo):
    search = make(HypergradSearch, **{name: value})
    refused(search, name, repr(value), todo)


# Spaces that no search can take.
SPACES = [
    (None, "None"),
    ("alpha", "'alpha'"),
    (7, "7"),
    ([], "[]"),
    ((), "()"),
    ([{"alpha": [1.0]}, "beta"], "[1]", "'beta'"),
    ([None], "None"),
    ({7: [1.0]}, "7", "keys must be names"),
    ({None: [1.0]}, "None", "keys must be names"),
    ({"alpha": []}, "'alpha'", "[]", "non-empty"),
    ({"alpha": np.array([])}, "'alpha'", "[]"),
    ({"alpha": 3.0}, "'alpha'", "3.0", "list"),
    ({"alpha": "1.0"}, "'alpha'", "'1.0'", "list"),
    ({"alpha": None}, "'alpha'", "None", "list"),
    ({"alpha": np.ones((2, 2))}, "'alpha'", "one-dimensional"),
    ({"alpha": {1.0, 2.0}}, "'alpha'", "{1.0, 2.0}"),
    ({"alpha": (0.1, 10.0, "log-uniform")}, "'alpha'", "log-uniform", "Real"),
    ({"alpha": lambda: 1.0}, "'alpha'", "<function <la"),
    ({"alhpa": [0.1, 1.0]}, "'alhpa'", "Logged", "mean 'alpha'?"),
    ({"ridge__alpha": [0.1, 1.0]}, "'ridge__alpha'", "Logged"),
    ({"alpha": [1.0], "solver__tol": [1.0]}, "'solver__tol'", "'auto'"),
    ([{"alpha": [1.0]}, {"alhpa": [1.0]}], "'alhpa'", "mean 'alpha'?"),
]


@pytest.mark.parametrize("cls", ALL)
@pytest.mark.parametrize("space, named", [(s, named) for s, *named in SPACES])
def test_a_bad_space_is_refused_by_name(cls, space, named):
    name = "param_grid" if cls is GridSearch else "param_distributions"
    refused(make(cls, space=space), name, *named)


@pytest.mark.parametrize("cls", DRAWING)
@pytest.mark.parametrize(
    "value, shown",
    [
        (stats.loguniform(10, 1), "loguniform(10, 1)"),
        (stats.loguniform(0, 1), "loguniform(0, 1)"),
        (stats.loguniform(math.nan, 1), "nan"),
        (stats.uniform(0, -1), "uniform(0, -1)"),
        (stats.uniform(0, math.inf), "inf"),
        (stats.uniform(math.nan, 1), "nan"),
        (stats.randint(5, 2), "randint(5, 2)"),
        (stats.loguniform, "loguniform"),
        (stats.norm(0, -1), "norm(0, -1)"),
        (Real, "Real"),
    ],
)
def test_a_bad_distribution_is_refused_by_name_and_value(cls, value, shown):
    search = make(cls, space={"alpha": value})
    refused(search, "param_distributions", "'alpha'", shown)


@pytest.mark.parametrize(
    "bounds, options, shown",
    [
        ((10, 1), {}, "10"),
        ((1, 1), {}, "single value"),
        ((math.nan, 1), {}, "nan"),
        ((0, math.inf), {}, "inf"),
        ((0, 1), {"log": True}, "low <= 0"),
        ((-1, 1), {"log": True}, "low <= 0"),
        (("0", 1), {}, "'0'"),
        ((True, 2), {}, "True"),
        ((0, 10**400), {}, "largest float"),
        ((0, 1), {"log": "yes"}, "'yes'"),
    ],
)
@pytest.mark.parametrize("kind", [Real, Integer])
def test_bad_bounds_are_refused_when_they_are_written(kind, bounds, options, shown):
    if (kind, bounds) == (Integer, (1, 1)):
        return  # one whole number is a space
    if (kind, shown) in [(Integer, "nan"), (Integer, "inf")]:
        shown = "must be an integer"
    with pytest.raises((ValueError, TypeError)) as caught:
        kind(*bounds, **options)
    assert kind.__name__ in str(caught.value) and shown in str(caught.value)


@pytest.mark.parametrize("choices", [[], "ab", 3, np.ones((2, 2)), {1, 2}])
def test_bad_choices_are_refused_when_they_are_written(choices):
    with pytest.raises((ValueError, TypeError), match="Categorical"):
        Categorical(choices)


def test_a_grid_of_a_range_is_refused_by_name_and_value():
    search = make(GridSearch, space={"alpha": Real(0.5, 2)})
    refused(search, "param_grid", "'alpha'", "Real(0.5, 2)", "give a list")


def test_a_grid_that_no_one_can_try_is_refused_with_its_size():
    values = list(range(1, 10**4 + 1))
    space = {"alpha": values, "tol": values, "max_iter": values}
    refused(make(GridSearch, space=space), "param_grid", 10**12, "RandomSearch")


@pytest.mark.parametrize("cls", [GridSearch, RandomSearch, BayesSearch])
@pytest.mark.parametrize("part", ["passthrough", None])
def test_a_name_below_a_step_that_is_switched_off_is_refused(cls, part):
    estimator = Pipeline([("first", part), ("ridge", Logged())])
    space = {"first__alpha": [1.0], "ridge__alpha": [1.0, 2.0]}
    name = "param_grid" if cls is GridSearch else "param_distributions"
    search = make(cls, estimator=estimator, space=space)
    refused(search, name, "'first__alpha'", repr(part))


def test_what_can_only_be_drawn_from_is_no_space_to_learn_in():
    class Draws:
        def rvs(self, random_state=None):
            return 1.0

    for cls in [BayesSearch, HypergradSearch]:
        search = make(cls, space={"alpha": Draws()})
        refused(search, "param_distributions", "'alpha'", "has no ppf")


def test_a_space_without_anything_smooth_is_refused():
    search = make(HypergradSearch, space={"alpha": [0.1, 1.0]})
    refused(search, "param_distributions", "'alpha'", "BayesSearch")


@pytest.mark.parametrize("cls", ALL)
@pytest.mark.parametrize(
    "X, y, named",
    [
        ([], [], ["0"]),
        (X[:0], y[:0], ["0"]),
        (X[:1], y[:1], ["n_splits=3", "n_samples=1"]),
        (X[:2], y[:2], ["n_splits=3", "n_samples=2"]),
        (X, y[:-1], ["30", "29"]),
        (X[:-1], y, ["29", "30"]),
        (None, y, ["None"]),
        (7, y, ["7"]),
    ],
)
def test_data_that_do_not_fit_together_are_refused(cls, X, y, named):
    refused(make(cls), *named, X=X, y=y)


# Scores that are no ordinary numbers. Candidates near 1 get them; every search below
# has some of those, and others.


class Scoring:
    def __init__(self, value, metrics=()):
        self.value = value
        self.metrics = metrics

    def __call__(self, estimator, X, y):
        score = -abs(math.log(estimator.alpha))
        if is_near(estimator.alpha):
            if isinstance(self.value, BaseException):
                raise self.value
            score = self.value
        return {name: score for name in self.metrics} if self.metrics else score


def is_near(alpha):
    return 0.9 < alpha < 2


def scored(cls, value, metrics=(), **options):
    if cls is not GridSearch:
        options.setdefault("n_iter", 6)
    if cls is HypergradSearch:
        options["smooth_scoring"] = "neg_mean_squared_error"
    return make(cls, scoring=Scoring(value, metrics), **options)


def split_by_nearness(search):
    results = search.cv_results_
    near = np.array([is_near(params["alpha"]) for params in results["params"]])
    assert 0 < near.sum() < len(near)
    return near


@pytest.mark.filterwarnings("ignore:One or more of the", "ignore:Scoring failed")
@pytest.mark.filterwarnings("ignore:invalid value encountered in subtract")
@pytest.mark.parametrize("metrics", [(), ("first", "second")])
@pytest.mark.parametrize(
    "value", [math.nan, -math.inf, np.float32("nan"), ValueError("odd"), SystemExit(3)]
)
@pytest.mark.parametrize("cls", ALL)
def test_a_candidate_without_a_finite_score_ranks_last(cls, value, metrics):
    search = scored(cls, value, metrics, refit=metrics[0] if metrics else True)
    search.fit(X, y)
    near = split_by_nearness(search)
    name = metrics[0] if metrics else "score"
    ranks = search.cv_results_[f"rank_test_{name}"]
    assert ranks[near].min() > ranks[~near].max()
    assert not is_near(search.best_params_["alpha"])
    assert np.isfinite(search.best_score_)


@pytest.mark.filterwarnings("ignore:One or more of the", "ignore:Scoring failed")
@pytest.mark.filterwarnings("ignore:invalid value encountered in subtract")
@pytest.mark.filterwarnings("ignore:mean_test_score is")
@pytest.mark.parametrize(
    "value",
    [math.nan, -math.inf, math.inf, ValueError("odd"), True, 0.5, np.float32(3)],
)
def test_odd_scores_are_ranked_as_in_grid_search_cv(value):
    grid = {"alpha": [0.1, 1.0, 10.0, 1.5]}
    search = make(GridSearch, space=grid, scoring=Scoring(value)).fit(X, y)
    other = GridSearchCV(Logged(), grid, cv=3, scoring=Scoring(value)).fit(X, y)
    for key in ["mean_test_score", "std_test_score", "rank_test_score"]:
        expected = other.cv_results_[key]
        np.testing.assert_array_equal(search.cv_results_[key], expected)
    assert search.best_params_ == other.best_params_


@pytest.mark.filterwarnings("ignore:One or more of the")
@pytest.mark.filterwarnings("ignore:invalid value encountered in subtract")
@pytest.mark.parametrize("cls", ALL)
def test_an_infinite_score_ranks_first_with_a_warning_that_names_it(cls):
    search = scored(cls, math.inf)
    with pytest.warns(UserWarning, match=r"mean_test_score is inf for \{'alpha': 1"):
        search.fit(X, y)
    assert is_near(search.best_params_["alpha"])
    assert search.best_score_ == math.inf


@pytest.mark.filterwarnings("ignore:One or more of the")
@pytest.mark.parametrize("cls", ALL)
def test_scores_that_are_all_nan_are_told(cls):
    search = scored(cls, 0).set_params(scoring=lambda estimator, X, y: math.nan)
    with pytest.warns(UserWarning, match=r"mean_test_score is nan for all \d cand"):
        search.fit(X, y)
    assert search.best_index_ == 0 and math.isnan(search.best_score_)
    assert set(search.cv_results_["rank_test_score"]) == {1}


@pytest.mark.filterwarnings("ignore:invalid value encountered in subtract")
def test_many_candidates_with_infinite_scores_are_not_all_named():
    search = make(GridSearch, space={"alpha": list(np.linspace(0.95, 1.95, 30))})
    search.set_params(scoring=lambda estimator, X, y: math.inf)
    with pytest.warns(UserWarning) as caught:
        search.fit(X, y)
    (message,) = [str(w.message) for w in caught if "is inf for" in str(w.message)]
    assert message.count("alpha") == 10 and " and 20 more, " in message


@pytest.mark.parametrize("metrics", [(), ("first", "second")])
@pytest.mark.parametrize(
    "value, shown",
    [
        (1 + 2j, "(1+2j)"),
        (np.complex64(1), "(1+0j)"),
        (None, "None"),
        ("good", "good"),
        (b"1", "b'1'"),
        (np.ones(2), "[1. 1.]"),
        (np.array([]), "[]"),
        ([1.0], "[1.0]"),
        (10**400, "1000000000"),
        (Decimal("sNaN"), "sNaN"),
        (np.array(["1"]), "1"),
        (object, "object"),
    ],
)
def test_a_score_that_is_no_number_is_named_with_its_candidate(value, shown, metrics):
    refit = metrics[0] if metrics else True
    search = scored(GridSearch, value, metrics, refit=refit)
    with pytest.raises(ValueError, match="scoring must return a number, got") as caught:
        search.fit(X, y)
    assert shown in str(caught.value)
    assert "{'alpha': 1.0}, split 0" in str(caught.value)


@pytest.mark.parametrize("cls, n_jobs", [(cls, 1) for cls in ALL] + [(GridSearch, 2)])
def test_a_score_that_is_no_number_ends_every_search(cls, n_jobs):
    with pytest.raises(ValueError, match=r"\(1\+2j\).*\{'alpha': 1\.\d*\}, split \d\."):
        scored(cls, 1 + 2j, n_jobs=n_jobs).fit(X, y)


def test_train_scores_are_checked_too():
    def scoring(estimator, X, y):
        return 1j if len(X) > 15 else 0.5

    search = make(GridSearch, scoring=scoring, return_train_score=True)
    with pytest.raises(ValueError, match=r"1j.*\{'alpha': 0\.1\}, split 0"):
        search.fit(X, y)


@pytest.mark.parametrize("cls", [GridSearch, BayesSearch])
@pytest.mark.parametrize(
    "value",
    [
        np.float32(0.5),
        np.float16(0.5),
        np.longdouble(0.5),
        Fraction(1, 2),
        Decimal("0.5"),
        np.array(0.5),
        np.array([0.5]),
        np.array([[0.5]]),
        True,
        np.True_,
        1,
        np.int8(1),
    ],
)
def test_every_real_number_is_a_score(cls, value):
    search = scored(cls, value, n_jobs=1).fit(X, y)
    near = split_by_nearness(search)
    assert (
        search.cv_results_["mean_test_score"][near] == float(np.ravel(value)[0])
    ).all()
    assert is_near(search.best_params_["alpha"])


def test_an_empty_dict_is_no_score():
    search = make(GridSearch, scoring=lambda estimator, X, y: {}, refit=False)
    with pytest.raises(ValueError, match=r"empty dict for \{'alpha': 0.1\}, split 0"):
        search.fit(X, y)


@pytest.mark.parametrize("value", [0.5, math.nan])
def test_a_dict_for_some_fits_only_is_refused_unless_it_is_the_error_score(value):
    def scoring(estimator, X, y):
        return value if estimator.alpha == 1.0 else {"a": 0.25, "b": 0.5}

    search = make(GridSearch, scoring=scoring, refit="a")
    if math.isnan(value):
        with pytest.warns(UserWarning, match="non-finite"):
            search.fit(X, y)
        assert search.best_params_ == {"alpha": 0.1}
        return
    with pytest.raises(ValueError, match=r"returned 0.5 for \{'alpha': 1.0\}, split 0"):
        search.fit(X, y)


# sys.exit


class Exits(Logged):
    def fit(self, X, y, sample_weight=None):
        if is_near(self.alpha):
            sys.exit(3)
        return super().fit(X, y, sample_weight)


@pytest.mark.filterwarnings("ignore:One or more of the")
@pytest.mark.parametrize(
    "cls, n_jobs", [(cls, 1) for cls in ALL] + [(GridSearch, 2), (BayesSearch, 2)]
)
def test_a_fit_that_exits_is_a_failed_fit(cls, n_jobs):
    n_iter = {} if cls is GridSearch else {"n_iter": 6}
    search = make(cls, estimator=Exits(alpha=5.0), n_jobs=n_jobs, **n_iter)
    if cls is HypergradSearch:
        search.set_params(param_distributions={"alpha": Real(0.1, 1.0, log=True)})
        search.estimator.alpha = 0.95
    with pytest.warns(FitFailedWarning, match=r"\{'alpha': [01].*SystemExit: 3"):
        search.fit(X, y)
    near = split_by_nearness(search)
    assert [trial.status == "failed" for trial in search.trials_] == list(near)


@pytest.mark.parametrize("n_jobs", [1, 2])
def test_a_fit_that_exits_is_an_error_if_errors_are_to_be_raised(n_jobs):
    search = make(GridSearch, estimator=Exits(), error_score="raise", n_jobs=n_jobs)
    with pytest.raises(
        RuntimeError, match=r"sys.exit\(3\).*\{'alpha': 1.0\}, split \d"
    ):
        search.fit(X, y)


@pytest.mark.parametrize("n_jobs", [1, 2])
@pytest.mark.parametrize("several", [False, True])
def test_a_scorer_that_exits_fails_like_any_other(n_jobs, several):
    scoring = Scoring(SystemExit("enough"))
    options = {"scoring": {"s": scoring, "r2": "r2"}, "refit": "s"} if several else {}
    search = make(GridSearch, **{"scoring": scoring, "n_jobs": n_jobs, **options})
    key = "mean_test_s" if several else "mean_test_score"
    with pytest.warns(UserWarning) as caught:
        search.fit(X, y)
    assert np.isnan(search.cv_results_[key]).tolist() == [False, True]
    if n_jobs == 1:
        failed = [str(w.message) for w in caught if "Scoring failed" in str(w.message)]
        assert len(failed) == 3 and "SystemExit: enough" in failed[0]
    search.set_params(error_score="raise")
    expected = r"sys.exit\('enough'\).*scoring \{'alpha': 1.0\}, split \d"
    with pytest.raises(RuntimeError, match=expected):
        search.fit(X, y)


def test_an_interrupt_is_no_failure():
    with pytest.raises(KeyboardInterrupt):
        scored(GridSearch, KeyboardInterrupt()).fit(X, y)


# Odd spaces


class Anything(RegressorMixin, BaseEstimator):
    """Takes any parameters and any data."""

    def __init__(self, a=None, b=None, c=None):
        self.a = a
        self.b = b
        self.c = c

    def fit(self, X, y=None):
        self.kind_ = type(X)
        return self

    def score(self, X, y=None):
        assert type(X) is self.kind_
        return 0.5

    def predict(self, X):
        return np.zeros(len(X))


@pytest.mark.parametrize("cls", [GridSearch, RandomSearch, BayesSearch])
@pytest.mark.parametrize(
    "space",
    [{"alpha": [2.0]}, {}, [{}], {"alpha": np.array([2.0])}, [{"alpha": (2.0,)}]],
)
def test_a_space_of_one_point_is_a_space(cls, space):
    n_iter = {} if cls is GridSearch else {"n_iter": 1}
    search = make(cls, space=space, **n_iter).fit(X, y)
    assert search.n_candidates_ == 1
    assert search.best_estimator_.alpha == (1.0 if space in ({}, [{}]) else 2.0)


@pytest.mark.parametrize("cls", [RandomSearch, BayesSearch])
@pytest.mark.parametrize(
    "space",
    [
        {"alpha": [1.0, 2.0, 1.0, 3.0, 2.0]},
        [{"alpha": [1.0, 2.0]}, {"alpha": [2.0, 3.0]}],
    ],
)
def test_each_point_of_a_small_space_is_tried_once_with_one_warning(cls, space):
    search = make(cls, space=space, n_iter=100)
    with pytest.warns(UserWarning) as caught:
        search.fit(X, y)
    assert [str(w.message) for w in caught] == [
        "n_iter = 100 exceeds the 3 points of the space; all 3 are evaluated."
    ]
    values = [params["alpha"] for params in search.cv_results_["params"]]
    assert sorted(values) == [1.0, 2.0, 3.0]
    assert len(FITS) == 3 * 3 + 1


@pytest.mark.parametrize("cls", [GridSearch, RandomSearch, BayesSearch])
def test_values_may_be_anything(cls):
    values = [
        [1],
        {"a": [2]},
        {3},
        None,
        "four",
        5,
        len,
        np.ones(2),
        slice(6),
        Anything,
    ]
    n_iter = {} if cls is GridSearch else {"n_iter": 10}
    search = make(cls, estimator=Anything(), space={"a": values}, **n_iter).fit(X, y)
    tried = [params["a"] for params in search.cv_results_["params"]]
    assert len(tried) == 10
    assert all(any(value is each for each in tried) for value in values)


@pytest.mark.parametrize("cls", [GridSearch, RandomSearch, BayesSearch])
def test_estimators_among_the_values_stay_as_they_are(cls):
    pipeline = Pipeline([("part", "passthrough"), ("last", Ridge())])
    parts = [StandardScaler(), PCA(2), "passthrough"]
    n_iter = {} if cls is GridSearch else {"n_iter": 3}
    search = make(cls, estimator=pipeline, space={"part": parts}, **n_iter).fit(X, y)
    for part in parts[:2]:
        with pytest.raises(NotFittedError):
            check_is_fitted(part)
    assert {id(p["part"]) for p in search.cv_results_["params"]} == set(map(id, parts))
    with pytest.raises(NotFittedError):
        check_is_fitted(pipeline.named_steps["last"])


@pytest.mark.parametrize("cls", [RandomSearch, BayesSearch])
@pytest.mark.parametrize(
    "space",
    [
        {name: list(range(10**4)) for name in "abc"},
        {name: Integer(1, 10**4) for name in "abc"},
        {"a": range(10**12)},
    ],
)
def test_a_space_of_very_many_points_starts_at_once(cls, space):
    search = make(cls, estimator=Anything(), space=space)
    tracemalloc.start()
    try:
        search.fit(X, y)
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert search.n_candidates_ == 3
    assert peak < 100e6


# Odd data


def memmap(folder):
    path = folder / "X"
    X.tofile(path)
    return np.memmap(path, dtype=X.dtype, mode="r", shape=X.shape)


DATA = {
    "sparse": lambda folder: scipy.sparse.csr_matrix(X),
    "sparse array": lambda folder: scipy.sparse.csr_array(X),
    "pandas": lambda folder: pd.DataFrame(X, columns=["a", "b", "c"]),
    "object": lambda folder: X.astype(object),
    "strings": lambda folder: np.array([["a", "b"]] * 30),
    "list of str": lambda folder: ["some text"] * 30,
    "nested list": lambda folder: X.tolist(),
    "ragged list": lambda folder: [[0] * (1 + i % 3) for i in range(30)],
    "3-d": lambda folder: rng.normal(size=(30, 2, 2)),
    "1-d": lambda folder: X[:, 0],
    "nan": lambda folder: np.where(X > 1, np.nan, X),
    "read-only": lambda folder: memmap(folder),
    "int": lambda folder: X.astype(int),
    "fortran": lambda folder: np.asfortranarray(X),
}


@pytest.mark.parametrize("n_jobs", [1, 2])
@pytest.mark.parametrize("kind", DATA)
def test_any_data_pass_through_to_the_estimator(kind, n_jobs, tmp_path):
    data = DATA[kind](tmp_path)
    for cls in [GridSearch, RandomSearch, BayesSearch]:
        n_iter = {} if cls is GridSearch else {"n_iter": 2}
        search = make(cls, estimator=Anything(), space={"a": [1, 2]}, **n_iter)
        search.set_params(n_jobs=n_jobs).fit(data, y)
        assert search.best_score_ == 0.5
        assert search.best_estimator_.kind_ is type(data)


@pytest.mark.parametrize("kind", ["sparse", "pandas", "nested list", "read-only"])
def test_data_of_every_kind_give_hypergrad_search_the_same_result(kind, tmp_path):
    expected = make(HypergradSearch).fit(X, y)
    search = make(HypergradSearch).fit(DATA[kind](tmp_path), y)
    assert search.best_score_ == pytest.approx(expected.best_score_, rel=1e-6)


@pytest.mark.filterwarnings("ignore:Scoring failed", "ignore:One or more of the")
@pytest.mark.parametrize("cls", [GridSearch, RandomSearch, BayesSearch])
def test_one_class_passes_through(cls):
    n_iter = {} if cls is GridSearch else {"n_iter": 2}
    space = {"max_depth": [1, 2]}
    search = make(cls, estimator=DecisionTreeClassifier(), space=space, **n_iter)
    assert search.fit(X, np.zeros(30, int)).best_score_ == 1.0


class Careless(Logged):
    """Writes to its data, and to what it was given as a parameter."""

    def fit(self, X, y, sample_weight=None):
        super().fit(X, y, sample_weight)
        X *= 2
        y += 1
        return self


@pytest.mark.parametrize("estimator", [Logged(), Careless()])
@pytest.mark.parametrize("cls", ALL)
def test_nothing_of_the_callers_is_changed(cls, estimator, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    own_X, own_y = X.copy(), y.copy()
    space = {"alpha": [0.1, 1.0] if cls is GridSearch else Real(0.1, 10, log=True)}
    spelt = repr(space), repr(estimator), repr(np.random.get_state())
    numpy_state, python_state = np.random.get_state()[1].copy(), random.getstate()
    # The refit gets the data themselves, as in scikit-learn.
    make(cls, estimator=estimator, space=space, refit=False).fit(own_X, own_y)
    np.testing.assert_array_equal(own_X, X)
    np.testing.assert_array_equal(own_y, y)
    assert own_X.flags.writeable and own_y.flags.writeable
    assert (repr(space), repr(estimator), repr(np.random.get_state())) == spelt
    assert not hasattr(estimator, "coef_")
    np.testing.assert_array_equal(np.random.get_state()[1], numpy_state)
    assert random.getstate() == python_state
    assert Path.cwd() == tmp_path and not list(tmp_path.iterdir())


# One search object in every state


def outcome(search):
    scores = {k: v for k, v in search.cv_results_.items() if "time" not in k}
    return repr((scores, search.best_params_, search.best_score_, search.stop_reason_))


@pytest.mark.parametrize("cls", ALL)
def test_the_result_is_the_same_for_all_workers(cls):
    expected = outcome(make(cls).fit(X, y))
    assert outcome(make(cls, n_jobs=2).fit(X, y)) == expected
    with parallel_config("threading"):
        assert outcome(make(cls, n_jobs=2).fit(X, y)) == expected


COPIES = [clone, copy.deepcopy, copy.copy, lambda s: pickle.loads(pickle.dumps(s))]


@pytest.mark.parametrize("duplicate", COPIES)
@pytest.mark.parametrize("cls", ALL)
def test_copies_of_a_search_do_what_it_does(cls, duplicate):
    search = make(cls)
    shown = repr(search)
    before = duplicate(search)
    search.fit(X, y)
    after = duplicate(search)
    assert repr(search) == repr(before) == repr(after) == shown
    assert not hasattr(before, "cv_results_")
    assert hasattr(after, "cv_results_") == (duplicate is not clone)
    if duplicate is not clone:
        assert outcome(after) == outcome(search)
        np.testing.assert_array_equal(after.predict(X), search.predict(X))
    for each in [before, after]:
        assert outcome(each.fit(X, y)) == outcome(search)


SETTINGS = [
    {},
    {"refit": lambda results: 1},
    {"refit": False},
    {"scoring": ["r2", "neg_mean_squared_error"], "refit": "r2"},
    {"scoring": ["r2", "neg_mean_squared_error"], "refit": False},
    {"return_train_score": True},
    {"param_grid": {"alpha": [3.0]}},
]
DEFAULTS = {"refit": True, "scoring": None, "return_train_score": False}


@pytest.mark.parametrize("second", SETTINGS)
@pytest.mark.parametrize("first", SETTINGS)
def test_a_second_fit_leaves_nothing_of_the_first(first, second):
    search, theirs = make(GridSearch), GridSearchCV(Ridge(), {}, cv=3)
    for changes in [first, second]:
        options = {"param_grid": {"alpha": [0.1, 1.0]}, **DEFAULTS, **changes}
        search.set_params(**options).fit(X, y)
    theirs.set_params(**options).fit(X, y)
    fitted = {name for name in vars(theirs) if name.endswith("_")}
    own = {"trials_", "n_candidates_", "n_fits_", "search_time_", "stop_reason_"}
    assert {name for name in vars(search) if name.endswith("_")} == fitted | own
    for name in fitted & {"best_index_", "best_params_", "best_score_", "n_splits_"}:
        assert getattr(search, name) == getattr(theirs, name), name
    assert search.cv_results_.keys() == theirs.cv_results_.keys()
    assert search.n_candidates_ == len(search.trials_)


@pytest.mark.parametrize("cls", ALL)
def test_a_second_fit_is_that_of_a_new_search(cls):
    search = make(cls).fit(X[:20], y[:20])
    assert outcome(search.fit(X, y)) == outcome(make(cls).fit(X, y))


@pytest.mark.parametrize("recorded", [False, True])
@pytest.mark.parametrize("cls", ALL)
def test_the_space_is_built_once(cls, recorded, tmp_path, monkeypatch):
    built = []
    init = Space.__init__

    def count(self, *args, **kwargs):
        built.append(self)
        init(self, *args, **kwargs)

    monkeypatch.setattr(Space, "__init__", count)
    make(cls, checkpoint=tmp_path / "fits" if recorded else None).fit(X, y)
    assert len(built) == 1


class Fails(Logged):
    def fit(self, X, y, sample_weight=None):
        raise ArithmeticError("no fit")


FAILURES = [
    {"estimator": Fails(), "error_score": "raise"},
    {"estimator": Fails()},
    {"refit": lambda results: results["no such column"]},
    {"scoring": Scoring(ArithmeticError("no score")), "error_score": "raise"},
    {"cv": [([0, 1, 2], [99])]},
]


@pytest.mark.filterwarnings("ignore:Scoring failed")
@pytest.mark.parametrize("failure", FAILURES)
@pytest.mark.parametrize("cls", ALL)
def test_a_fit_that_raises_leaves_nothing_of_itself(cls, failure):
    own = {} if cls is not HypergradSearch else {"smooth_scoring": "r2"}
    search = make(cls, **failure, **own)
    with pytest.raises((ValueError, ArithmeticError, KeyError)):
        search.fit(X, y)
    assert vars(search).keys() == search.get_params(deep=False).keys()
    pickle.dumps(search.set_params(refit=True))
    expected = make(cls, **own)
    search.set_params(**expected.get_params(deep=False)).fit(X, y)
    assert outcome(search) == outcome(expected.fit(X, y))


def test_searches_are_silent_under_warnings_as_errors():
    program = """
import sys
sys.path.insert(0, sys.argv[1])
from test_bad_input import ALL, X, make, y
if __name__ == "__main__":
    for cls in ALL:
        for n_jobs in [1, 2]:
            make(cls, n_jobs=n_jobs).fit(X, y)
"""
    tests = Path(__file__).parent
    result = subprocess.run(
        [sys.executable, "-W", "error", "-c", program, tests],
        env={**os.environ, "PYTHONPATH": str(tests.parent)},
        capture_output=True,
        text=True,
    )
    assert (result.stdout, result.stderr, result.returncode) == ("", "", 0)
