"""Searches that race: results, columns, limits, files and refusals."""

import os
import signal
import time
import warnings

import numpy as np
import pytest
from joblib import parallel_config
from scipy.stats import loguniform
from sklearn.base import BaseEstimator, ClassifierMixin, clone
from sklearn.cluster import KMeans
from sklearn.datasets import make_classification
from sklearn.ensemble import RandomForestClassifier
from sklearn.exceptions import FitFailedWarning
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import accuracy_score, make_scorer
from sklearn.model_selection import KFold
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from sklearn.svm import SVC

from skhpo import GridSearch, RandomSearch
from skhpo.racing import Bound, Forgiving, Paired

RACINGS = {
    "bound": "bound",
    "paired": "paired",
    "forgiving": "forgiving",
    "object": Paired(alpha=0.1, min_splits=2),
}
N_ROWS, N_SPLITS, SIZE = 14, 6, 10


class Given(ClassifierMixin, BaseEstimator):
    """Be right as often as a table says, by row and split."""

    def __init__(self, table=None, row=0):
        self.table = table
        self.row = row

    def fit(self, X, y):
        if self.row < 0:
            raise ValueError("a negative row")
        self.classes_ = np.unique(y)
        return self

    def predict(self, X):
        split = int(X[0, 0])
        if np.isnan(self.table[self.row, split]):
            raise ValueError("no score")
        return (np.arange(len(X)) >= self.table[self.row, split]).astype(int)


class Unfit(Given):
    """Must not be fitted."""

    def fit(self, X, y):
        raise AssertionError("fitted")


X = np.repeat(np.arange(N_SPLITS), SIZE)[:, None].astype(float)
y = np.zeros(len(X), dtype=int)
CV = KFold(N_SPLITS)


def draw_table(seed, n_rows=N_ROWS):
    """Draw how many of 10 predictions are right."""
    rng = np.random.default_rng(seed)
    share = rng.beta(4, 1, size=(n_rows, 1)).clip(0, 1)
    return rng.binomial(SIZE, share, size=(n_rows, N_SPLITS)).astype(float)


def search(table, racing, cls=GridSearch, **options):
    return cls(
        Given(table), {"row": [*range(len(table))]}, cv=CV, racing=racing, **options
    )


def columns_of(found):
    names = sorted(name for name in found.cv_results_ if "_time" not in name)
    return {name: list(map(repr, found.cv_results_[name])) for name in names}


def done(found):
    return found.cv_results_["n_splits_done"].tolist()


@pytest.mark.parametrize("seed", range(25))
def test_bound_gives_the_search_that_it_shortens(seed):
    table = draw_table(seed)
    plain = search(table, None).fit(X, y)
    raced = search(table, "bound").fit(X, y)
    assert raced.best_index_ == plain.best_index_
    assert raced.best_score_ == plain.best_score_
    assert raced.best_params_ == plain.best_params_
    complete = raced.cv_results_["status"] == "complete"
    for i in range(N_SPLITS):
        name = f"split{i}_test_score"
        both = raced.cv_results_[name][complete], plain.cv_results_[name][complete]
        np.testing.assert_array_equal(*both)
    assert raced.n_fits_ == sum(done(raced)) <= plain.n_fits_


@pytest.mark.parametrize("racing", RACINGS.values(), ids=RACINGS)
def test_what_was_given_up_ranks_last_and_has_no_mean(racing):
    table = np.sort(draw_table(3), axis=0)[::-1]
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        found = search(table, racing, return_train_score=True).fit(X, y)
    results = found.cv_results_
    raced = results["status"] == "raced"
    assert set(results["status"]) == {"complete", "raced"}
    assert raced.any()
    assert not raced[:4].any()
    assert np.isnan(results["mean_test_score"][raced]).all()
    assert np.isnan(results["std_train_score"][raced]).all()
    assert set(results["rank_test_score"][raced]) == {(~raced).sum() + 1}
    assert results["rank_test_score"][~raced].max() <= (~raced).sum()
    assert np.isfinite(results["mean_fit_time"]).all()
    for row, n_done in enumerate(results["n_splits_done"]):
        scores = [results[f"split{i}_test_score"][row] for i in range(N_SPLITS)]
        np.testing.assert_array_equal(scores[:n_done], table[row, :n_done] / SIZE)
        assert np.isnan(scores[n_done:]).all()
        trial = found.trials_[row]
        assert trial.n_splits_done == n_done
        assert trial.raced == trial.cut_off == raced[row]
    assert found.n_fits_ == results["n_splits_done"].sum()
    assert found.stop_reason_ == "all candidates evaluated"


