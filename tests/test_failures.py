"""Fits that fail: named, counted, and never the end of the search unless all do."""

import numpy as np
import pytest
from sklearn.base import BaseEstimator, RegressorMixin
from sklearn.datasets import make_regression
from sklearn.exceptions import FitFailedWarning
from sklearn.model_selection import GridSearchCV, KFold

from skhpo import GridSearch, RandomSearch

X, y = make_regression(40, 3, random_state=0)


class Fragile(RegressorMixin, BaseEstimator):
    """Fail for some parameters, everywhere or on one split only."""

    def __init__(self, a=0, fails_on=(), message="out of luck"):
        self.a = a
        self.fails_on = fails_on
        self.message = message

    def fit(self, X, y):
        if self.a in self.fails_on:
            raise RuntimeError(self.message)
        if f"{self.a} on the first split" in self.fails_on and y[0] == FIRST:
            raise KeyError("that split")
        return self

    def predict(self, X):
        return np.full(len(X), float(self.a))


FIRST = y[next(iter(KFold(5).split(X)))[0][0]]
GRID = {"a": [0, 1, 2, 3]}


def failures_of(search):
    with pytest.warns(FitFailedWarning) as caught:
        search.fit(X, y)
    assert len(caught) >= 1
    return next(str(w.message) for w in caught if w.category is FitFailedWarning)


@pytest.mark.filterwarnings("ignore:One or more of the")
@pytest.mark.parametrize("n_jobs", [1, 2])
def test_the_warning_names_candidates_splits_and_causes(n_jobs):
    search = GridSearch(Fragile(fails_on=(1, "3 on the first split")), GRID)
    message = failures_of(search.set_params(n_jobs=n_jobs))
    assert "\n6 fits failed out of a total of 20.\n" in message
    assert "{'a': 1}, splits 0, 1, 2, 3, 4: RuntimeError: out of luck" in message
    assert "{'a': 3}, split 0: KeyError: 'that split'" in message
    assert "5 fits failed with the following error:\nTraceback" in message
    statuses = [trial.status for trial in search.trials_]
    assert statuses == ["complete", "failed", "complete", "complete"]
    assert list(search.trials_[3].errors) == [0]
    assert search.trials_[3].errors[0].startswith("Traceback")


@pytest.mark.filterwarnings("ignore:One or more of the")
def test_the_cause_is_the_line_that_names_the_error_however_long_its_message():
    message = "first\n  second\nthird\n"
    search = GridSearch(Fragile(fails_on=(1,), message=message), GRID)
    assert "3, 4: RuntimeError: first\n" in failures_of(search)


@pytest.mark.filterwarnings("ignore:One or more of the")
def test_many_failed_candidates_are_not_all_named():
    search = GridSearch(Fragile(fails_on=range(1, 40)), {"a": list(range(40))})
    message = failures_of(search)
    assert message.count("splits 0, 1, 2, 3, 4") == 10
    assert "and 29 more candidates, see trials_" in message


@pytest.mark.filterwarnings("ignore:One or more of the")
@pytest.mark.parametrize("error_score", [np.nan, -3.5])
def test_failed_fits_get_the_error_score_as_in_grid_search_cv(error_score):
    estimator = Fragile(fails_on=(1, "3 on the first split"))
    options = {"error_score": error_score, "return_train_score": True}
    searches = [cls(estimator, GRID, **options) for cls in [GridSearchCV, GridSearch]]
    for search in searches:
        failures_of(search)
    expected, found = (search.cv_results_ for search in searches)
    for key in expected:
        if "time" not in key:
            np.testing.assert_array_equal(found[key], expected[key], err_msg=key)


@pytest.mark.parametrize("cls", [GridSearch, RandomSearch])
def test_a_first_candidate_that_fails_everywhere_does_not_end_the_search(cls):
    search = cls(Fragile(fails_on=(0,)), {"a": [0, 1]}, error_score=-100.0)
    if cls is RandomSearch:
        search.set_params(n_iter=2, random_state=0)
    failures_of(search)
    assert search.n_candidates_ == 2
    assert search.best_params_ == {"a": 1}


def test_an_error_is_raised_when_every_fit_fails():
    search = GridSearch(Fragile(fails_on=(0, 1, 2, 3)), GRID)
    with pytest.raises(ValueError, match=r"All the 20 fits failed(.|\n)*'a': 3"):
        search.fit(X, y)
    assert not hasattr(search, "cv_results_")


@pytest.mark.filterwarnings("ignore:One or more of the")
def test_metrics_of_a_callable_get_their_names_in_trials_too():
    def scoring(estimator, X, y):
        return {"one": 1.0, "a": float(estimator.a)}

    search = GridSearch(Fragile(fails_on=(0,)), GRID, scoring=scoring, refit="a")
    failures_of(search)
    assert search.multimetric_
    assert search.best_params_ == {"a": 3}
    scores = search.trials_[0].splits[0].test_scores
    assert list(scores) == ["one", "a"] and np.isnan(list(scores.values())).all()
