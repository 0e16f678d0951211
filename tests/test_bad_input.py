"""Bad input: refused before any fit, by a message that names parameter and value.

Odd input that has a meaning is at the end: it passes, and changes nothing of the
caller's.
"""

import math

import numpy as np
import pytest
from scipy import stats
from sklearn.base import BaseEstimator
from sklearn.linear_model import Ridge
from sklearn.model_selection import KFold
from sklearn.pipeline import Pipeline

from skhpo import (
    BayesSearch,
    Categorical,
    GridSearch,
    HypergradSearch,
    Integer,
    RandomSearch,
    Real,
)
from skhpo.hypergradients.linear import RidgeEquations

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
