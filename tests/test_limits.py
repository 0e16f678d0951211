"""Limits of time, and fits that take their process along: they cost what they must."""

import os
import subprocess
import sys
import time
import warnings
from pathlib import Path

import numpy as np
import pytest
from joblib import Parallel, delayed, parallel_config
from misbehaving import DEEDS, Misbehaving, fits_of, is_alive, processes_of
from scipy.stats import loguniform
from sklearn import config_context, get_config
from sklearn.exceptions import FitFailedWarning
from sklearn.linear_model import Ridge
from sklearn.model_selection import KFold, cross_val_score

from skhpo import BayesSearch, GridSearch, RandomSearch
from skhpo._results import tabulate
from skhpo.trial import Candidate, SplitResult, Trial

rng = np.random.default_rng(0)
X = rng.normal(size=(60, 3))
y = X[:, 0] + rng.normal(size=60)
CV = KFold(2)

pytestmark = [
    pytest.mark.skipif(os.name != "posix", reason="kills processes"),
    # A search whose process dies leaves what joblib then says to the one after it.
    pytest.mark.filterwarnings("ignore:One or more of the test scores"),
]

HANGS = [name for name in DEEDS if name.startswith("hang")]
DEATHS = {
    "leave": "exited with code 7",
    "kill": "was killed by SIGKILL",
    "segfault": "was killed by SIGSEGV",
}


def grid(deed, n=4):
    """A grid in which the second candidate is bad, and the third the best."""
    return [
        {"level": [0.0]},
        {"level": [0.5], "deed": [deed]},
        {"level": np.linspace(1.0, 2.0, n - 2)},
    ]


def failures_of(search):
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        search.fit(X, y)
    return "".join(str(w.message) for w in caught if w.category is FitFailedWarning)


def scores_of(search, rows=slice(None)):
    return [search.cv_results_[f"split{i}_test_score"][rows] for i in range(2)]


def test_a_limit_may_be_longer_than_a_system_can_wait():
    search = GridSearch(Ridge(), {"alpha": [1.0]}, cv=CV, timeout=1e9, fit_timeout=1e9)
    assert search.fit(X, y).cv_results_["status"].tolist() == ["complete"]


@pytest.mark.parametrize("n_jobs", [1, 2])
def test_limits_that_are_not_reached_change_nothing(n_jobs):
    space = {"alpha": [0.1, 1.0, 10.0], "fit_intercept": [True, False]}
    plain = GridSearch(Ridge(), space).fit(X, y)
    limits = dict(timeout=100, fit_timeout=50)
    search = GridSearch(Ridge(), space, n_jobs=n_jobs, **limits).fit(X, y)
    assert {*search.cv_results_} - {*plain.cv_results_} == {"status", "n_splits_done"}
    for name, column in plain.cv_results_.items():
        if "time" not in name:
            np.testing.assert_array_equal(search.cv_results_[name], column)
    assert set(search.cv_results_["status"]) == {"complete"}
    assert set(search.cv_results_["n_splits_done"]) == {5}
    assert search.best_params_ == plain.best_params_
    assert search.stop_reason_ == "all candidates evaluated"


@pytest.mark.slow
@pytest.mark.parametrize("n_jobs", [1, 2])
@pytest.mark.parametrize("deed", HANGS)
def test_a_fit_that_overruns_is_killed_and_the_others_are_as_ever(
    deed, n_jobs, tmp_path
):
    base = Misbehaving(log=str(tmp_path / "log"))
    search = GridSearch(base, grid(deed), cv=CV, n_jobs=n_jobs, fit_timeout=1.0)
    message = failures_of(search)
    assert "'deed': '" + deed in message and "'level': 0.5" in message
    cause = "TimeoutError: the fit took longer than fit_timeout = 1 s"
    assert f"splits 0, 1: {cause}" in message
    done = "complete"
    assert [*search.cv_results_["status"]] == [done, "timeout", done, done]
    plain = GridSearch(Misbehaving(), grid(None), cv=CV).fit(X, y)
    for rows in (0, 2, 3):
        assert scores_of(search, rows) == scores_of(plain, rows)
    assert np.isnan(scores_of(search, 1)).all()
    assert search.cv_results_["rank_test_score"][1] == 4
    assert search.best_index_ == 2
    assert search.cv_results_["mean_fit_time"][1] >= 1.0
    assert not any(map(is_alive, processes_of(tmp_path / "log")))


