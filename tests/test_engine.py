"""The loop: what is asked, told and finished, whatever the workers' timing."""

import inspect
import os
import warnings

import joblib
import numpy as np
import pytest
from sklearn import config_context, get_config
from sklearn.base import BaseEstimator, RegressorMixin
from sklearn.datasets import make_regression
from sklearn.dummy import DummyRegressor
from sklearn.linear_model import Ridge
from sklearn.metrics import check_scoring, make_scorer
from sklearn.model_selection import KFold, RandomizedSearchCV, cross_val_score

from skhpo import BayesSearch, GridSearch, RandomSearch
from skhpo._engine import run
from skhpo._evaluation.fit import Evaluator
from skhpo._evaluation.splits import Splits
from skhpo.strategies.grid import GridStrategy
from skhpo.trial import Candidate

X, y = make_regression(60, 4, noise=5.0, random_state=0)
N_SPLITS = 3


class Learner:
    """Propose twice the best alpha so far, give or take what a seed says."""

    needs_gradient = False
    exhausted_reason = "n candidates evaluated"

    def __init__(self, n_candidates, max_pending):
        self.n_candidates = n_candidates
        self.max_pending = max_pending
        self.rng = np.random.default_rng(0)
        self.asked, self.told, self.told_when_asked = [], [], []

    def ask(self, n):
        assert n == 1, "candidates that depend on trials are asked for one by one"
        if len(self.asked) == self.n_candidates:
            return []
        best = max(self.told, key=_mean_score, default=None)
        alpha = 1.0 if best is None else 2 * best.params["alpha"]
        alpha *= np.exp(self.rng.normal())
        self.told_when_asked.append(len(self.told))
        self.asked.append(float(alpha))
        return [Candidate({"alpha": float(alpha)})]

    def n_needed(self, n_asked):
        return n_asked - self.max_pending + 1

    def tell(self, trials):
        self.told += trials


def _mean_score(trial):
    return np.mean([result.test_scores for result in trial.splits])


def evaluator(estimator=None, scoring="r2", **options):
    estimator = Ridge() if estimator is None else estimator
    indices = list(KFold(N_SPLITS).split(X, y))
    return Evaluator(
        estimator,
        Splits(X, y, indices, fit_params={}, score_params={}),
        scorer=check_scoring(estimator, scoring),
        **{"return_train_score": False, "error_score": np.nan, "verbose": 0, **options},
    )


def learn(max_pending, n_candidates=12, **options):
    strategy = Learner(n_candidates, max_pending)
    trials, reason, _ = run(strategy, evaluator(), n_splits=N_SPLITS, **options)
    return strategy, trials, reason


@pytest.mark.parametrize("max_pending", [1, 2, 3, 50])
@pytest.mark.parametrize("n_jobs", [1, 2])
def test_a_candidate_is_proposed_from_exactly_the_trials_that_lie_the_lag_back(
    max_pending, n_jobs
):
    with joblib.parallel_config("threading"):
        strategy, trials, _ = learn(max_pending, n_jobs=n_jobs)
    expected = [max(0, i - max_pending + 1) for i in range(12)]
    assert strategy.told_when_asked == expected
    assert [trial.number for trial in trials] == list(range(12))
    assert strategy.told == trials  # the rest is told at the end


@pytest.mark.parametrize("max_pending", [1, 2, 4])
def test_a_learning_strategy_gets_the_same_trials_on_every_backend(max_pending):
    def alphas_and_scores(backend, n_jobs):
        with joblib.parallel_config(backend):
            _, trials, reason = learn(max_pending, n_jobs=n_jobs)
        assert reason == "n candidates evaluated"
        return [
            (t.params["alpha"], [result.test_scores for result in t.splits])
            for t in trials
        ]

    expected = alphas_and_scores("loky", 1)
    assert len(expected) == 12
    # multiprocessing gives no results one by one, so it takes the rounds.
    for backend in ["loky", "threading", "multiprocessing"]:
        for n_jobs in [2, 3]:
            assert alphas_and_scores(backend, n_jobs) == expected