def test_without_racing_there_is_nothing_of_it():
    plain = search(draw_table(0), None).fit(X, y)
    assert not {"status", "n_splits_done"} & {*plain.cv_results_}
    assert {trial.status for trial in plain.trials_} == {"complete"}


def test_a_rule_that_gives_nothing_up_changes_nothing_but_two_columns():
    table = draw_table(0)
    never = search(table, lambda running, finished: False).fit(X, y)
    plain = search(table, None).fit(X, y)
    found = columns_of(never)
    assert len(found.pop("status")) == len(found.pop("n_splits_done")) == N_ROWS
    assert found == columns_of(plain)


@pytest.mark.parametrize("racing", RACINGS.values(), ids=RACINGS)
@pytest.mark.parametrize("backend", ["loky", "threading"])
def test_results_do_not_depend_on_workers_or_backend(racing, backend):
    table = draw_table(1, n_rows=30)
    expected = columns_of(search(table, racing).fit(X, y))
    assert "'raced'" in str(expected["status"])
    for n_jobs in (2, 3):
        with parallel_config(backend):
            found = search(table, racing, n_jobs=n_jobs).fit(X, y)
        assert columns_of(found) == expected


@pytest.mark.parametrize("n_jobs", [1, 2])
def test_a_limit_that_is_not_reached_changes_nothing(n_jobs):
    table = draw_table(1, n_rows=30)
    expected = search(table, "paired").fit(X, y)
    limited = search(table, "paired", n_jobs=n_jobs, timeout=100).fit(X, y)
    assert columns_of(limited) == columns_of(expected)


class Slow(Given):
    """Take for ever from row 24 on."""

    def fit(self, X, y):
        time.sleep(1000 if self.row >= 24 else 0.005)
        return super().fit(X, y)


@pytest.mark.slow
@pytest.mark.skipif(os.name != "posix", reason="kills processes")
def test_what_a_clock_cuts_off_is_told_from_what_was_given_up():
    table = np.full((30, N_SPLITS), 9.0)
    table[5] = 1.0
    # On a busy machine a process of its own has taken more than 5 s to start.
    found = search(table, "paired", timeout=15).set_params(estimator=Slow(table))
    found.fit(X, y)
    status = found.cv_results_["status"].tolist()
    assert status[:6] == ["complete"] * 5 + ["raced"]
    # A worker may have had the first splits of several in one task.
    assert set(status[6:]) <= {"complete", "timeout"}
    assert found.stop_reason_ == "timeout reached"


@pytest.mark.parametrize("racing", RACINGS.values(), ids=RACINGS)
@pytest.mark.parametrize("n_jobs", [1, 2])
def test_a_search_that_goes_on_from_a_file_races_alike(racing, n_jobs, tmp_path):
    table = draw_table(1, n_rows=30)
    expected = columns_of(search(table, racing).fit(X, y))

    def fitted(racing, n_rows=30, name="a"):
        options = {"checkpoint": tmp_path / name, "n_jobs": n_jobs}
        found = search(table, racing, **options)
        found.set_params(param_grid={"row": [*range(n_rows)]})
        with parallel_config("threading"):
            return found.fit(X, y)

    fitted(racing, n_rows=11)
    assert columns_of(fitted(racing)) == expected
    n_recorded = (tmp_path / "a").read_bytes().count(b'"end":')
    assert columns_of(fitted(racing)) == expected
    assert (tmp_path / "a").read_bytes().count(b'"end":') == n_recorded
    # Whatever else the file has: fits of a search without racing are not looked at.
    fitted(None, name="b")
    assert columns_of(fitted(racing, name="b")) == expected


class Interrupted(Given):
    """Have the user press Ctrl-C in one of all fits."""

    n_left = 0

    def fit(self, X, y):
        Interrupted.n_left -= 1
        if Interrupted.n_left == 0:
            os.kill(os.getpid(), signal.SIGINT)
        return super().fit(X, y)


@pytest.mark.skipif(os.name != "posix", reason="sends signals")
@pytest.mark.parametrize("n_jobs", [1, 2])
@pytest.mark.parametrize("at", [1, 6, 20, 31, 47, 60])
def test_a_race_that_is_interrupted_keeps_what_is_decided(n_jobs, at, tmp_path):
    table = draw_table(1, n_rows=30)
    expected = search(table, "paired").fit(X, y)
    options = {"n_jobs": n_jobs, "checkpoint": tmp_path / "race.jsonl"}
    found = search(table, "paired", **options).set_params(estimator=Interrupted(table))
    with parallel_config("threading"):
        Interrupted.n_left = at
        with pytest.raises(KeyboardInterrupt):
            found.fit(X, y)
        assert Interrupted.n_left <= 0
        assert hasattr(found, "cv_results_") or at < 40
        if hasattr(found, "cv_results_"):
            rows = found.cv_results_["param_row"].astype(int)
            assert 0 < len(rows) < 30
            assert found.stop_reason_ == "interrupted"
            for name in ("status", "n_splits_done", "mean_test_score"):
                same = expected.cv_results_[name][rows]
                np.testing.assert_array_equal(found.cv_results_[name], same)
            assert found.cv_results_["status"][found.best_index_] == "complete"
        found.fit(X, y)
    assert columns_of(found) == columns_of(expected)