@pytest.mark.slow
@pytest.mark.parametrize("n_jobs", [1, 2])
@pytest.mark.parametrize("deed", DEATHS)
def test_a_fit_whose_process_dies_costs_itself(deed, n_jobs):
    base = Misbehaving(where=y[0])  # on the second split
    options = dict(cv=CV, n_jobs=n_jobs, error_score=-9.0)
    limits = {} if n_jobs == 2 else {"fit_timeout": 100}
    search = GridSearch(base, grid(deed), **options, **limits)
    message = failures_of(search)
    assert f"split 1: RuntimeError: the process of the fit {DEATHS[deed]}" in message
    assert "\n1 fits failed out of a total of 8." in message
    plain = GridSearch(Misbehaving(), grid(None), **options).fit(X, y)
    expected = scores_of(plain)
    expected[1][1] = -9.0
    np.testing.assert_array_equal(scores_of(search), expected)
    assert search.trials_[1].status == "complete"
    # The same process can search again.
    again = GridSearch(Ridge(), {"alpha": [1.0, 2.0]}, n_jobs=2).fit(X, y)
    assert np.isfinite(again.cv_results_["mean_test_score"]).all()


@pytest.mark.slow
def test_where_every_fit_dies_the_error_says_how_and_the_search_ends():
    base = Misbehaving(deed="leave")
    search = GridSearch(base, {"level": [0.0, 1.0]}, cv=CV, n_jobs=2)
    with (
        pytest.raises(ValueError, match="All the 4 fits failed") as caught,
        pytest.warns(UserWarning, match="worker process of joblib died"),
    ):
        search.fit(X, y)
    assert "exited with code 7" in str(caught.value)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("deed", "error", "cause"),
    [
        ("leave", RuntimeError, "exited with code 7"),
        ("hang", TimeoutError, "took long"),
    ],
)
def test_failures_that_are_to_be_raised_name_the_candidate(deed, error, cause):
    search = GridSearch(
        Misbehaving(), grid(deed), cv=CV, fit_timeout=1.0, error_score="raise"
    )
    with pytest.raises(error, match=cause) as caught:
        search.fit(X, y)
    assert "'level': 0.5" in str(caught.value) and "split 0" in str(caught.value)


@pytest.mark.slow
def test_an_error_of_a_fit_comes_home_from_its_process():
    search = GridSearch(
        Ridge(), {"alpha": [-1.0]}, fit_timeout=100, error_score="raise"
    )
    with pytest.raises(ValueError, match="alpha"):
        search.fit(X, y)


@pytest.mark.slow
@pytest.mark.parametrize("n_jobs", [1, 2])
@pytest.mark.parametrize("deed", HANGS)
def test_the_search_ends_at_its_timeout_with_what_is_complete(deed, n_jobs, tmp_path):
    base = Misbehaving(log=str(tmp_path / "log"))
    search = GridSearch(
        base, grid(deed), cv=CV, n_jobs=n_jobs, timeout=6.0, refit=False
    )
    search.fit(X, y)
    assert search.stop_reason_ == "timeout reached"
    assert not any(map(is_alive, processes_of(tmp_path / "log")))
    # With one worker nothing comes after the one that hangs; with two, both splits of
    # it hang.
    assert search.cv_results_["params"] == [{"level": 0.0}]
    assert search.best_index_ == 0