def test_another_lag_gives_other_trials():
    # Otherwise the comparison above compares nothing.
    assert learn(1)[0].asked != learn(4)[0].asked


SEARCHES = {
    "grid": GridSearch(Ridge(), {"alpha": np.logspace(-3, 3, 20)}),
    "random": RandomSearch(Ridge(), {"alpha": [0.1, 1, 10]}, n_iter=3, random_state=0),
    "sobol": RandomSearch(
        Ridge(), {"alpha": np.logspace(-3, 3, 99)}, design="sobol", random_state=0
    ),
}


@pytest.mark.parametrize("search", SEARCHES.values(), ids=SEARCHES)
@pytest.mark.parametrize("backend", ["loky", "threading", "multiprocessing"])
def test_results_do_not_depend_on_workers_or_backend(search, backend):
    expected = search.set_params(n_jobs=1).fit(X, y)
    params, scores = expected.cv_results_["params"], _split_scores(expected)
    for n_jobs in [2, 3]:
        with joblib.parallel_config(backend):
            found = search.set_params(n_jobs=n_jobs).fit(X, y)
        assert found.cv_results_["params"] == params
        np.testing.assert_array_equal(_split_scores(found), scores)


def _split_scores(search):
    return [search.cv_results_[f"split{i}_test_score"] for i in range(search.n_splits_)]


def test_nested_searches_give_the_same_scores_in_two_processes():
    search = SEARCHES["grid"].set_params(n_jobs=2)
    one, two = (cross_val_score(search, X, y, cv=3, n_jobs=n) for n in [1, 2])
    np.testing.assert_array_equal(one, two)


class DepthRecorder(RegressorMixin, BaseEstimator):
    """Write down how many Python frames lie above its fit."""

    def fit(self, X, y):
        self.depth_ = len(inspect.stack(0))
        return self

    def score(self, X, y):
        return float(self.depth_)


def test_few_frames_lie_between_the_search_and_the_fit():
    here = len(inspect.stack(0))
    search = GridSearch(DepthRecorder(), {}, refit=False).fit(X, y)
    assert search.best_score_ - here <= 9


def test_a_grid_of_any_size_starts_at_once():
    class First(GridStrategy):
        def ask(self, n):
            asked.append(n)
            return super().ask(n) if len(asked) < 3 else []

    from skhpo import Integer
    from skhpo.space import Space

    asked = []
    strategy = First(Space({"alpha": Integer(1, 10**12)}, name="param_grid"))
    trials, _, _ = run(strategy, evaluator(), n_splits=N_SPLITS)
    assert strategy.n_candidates == 10**12
    assert [trial.params["alpha"] for trial in trials] == list(
        range(1, len(trials) + 1)
    )


class ProcessRecorder(DummyRegressor):
    """Count, in a file, how often it is pickled."""

    def __init__(self, path=None, x=0):
        super().__init__()
        self.path = path
        self.x = x

    def __getstate__(self):
        with open(self.path, "a") as file:
            file.write("p")
        return super().__getstate__()


@pytest.mark.parametrize("backend", ["loky", "multiprocessing"])
def test_what_all_tasks_share_is_pickled_once(tmp_path, backend):
    path = tmp_path / "pickled"
    grid = {"x": list(range(50))}
    with joblib.parallel_config(backend):
        search = GridSearch(
            ProcessRecorder(path), grid, n_jobs=2, refit=False, scoring="r2"
        )
        search.fit(X, y)
    assert os.path.getsize(path) == 1


def test_an_unpicklable_estimator_says_so():
    search = GridSearch(
        Ridge(), {"alpha": [1, 2]}, scoring=_UnpicklableScorer(), n_jobs=2
    )
    with pytest.raises(TypeError, match="cannot pickle"):
        search.fit(X, y)