@pytest.mark.parametrize("n_jobs", [1, 2])
def test_fits_are_shared_and_decide_the_same(n_jobs):
    data = make_classification(200, 6, flip_y=0.2, random_state=0)
    grid = {"n_estimators": [9, 5, 3, 1], "max_depth": [1, 2, None]}
    options = dict(cv=KFold(8), racing=Paired(alpha=0.1), refit=False)
    forest = RandomForestClassifier(random_state=0)
    with parallel_config("threading", n_jobs=n_jobs):
        shared = GridSearch(forest, grid, **options).fit(*data)
        apart = GridSearch(forest, grid, reuse=False, **options).fit(*data)
    assert columns_of(shared) == columns_of(apart)
    assert "raced" in shared.cv_results_["status"]
    groups = [[s and s.group for s in trial.splits] for trial in shared.trials_]
    assert [row[:3] for row in groups[:4]] == [[0] * 3] * 4
    # Those that are judged at the same time share what comes next.
    later = [group for row in groups for group in row[3:] if group is not None]
    assert len(later) > len(set(later)) > 0


def test_a_candidate_that_repeats_another_shares_its_fate():
    table = np.full((3, N_SPLITS), 9.0)
    table[1] = 1.0
    rows = [0, 0, 0, 2, 0, 1, 1, 2, 1]
    found = GridSearch(Given(table), {"row": rows}, cv=CV, racing="forgiving")
    found.fit(X, y)
    assert done(found) == [6, 6, 6, 6, 6, 1, 1, 6, 1]
    assert found.n_fits_ == 13
    assert found.trials_[8].status == "raced"
    assert found.trials_[8].group == 5


def test_several_metrics_race_on_that_of_refit():
    table = draw_table(1, n_rows=30)
    alone = search(table, "paired").fit(X, y)
    scoring = {"no": _worse, "yes": "accuracy"}
    found = search(table, "paired", scoring=scoring, refit="yes").fit(X, y)
    assert done(found) == done(alone)
    assert found.best_index_ == alone.best_index_
    raced = found.cv_results_["status"] == "raced"
    for name in scoring:
        assert set(found.cv_results_[f"rank_test_{name}"][raced]) == {31 - raced.sum()}
    other = search(table, "paired", scoring=scoring, refit="no").fit(X, y)
    assert done(other) != done(alone)


def _worse(estimator, X, y):
    return -estimator.score(X, y)


def _several(estimator, X, y):
    return {"a": estimator.score(X, y), "b": 0.0}


def test_a_callable_that_gives_several_metrics_races_on_that_of_refit():
    table = draw_table(1, n_rows=30)
    alone = search(table, "paired").fit(X, y)
    found = search(table, "paired", scoring=_several, refit="a").fit(X, y)
    assert done(found) == done(alone)
    with pytest.raises(ValueError, match="racing needs to know which one decides"):
        search(table, "paired", scoring=_several, refit=False).fit(X, y)


def test_a_callable_refit_sees_what_is_complete():
    table = np.sort(draw_table(3), axis=0)[::-1]
    seen = []

    def worst(results):
        seen.append(results)
        return int(results["mean_test_score"].argmin())

    found = search(table, "paired", refit=worst).fit(X, y)
    complete = np.flatnonzero(found.cv_results_["status"] == "complete")
    assert len(complete) < N_ROWS
    assert seen[0]["params"] == [{"row": row} for row in complete]
    means = found.cv_results_["mean_test_score"][complete]
    assert found.best_index_ == complete[means.argmin()]


def test_a_fit_that_fails_is_not_given_up():
    table = np.full((12, N_SPLITS), 9.0)
    table[7] = 1.0
    rows = [0, 1, 2, 3, 4, -1, 6, 7]
    found = GridSearch(Given(table), {"row": rows}, cv=CV, racing="forgiving")
    with (
        pytest.warns(FitFailedWarning, match="6 fits failed out of a total of 43"),
        pytest.warns(UserWarning, match="One or more of the test scores"),
    ):
        found.fit(X, y)
    assert done(found) == [6] * 7 + [1]
    assert found.cv_results_["status"].tolist()[5:] == ["failed", "complete", "raced"]