def test_a_candidate_that_is_cut_off_ranks_last_and_has_no_mean():
    grid = [
        {"level": [2.0]},
        {"level": [1.0], "deed": ["hang"], "where": [y[0]]},
    ]
    options = dict(cv=CV, timeout=4.0)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        search = GridSearch(Misbehaving(), grid, **options).fit(X, y)
    results = search.cv_results_
    assert [*results["status"]] == ["complete", "timeout"]
    assert [*results["n_splits_done"]] == [2, 1]
    assert [*results["rank_test_score"]] == [1, 2]
    assert np.isnan(results["mean_test_score"][1])
    assert np.isnan(results["std_test_score"][1])
    assert np.isnan(results["split1_test_score"][1])
    # It was better where it got to.
    assert results["split0_test_score"][1] > results["split0_test_score"][0]
    assert search.best_params_ == {"level": 2.0}
    assert results["param_deed"].mask[0] and results["param_deed"][1] == "hang"
    assert search.n_fits_ == 3
    assert search.trials_[1].splits[1] is None


@pytest.mark.slow
def test_a_callable_refit_sees_complete_candidates_only():
    grid = [
        {"level": [3.0], "deed": ["hang"], "where": [y[0]]},
        {"level": [2.0]},
    ]
    seen = []

    def refit(results):
        seen.append(results)
        return 0

    # Two workers: while the first hangs, the other goes on to the second candidate.
    search = GridSearch(
        Misbehaving(), grid, cv=CV, timeout=5.0, n_jobs=2, refit=refit
    ).fit(X, y)
    assert seen[0]["params"] == [{"level": 2.0}]
    assert [*search.cv_results_["status"]] == ["timeout", "complete"]
    assert search.best_index_ == 1
    assert search.best_params_ == {"level": 2.0}


def test_a_timeout_before_the_first_candidate_is_an_error_that_names_it():
    search = GridSearch(Misbehaving(deed="hang"), {"level": [1.0]}, timeout=0.2)
    with pytest.raises(ValueError, match=r"timeout = 0\.2 s was over before one"):
        search.fit(X, y)
    assert not hasattr(search, "cv_results_")


@pytest.mark.parametrize("name", ["timeout", "fit_timeout"])
@pytest.mark.parametrize("value", [0, -1.0, np.nan, np.inf, "5", [1]])
def test_limits_are_checked_before_any_fit(name, value, tmp_path):
    log = str(tmp_path / "log")
    search = GridSearch(Misbehaving(log=log), {"level": [1.0]}, **{name: value})
    with pytest.raises(ValueError, match=name):
        search.fit(X, y)
    assert fits_of(log) == []


@pytest.mark.slow
def test_learning_searches_choose_the_same_with_limits():
    space = {"alpha": loguniform(1e-3, 1e3)}
    for kind, options in (
        (RandomSearch, {"n_iter": 6}),
        (BayesSearch, {"n_iter": 8, "max_pending": 2}),
    ):
        results = [
            kind(Ridge(), space, random_state=0, **options, **more).fit(X, y)
            for more in ({}, {"fit_timeout": 100, "n_jobs": 2})
        ]
        plain, limited = (search.cv_results_["params"] for search in results)
        assert plain == limited


@pytest.mark.slow
@pytest.mark.parametrize("deed", [None, "hang"])
def test_the_files_that_workers_map_are_not_left_behind(deed, tmp_path, monkeypatch):
    scratch, log = tmp_path / "scratch", tmp_path / "log"
    monkeypatch.setenv("JOBLIB_TEMP_FOLDER", str(scratch))

    def score(estimator, X, y):
        log.write_text(str([*scratch.iterdir()]))
        return 0.0

    search = GridSearch(
        Misbehaving(),
        grid(deed),
        scoring=score,
        cv=CV,
        timeout=6.0 if deed else 600,
        n_jobs=2,
    )
    search.fit(rng.normal(size=(60, 5000)), y)
    assert "skhpo-" in log.read_text()
    assert not [*scratch.iterdir()]