class _UnpicklableScorer:
    def __call__(self, estimator, X, y):
        return 1.0

    def __reduce__(self):
        raise TypeError("cannot pickle this scorer")


@pytest.mark.parametrize("backend", ["loky", "threading", "multiprocessing"])
def test_an_error_of_a_fit_ends_the_search_when_asked_to(backend):
    search = GridSearch(
        Ridge(), {"alpha": [1.0, -1.0, 2.0]}, error_score="raise", n_jobs=2
    )
    with joblib.parallel_config(backend), pytest.raises(ValueError, match="alpha"):
        search.fit(X, y)


@pytest.mark.parametrize("cls", [RandomSearch, BayesSearch])
def test_pre_dispatch_that_joblib_cannot_read_is_refused(cls):
    search = cls(Ridge(), {"alpha": [1, 2]}, n_iter=2, pre_dispatch="x", n_jobs=2)
    with pytest.raises((ValueError, SyntaxError, TypeError)) as theirs:
        RandomizedSearchCV(
            Ridge(), {"alpha": [1, 2]}, n_iter=2, pre_dispatch="x", n_jobs=2
        ).fit(X, y)
    with pytest.raises(type(theirs.value)) as ours:
        search.fit(X, y)
    assert str(ours.value) == str(theirs.value)


@pytest.mark.parametrize("pre_dispatch", ["all", "2*n_jobs", 1, 5])
def test_pre_dispatch_changes_no_result(pre_dispatch):
    search = SEARCHES["grid"].set_params(n_jobs=2, pre_dispatch=pre_dispatch)
    found = search.fit(X, y)
    expected = search.set_params(n_jobs=1).fit(X, y)
    np.testing.assert_array_equal(_split_scores(found), _split_scores(expected))


class InPlace(RegressorMixin, BaseEstimator):
    """Write into what slicing does not copy."""

    def __init__(self, x=0):
        self.x = x

    def fit(self, X, y, prior=None):
        for row in X:
            row *= 1.0
        prior /= prior.sum()
        return self

    def predict(self, X):
        return np.full(len(X), float(self.x))


@pytest.mark.parametrize("backend", ["loky", "threading", "multiprocessing"])
def test_small_arrays_can_be_written_to_wherever_a_fit_runs(backend):
    search = GridSearch(InPlace(), {"x": [0, 1]}, n_jobs=2, error_score="raise")
    with joblib.parallel_config(backend):
        search.fit(list(X.copy()), y, prior=np.ones(3))
    assert search.n_candidates_ == 2


def test_a_metric_without_a_module_is_a_metric():
    def metric(y_true, y_pred):
        return 1.0

    metric.__module__ = None
    search = GridSearch(Ridge(), {"alpha": [1, 2]}, scoring=make_scorer(metric))
    assert search.fit(X, y).best_score_ == 1.0


class HearsItsSurroundings(BaseEstimator):
    """Its score tells in which configuration, and with which filters, it is fitted."""

    def fit(self, X, y=None):
        self.score_ = float(get_config()["working_memory"])
        try:
            warnings.warn("a warning of the fit", stacklevel=1)
        except UserWarning:
            self.score_ += 0.5
        return self

    def score(self, X, y=None):
        return self.score_


@pytest.mark.parametrize("backend", ["loky", "threading", "multiprocessing"])
@pytest.mark.parametrize("action", ["error", "ignore"])
def test_configuration_and_filters_of_warnings_reach_the_workers(backend, action):
    search = GridSearch(HearsItsSurroundings(), {}, n_jobs=2, refit=False)
    with (
        joblib.parallel_config(backend),
        config_context(working_memory=77),
        warnings.catch_warnings(),
    ):
        warnings.filterwarnings(action, "a warning of", UserWarning)
        search.fit(X)
    assert search.best_score_ == (77.5 if action == "error" else 77)
    assert get_config()["working_memory"] != 77