def test_with_a_number_for_failures_bound_reckons_with_it():
    """Failing pays more than being right, so that it may still win."""
    table = np.full((8, N_SPLITS), 9.0)
    table[6, 0], table[6, 1:] = 1.0, np.nan

    def fitted(racing):
        found = search(table, racing, error_score=5.0)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            return found.fit(X, y)

    assert fitted(None).best_index_ == fitted("bound").best_index_ == 6


def test_random_search_races_too():
    data = make_classification(120, 6, flip_y=0.2, random_state=0)
    space = {"C": loguniform(1e-3, 1e3), "gamma": loguniform(1e-5, 1e1)}
    options = dict(n_iter=15, random_state=0, cv=KFold(6))
    plain = RandomSearch(SVC(), space, **options).fit(*data)
    found = RandomSearch(SVC(), space, racing="bound", **options).fit(*data)
    assert found.cv_results_["params"] == plain.cv_results_["params"]
    assert found.best_index_ == plain.best_index_
    assert found.n_fits_ < plain.n_fits_


def test_it_can_be_cloned_and_shown():
    one = search(draw_table(0), Bound(maximum=1.0))
    assert clone(one).racing == one.racing == Bound(1.0)
    assert "Bound(maximum=1.0, min_splits=1)" in repr(Bound(1.0))


def test_the_progress_counts_the_fits_that_were_made(capsys):
    table = draw_table(1, n_rows=30)
    found = search(table, "forgiving", verbose=1).fit(X, y)
    assert "30 candidates" in capsys.readouterr().out
    assert found.n_fits_ < 180


def _refused(search, *named):
    with pytest.raises(ValueError) as caught:
        search.fit(X, y)
    for part in named:
        assert part in str(caught.value), str(caught.value)
    assert not hasattr(search, "cv_results_")


@pytest.mark.parametrize(
    "scoring, maximum",
    [
        ("accuracy", True),
        ("neg_log_loss", True),
        (make_scorer(accuracy_score), True),
        (make_scorer(accuracy_score, normalize=False), False),
        (make_scorer(lambda y, z: 1.0), False),
        (make_scorer(accuracy_score, greater_is_better=False), False),
        (_worse, False),
        ("mutual_info_score", False),
    ],
)
def test_bound_needs_a_metric_whose_maximum_is_known(scoring, maximum):
    found = GridSearch(
        LogisticRegression(), {"C": [0.1, 1.0]}, scoring=scoring, racing="bound", cv=3
    )
    if maximum:
        data = make_classification(60, random_state=0)
        assert found.fit(*data).n_fits_ == 6
    else:
        _refused(found, "racing = 'bound'", "scoring", "Bound(maximum=...)")


def test_bound_knows_the_score_of_classifiers_and_regressors_only():
    data = make_classification(60, random_state=0)
    pipe = make_pipeline(StandardScaler(), LogisticRegression())
    grid = {"logisticregression__C": [0.1, 1.0]}
    assert GridSearch(pipe, grid, racing="bound", cv=3).fit(*data).n_fits_ == 6
    # A step may be replaced by one whose score is something else.
    grid = {"logisticregression": [LogisticRegression(), KMeans()]}
    _refused(GridSearch(pipe, grid, racing="bound"), "Bound(maximum=...)")
    _refused(GridSearch(KMeans(), {"n_clusters": [2]}, racing="bound"), "KMeans")


@pytest.mark.parametrize(
    ("options", "named"),
    [
        ({"cv": 3, "racing": "paired"}, ["'paired'", "3", "at least 4"]),
        ({"cv": [([0, 1], [2])], "racing": "bound"}, ["'bound'", "gives 1"]),
        (
            {"racing": Forgiving(min_splits=5), "cv": 5},
            ["Forgiving(min_splits=5)", "at least 6"],
        ),
        ({"racing": "bound", "error_score": np.inf}, ["racing", "error_score = inf"]),
        ({"racing": Paired}, ["Paired is a class", "Paired(...)"]),
        (
            {"scoring": ["accuracy", "f1"], "refit": False},
            ["racing = 'paired'", "refit = False"],
        ),
        (
            {"scoring": ["accuracy", "f1"], "refit": lambda results: 0},
            ["racing = 'paired'", "refit = <function"],
        ),
    ],
)
def test_racing_that_cannot_be_is_refused_before_any_fit(options, named):
    options = {"cv": 5, "racing": "paired", "error_score": "raise", **options}
    _refused(GridSearch(Unfit(), {"row": [-1]}, **options), *named)