def test_classes_of_a_script_reach_the_processes(tmp_path):
    script = tmp_path / "script.py"
    script.write_text(
        "import numpy as np\n"
        "from sklearn.linear_model import Ridge\n"
        "from skhpo import GridSearch\n"
        "class Mine(Ridge):\n"
        "    pass\n"
        "X = np.random.default_rng(0).normal(size=(30, 2))\n"
        "s = GridSearch(Mine(), {'alpha': [1, 2]}, fit_timeout=60,\n"
        "               scoring=lambda e, X, y: e.score(X, y)).fit(X, X[:, 0])\n"
        "print(s.best_params_)\n"
    )
    # Without a guard for its main part, as scripts in notebooks' manner are.
    done = subprocess.run(
        [sys.executable, str(script)], capture_output=True, text=True, timeout=100
    )
    assert done.stdout.strip() == "{'alpha': 1}", done.stderr


@pytest.mark.slow
def test_limits_hold_in_workers_of_other_searches():
    search = GridSearch(Ridge(), {"alpha": [0.1, 1.0]}, fit_timeout=100)
    plain = cross_val_score(GridSearch(Ridge(), {"alpha": [0.1, 1.0]}), X, y, cv=2)
    for backend in ("loky", "multiprocessing", "threading"):
        with parallel_config(backend):
            scores = cross_val_score(search, X, y, cv=2, n_jobs=2)
        np.testing.assert_array_equal(scores, plain)


def test_settings_reach_the_processes():
    with config_context(assume_finite=True):
        search = GridSearch(
            Ridge(), {"alpha": [1.0]}, fit_timeout=60, scoring=_assumes_finite, cv=2
        ).fit(X, y)
    assert search.best_score_ == 1.0


def _assumes_finite(estimator, X, y):
    return float(get_config()["assume_finite"])


@pytest.mark.slow
def test_grids_may_be_endless_where_there_is_a_timeout():
    space = {"level": range(10**6), "where": range(10**6)}
    search = GridSearch(Misbehaving(), space, cv=CV, timeout=6.0).fit(X, y)
    assert search.stop_reason_ == "timeout reached"


@pytest.mark.slow
def test_progress_counts_what_is_complete_behind_a_fit_that_hangs(capsys):
    bad = {"level": [0.0], "deed": ["hang"], "where": [y[0]]}
    grid = [bad, {"level": [1.0, 2.0]}]
    search = GridSearch(
        Misbehaving(), grid, cv=CV, timeout=5.0, n_jobs=2, verbose=1, refit=False
    )
    search.fit(X, y)
    assert [*search.cv_results_["status"]] == ["timeout", "complete", "complete"]
    assert "2/3 candidates (timeout reached)" in capsys.readouterr().out


def test_what_is_cut_off_has_no_mean_whatever_the_metric_is_called():
    done = SplitResult({"wait_time": 1.0}, None, 0.1, 0.1)
    trials = [
        Trial(0, Candidate({"alpha": 1.0}), (done, done), 0),
        Trial(1, Candidate({"alpha": 2.0}), (done, None), 1),
    ]
    format_results = GridSearch(Ridge(), {})._format_results
    results = tabulate(trials, 2, format_results, limited=True)
    assert results["mean_test_wait_time"][0] == 1.0
    assert np.isnan(results["mean_test_wait_time"][1])
    assert np.isnan(results["std_test_wait_time"][1])


def test_times_of_what_is_cut_off_are_those_of_its_splits():
    def result(seconds):
        return SplitResult(1.0, None, seconds, 2 * seconds)

    trials = [
        Trial(0, Candidate({"alpha": 1.0}), (result(3.0),) * 3, 0),
        Trial(1, Candidate({"alpha": 2.0}), (result(1.0), None, result(5.0)), 1),
    ]
    format_results = GridSearch(Ridge(), {})._format_results
    results = tabulate(trials, 3, format_results, limited=True)
    assert [*results["mean_fit_time"]] == [3.0, 3.0]
    assert [*results["std_fit_time"]] == [0.0, 2.0]
    assert [*results["mean_score_time"]] == [6.0, 6.0]


class _Sleepy:
    """Propose at random, and take its time."""

    def propose(self, domain, x, losses, pending, number, rng):
        time.sleep(0.1)
        return domain.from_uniform(rng.random((8, domain.n_columns)))


@pytest.mark.slow
def test_a_search_that_goes_on_keeps_its_timeout_while_it_recalls(tmp_path):
    search = BayesSearch(
        Ridge(),
        {"alpha": loguniform(1e-3, 1e3)},
        n_iter=50,
        surrogate=_Sleepy(),
        cv=CV,
        random_state=0,
        checkpoint=tmp_path / "a",
        refit=False,
    ).fit(X, y)
    every = search.cv_results_["params"]
    start = time.monotonic()
    search.set_params(n_iter=60, timeout=2.0).fit(X, y)
    assert time.monotonic() - start < 3.5
    assert search.stop_reason_ == "timeout reached"
    n_recalled = len(search.cv_results_["params"])
    assert 0 < n_recalled < 50
    assert search.cv_results_["params"] == every[:n_recalled]


@pytest.mark.parametrize("options", [{"fit_timeout": 50}, {"n_jobs": 2}], ids=str)
@pytest.mark.parametrize("what", ["changed", "deleted"])
@pytest.mark.slow
def test_a_mapped_file_may_hold_something_else_than_the_array(what, options, tmp_path):
    data = np.random.default_rng(0).normal(size=(50_000, 3))
    data.tofile(tmp_path / "x")
    mapped = np.memmap(tmp_path / "x", dtype=float, mode="c", shape=data.shape)
    if what == "changed":
        mapped[:] = data * [1.0, 1e-3, 1e-3]
    else:
        mapped = np.memmap(tmp_path / "x", dtype=float, mode="r", shape=data.shape)
        (tmp_path / "x").unlink()
    target = data.sum(axis=1)
    searches = [
        GridSearch(Ridge(), {"alpha": [1.0]}, cv=CV, refit=False, **more).fit(X, target)
        for X in (np.array(mapped), mapped)
        for more in ({}, options)
    ]
    assert len({search.best_score_ for search in searches}) == 1


class Parallelised(Misbehaving):
    """Fit in processes of joblib's, which hang at one level."""

    def fit(self, X, y):
        parallel = Parallel(n_jobs=2, max_nbytes=1000)
        with parallel_config("loky"):
            parallel(delayed(_wait)(X, 100 * self.level) for _ in range(2))
        return super().fit(X, y)


def _wait(X, seconds):
    time.sleep(seconds)


@pytest.mark.slow
def test_what_joblib_has_put_aside_in_a_fit_goes_with_it(monkeypatch, tmp_path):
    monkeypatch.setenv("JOBLIB_TEMP_FOLDER", str(tmp_path / "new"))
    wide = rng.normal(size=(60, 100))
    search = GridSearch(Parallelised(), {"level": [0.0, 1.0]}, cv=CV, fit_timeout=10)
    with pytest.warns(FitFailedWarning, match="'level': 1.0"):
        search.fit(wide, y)
    assert [*search.cv_results_["status"]] == ["complete", "timeout"]
    assert [*(tmp_path / "new").iterdir()] == []


def test_where_there_is_no_place_for_files_no_process_is_left(monkeypatch, tmp_path):
    (tmp_path / "file").touch()
    monkeypatch.setenv("JOBLIB_TEMP_FOLDER", str(tmp_path / "file" / "folder"))
    search = GridSearch(Ridge(), {"alpha": [1.0]}, cv=CV, fit_timeout=50)
    children = Path(f"/proc/self/task/{os.getpid()}/children")
    before = children.read_text() if children.exists() else ""
    with pytest.raises(NotADirectoryError, match="folder"):
        search.fit(X, y)
    assert (children.read_text() if children.exists() else "") == before
