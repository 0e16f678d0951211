"""A search with a checkpoint meets what can happen to it: killed, damaged, changed.

What was fitted is judged by the log that the estimator keeps, not by the checkpoint.
"""

import errno
import json
import os
import pickle
import subprocess
import sys
import time
import warnings
from collections import Counter
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from joblib import parallel_config
from killed_search import N_FITS, Slow, X, make, result_of, y
from misbehaving import Misbehaving, fits_of
from scipy.stats import uniform
from sklearn.exceptions import FitFailedWarning
from sklearn.linear_model import Ridge
from sklearn.metrics import make_scorer, r2_score
from sklearn.model_selection import KFold, ShuffleSplit, cross_val_score
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import FunctionTransformer

from skhpo import (
    BayesSearch,
    Checkpoint,
    GridSearch,
    Integer,
    RandomSearch,
    read_checkpoint,
)
from skhpo.checkpoint import _files, journal

KINDS = [*N_FITS]
FOLDER = Path(__file__).parent


@pytest.mark.slow
@pytest.mark.skipif(not hasattr(os, "fork"), reason="forks")
@pytest.mark.parametrize("n_jobs", [1, 2])
@pytest.mark.parametrize("kind", KINDS)
def test_a_search_that_was_killed_goes_on_as_if_it_had_not_been(kind, n_jobs, tmp_path):
    # A run that gets to its end leaves nothing to kill: then the next begins anew.
    n_kills = n_fits = n_repeated = 0
    for number in range(20):
        folder = tmp_path / str(number)
        folder.mkdir()
        arguments = [kind, n_jobs, 20 - n_kills, 0.05, folder]
        done = subprocess.run(
            [sys.executable, FOLDER / "killed_search.py", *map(str, arguments)],
            capture_output=True,
            text=True,
            timeout=300,
        )
        assert done.returncode == 0, done.stderr
        report = json.loads(done.stdout)
        expected = json.loads(json.dumps(result_of(make(kind).fit(X, y))))
        assert report["result"] == expected
        fits = Counter(fits_of(folder / "log"))
        n_kills += report["kills"]
        n_fits += len(fits)
        n_repeated += fits.total() - len(fits)
        assert len(fits) == len(expected[0]["rank_test_score"]) * 3
        if n_kills >= 20:
            break
    assert n_kills >= 20
    # What was finished and not yet recorded, or under way.
    assert n_repeated <= n_kills * (1 if n_jobs == 1 else 2 * n_jobs)


def run_forked(search):
    """Fit in a fork; return how it ended."""
    pid = os.fork()
    if pid == 0:
        os.dup2(os.open(os.devnull, os.O_RDWR), 1)
        os.dup2(1, 2)
        try:
            search.fit(X, y)
        finally:
            os._exit(0)
    _, status = os.waitpid(pid, 0)
    return os.waitstatus_to_exitcode(status)


@pytest.mark.skipif(not hasattr(os, "fork"), reason="forks")
@pytest.mark.filterwarnings("ignore:One or more of the test scores")
def test_a_fit_that_kills_the_search_is_given_up_at_the_fourth_start(tmp_path):
    log = str(tmp_path / "log")
    grid = [{"level": [0.0]}, {"level": [1.0], "deed": ["leave"], "where": [y[0]]}]
    search = GridSearch(
        Misbehaving(log=log), grid, cv=2, checkpoint=tmp_path / "a", refit=False
    )
    assert [run_forked(search) for _ in range(3)] == [7, 7, 7]
    with pytest.warns(FitFailedWarning, match="exited with code 7"):
        search.fit(X, y)
    assert np.isnan(search.cv_results_["split1_test_score"][1])
    assert np.isfinite(search.cv_results_["mean_test_score"][0])
    # The bad fit was begun four times, every other once.
    assert sorted(Counter(fits_of(log)).values()) == [1, 1, 1, 4]
    with pytest.warns(FitFailedWarning, match="exited with code 7"):
        search.fit(X, y)
    assert len(fits_of(log)) == 7


@pytest.mark.skipif(not hasattr(os, "fork"), reason="forks")
@pytest.mark.parametrize("n_jobs", [1, 2])
@pytest.mark.slow
def test_three_kills_from_outside_do_not_fail_a_healthy_fit(n_jobs, tmp_path):
    search = GridSearch(
        Slow(seconds=0.5),
        {"level": [1.0, 2.0]},
        cv=2,
        checkpoint=tmp_path / "a",
        n_jobs=n_jobs,
    )
    for _ in range(3):
        pid = os.fork()
        if pid == 0:
            os.dup2(os.open(os.devnull, os.O_RDWR), 1)
            os.dup2(1, 2)
            search.fit(X, y)
            os._exit(0)
        while b'"begin"' not in read(tmp_path / "a"):
            time.sleep(0.01)
        time.sleep(0.05)
        os.kill(pid, 9)
        os.waitpid(pid, 0)
    search.set_params(estimator__seconds=0.5).fit(X, y)
    expected = GridSearch(Slow(), {"level": [1.0, 2.0]}, cv=2).fit(X, y)
    for name in ("split0_test_score", "split1_test_score", "rank_test_score"):
        assert [*search.cv_results_[name]] == [*expected.cv_results_[name]]


def read(path):
    return path.read_bytes() if path.exists() else b""


@pytest.mark.parametrize("kind", KINDS)
def test_a_search_that_is_complete_makes_no_fit_again(kind, tmp_path):
    log = tmp_path / "log"
    options = dict(log=str(log), checkpoint=tmp_path / "a.jsonl")
    first = make(kind, **options).fit(X, y)
    n_fits = len(fits_of(log))
    assert n_fits == first.n_fits_
    # Everything that may change.
    changed = dict(n_jobs=2, verbose=0, pre_dispatch="all", fit_timeout=100)
    second = make(kind, **options, **changed).fit(X, y)
    assert len(fits_of(log)) == n_fits
    for name in ("status", "n_splits_done"):
        second.cv_results_.pop(name)
    assert result_of(second) == result_of(first)
    assert second.set_params(refit=False).fit(X, y).best_index_ == first.best_index_
    assert len(fits_of(log)) == n_fits


@pytest.mark.parametrize("kind", ["random", "bayes"])
@pytest.mark.parametrize("random_state", [0, None, "instance"])
def test_more_candidates_go_on_from_fewer(kind, random_state, tmp_path):
    log = tmp_path / "log"

    def search(n_iter):
        seed = np.random.RandomState(3) if random_state == "instance" else random_state
        made = make(kind, log=str(log), checkpoint=tmp_path / "a.jsonl")
        return made.set_params(n_iter=n_iter, random_state=seed).fit(X, y)

    few, many = search(7), search(12)
    assert many.cv_results_["params"][:7] == few.cv_results_["params"]
    assert len(many.cv_results_["params"]) == 12
    assert len(fits_of(log)) == 36
    assert search(9).cv_results_["params"] == many.cv_results_["params"][:9]
    assert len(fits_of(log)) == 36


def test_random_rows_of_a_grid_go_on_too(tmp_path):
    def search(n_iter):
        space = {"level": [*range(40)], "where": [None, "x", "y"]}
        return RandomSearch(
            Slow(), space, n_iter=n_iter, random_state=0, checkpoint=tmp_path / "a"
        ).fit(X, y)

    few, many = search(5), search(100)
    assert many.cv_results_["params"][:5] == few.cv_results_["params"]


def test_a_search_may_grow_to_the_whole_space(tmp_path):
    def search(n_iter):
        space = {"level": Integer(1, 12)}
        found = BayesSearch(
            Slow(), space, n_iter=n_iter, random_state=0, checkpoint=tmp_path / "a"
        ).fit(X, y)
        return [p["level"] for p in found.cv_results_["params"]]

    some = search(7)
    every = search(12)
    assert every[:7] == some
    assert sorted(every) == [*range(1, 13)]


def test_a_grid_may_grow_and_shrink(tmp_path):
    log = tmp_path / "log"

    def search(levels, **options):
        return GridSearch(
            Slow(log=str(log)),
            {"level": levels},
            cv=3,
            checkpoint=tmp_path / "a.jsonl",
            **options,
        ).fit(X, y)

    search([1.0, 3.0])
    found = search([0.0, 1.0, 2.0, 3.0, 4.0])
    assert len(fits_of(log)) == 15
    plain = GridSearch(Slow(), {"level": [0.0, 1.0, 2.0, 3.0, 4.0]}, cv=3).fit(X, y)
    assert result_of(found) == result_of(plain)
    assert search([3.0]).best_params_ == {"level": 3.0}
    assert len(fits_of(log)) == 15


@pytest.mark.slow
def test_a_fit_that_was_killed_for_its_time_may_have_more(tmp_path):
    log = tmp_path / "log"

    def search(fit_timeout):
        return GridSearch(
            Slow(log=str(log), seconds=1.5),
            {"level": [1.0]},
            cv=2,
            checkpoint=tmp_path / "a.jsonl",
            fit_timeout=fit_timeout,
            error_score=-1.0,
            refit=False,
            n_jobs=2,
        ).fit(X, y)

    for limit in (0.5, 0.4):
        with pytest.raises(ValueError, match="every one took longer than fit_timeout"):
            search(limit)
    assert fits_of(log) == []
    assert search(60).trials_[0].status == "complete"
    assert len(fits_of(log)) == 2
    # Once it is there, it counts whatever the limit.
    assert search(0.4).trials_[0].status == "complete"


@pytest.mark.slow
@pytest.mark.skipif(os.name != "posix", reason="kills processes")
def test_a_limit_holds_however_often_a_fit_was_begun(tmp_path):
    search = GridSearch(
        Slow(),
        {"seconds": [0.0]},
        cv=2,
        checkpoint=tmp_path / "a.jsonl",
        timeout=100,
        refit=False,
    ).fit(X, y)
    search.set_params(param_grid={"seconds": [0.0, 30.0]}, timeout=2.0)
    for _ in range(4):
        search.fit(X, y)
        assert search.stop_reason_ == "timeout reached"
        assert search.search_time_ < 20


class Interrupted(Slow):
    def fit(self, X, y):
        if self.level == 1.0:
            raise KeyboardInterrupt
        return super().fit(X, y)


@pytest.mark.parametrize("n_jobs", [1, 2])
def test_interruptions_are_no_deaths(n_jobs, tmp_path):
    search = GridSearch(
        Interrupted(),
        {"level": [0.0, 1.0]},
        cv=2,
        n_jobs=n_jobs,
        checkpoint=tmp_path / "a.jsonl",
    )
    with parallel_config("threading"):
        for _ in range(4):
            with pytest.raises(KeyboardInterrupt):
                search.fit(X, y)
    assert max(_files.read_file(tmp_path / "a.jsonl").begun.values()) == 0


def test_failures_are_remembered(tmp_path):
    search = GridSearch(
        Ridge(), {"alpha": [-1.0, 1.0]}, cv=2, checkpoint=tmp_path / "a.jsonl"
    )
    texts = []
    for _ in range(2):
        with warnings.catch_warnings(record=True) as caught:
            warnings.simplefilter("always")
            search.fit(X, y)
        texts += [str(w.message) for w in caught if w.category is FitFailedWarning]
    assert texts[0] == texts[1] and "alpha" in texts[0]


def test_repeated_points_of_a_random_estimator_keep_their_own_scores(tmp_path):
    from sklearn.ensemble import ExtraTreesRegressor

    search = GridSearch(
        ExtraTreesRegressor(n_estimators=2),
        {"max_depth": [3, 3, 3]},
        checkpoint=tmp_path / "a.jsonl",
    )
    first = search.fit(X, y).cv_results_["mean_test_score"]
    assert len(set(first)) == 3
    assert [*search.fit(X, y).cv_results_["mean_test_score"]] == [*first]


class Doubled(Slow):
    pass


def changed_y():
    changed = y.copy()
    changed[7] = np.nextafter(changed[7], 9)
    return changed


def base(**changes):
    options = dict(cv=KFold(3), random_state=0, n_iter=4, scoring="r2")
    return RandomSearch(Slow(), {"level": uniform(0, 6)}, **{**options, **changes})


OTHERS = {
    "X": (base(), X[:, ::-1], y, {}),
    "X and cv and y": (base(), X[:-1], y[:-1], {}),
    "X is a frame": (base(), pd.DataFrame(X), y, {}),
    "y": (base(), X, changed_y(), {}),
    "rows": (base(), X[::-1], y[::-1], {}),
    "fit parameters": (base(), X, y, {"sample_weight": np.ones(90)}),
    "estimator: a parameter": (base().set_params(estimator__level=1.0), X, y, {}),
    "estimator: its class": (base().set_params(estimator=Doubled()), X, y, {}),
    "param_distributions": (
        base().set_params(param_distributions={"level": uniform(0, 7)}),
        X,
        y,
        {},
    ),
    "cv: number": (base(cv=KFold(4)), X, y, {}),
    "cv: seed": (base(cv=KFold(3, shuffle=True, random_state=1)), X, y, {}),
    "scoring": (base(scoring="neg_mean_squared_error"), X, y, {}),
    "scoring: a function": (base(scoring=make_scorer(r2_score)), X, y, {}),
    "random_state": (base(random_state=1), X, y, {}),
    "error_score": (base(error_score=0.0), X, y, {}),
    "return_train_score": (base(return_train_score=True), X, y, {}),
    "design": (base(design="sobol"), X, y, {}),
    "search": (
        BayesSearch(
            Slow(), {"level": uniform(0, 6)}, n_iter=4, cv=KFold(3), scoring="r2"
        ),
        X,
        y,
        {},
    ),
}


class Weighted(Slow):
    def fit(self, X, y, sample_weight=None):
        return super().fit(X, y)


@pytest.mark.parametrize("what", OTHERS)
def test_another_search_is_refused_before_any_fit(what, tmp_path):
    path, log = tmp_path / "a.jsonl", str(tmp_path / "log")
    first = base(checkpoint=path)
    if what == "fit parameters":
        first.set_params(estimator=Weighted())
    first.fit(X, y)
    content = path.read_bytes()
    other, X_other, y_other, fit_params = OTHERS[what]
    other.set_params(checkpoint=path)
    if what == "fit parameters":
        other.set_params(estimator=Weighted())
    other.set_params(estimator__log=log)
    # A log is a parameter as well; leave it out where it is not what has changed.
    names = ("estimator",) if what.startswith("estimator") else ()
    if not names:
        other.set_params(estimator__log=None)
    with pytest.raises(ValueError, match="belongs to another search") as caught:
        other.fit(X_other, y_other, **fit_params)
    message = str(caught.value)
    for word in what.partition(":")[0].removesuffix(" is a frame").split(" and "):
        assert {"rows": "X"}.get(word, word) in message
    assert str(path) in message and "another path" in message
    assert path.read_bytes() == content
    assert fits_of(log) == []


def test_damage_is_refused_or_makes_no_difference(tmp_path):
    path, log = tmp_path / "a.jsonl", tmp_path / "log"
    search = GridSearch(
        Slow(), {"level": [1.0, 2.0]}, cv=2, checkpoint=path, refit=False
    )
    expected = search.fit(X, y).cv_results_["mean_test_score"].tolist()
    content = path.read_bytes()
    rng = np.random.default_rng(0)
    outcomes = Counter()
    for _ in range(200):
        damaged = bytearray(content)
        damaged[rng.integers(len(content))] ^= 1 << rng.integers(8)
        path.write_bytes(damaged)
        try:
            found = search.fit(X, y).cv_results_["mean_test_score"].tolist()
        except ValueError as error:
            assert str(path) in str(error)
            assert path.read_bytes() == bytes(damaged)
            outcomes["refused"] += 1
        else:
            assert found == expected
            outcomes["equal"] += 1
    assert outcomes["refused"] > 150
    assert fits_of(log) == []


@pytest.mark.parametrize(
    "content",
    [
        b"level,score\n1,2\n",
        b"\x89PNG\r\n\x1a\n\x00\x00",
        pickle.dumps({"a": 1}),
        b'{"skhpo":"checkpoint","format":99}\n',
        b"\n",
    ],
)
def test_files_of_others_are_refused_and_left_alone(content, tmp_path):
    path, log = tmp_path / "a", str(tmp_path / "log")
    path.write_bytes(content)
    search = GridSearch(Slow(log=log), {"level": [1.0]}, checkpoint=path)
    with pytest.raises(ValueError, match=r"checkpoint '.*a'"):
        search.fit(X, y)
    assert path.read_bytes() == content
    assert fits_of(log) == []


def test_a_space_that_is_no_good_leaves_no_file(tmp_path):
    path = tmp_path / "a"
    for search in (
        GridSearch(Slow(), {"lvel": [1.0]}, checkpoint=path),
        base(checkpoint=path, cv=1000),
        base(checkpoint=path, scoring="r3"),
    ):
        with pytest.raises(ValueError):
            search.fit(X, y)
    assert not path.exists()


@pytest.mark.parametrize("cv", [KFold(3, shuffle=True), ShuffleSplit(3)])
def test_splits_that_are_drawn_anew_are_refused_in_the_first_run(cv, tmp_path):
    path = tmp_path / "a"
    with pytest.raises(ValueError, match=r"(?s)^cv = .*Give it an int as random_state"):
        base(checkpoint=path, cv=cv).fit(X, y)
    assert not path.exists()
    cv.random_state = 0
    base(checkpoint=path, cv=cv).fit(X, y)


def test_a_search_that_goes_on_says_so(tmp_path, capsys):
    search = base(checkpoint=tmp_path / "a", verbose=1)
    search.fit(X, y)
    assert "a: 0 fits are recorded\nFitting 3 folds" in capsys.readouterr().out
    search.fit(X, y)
    assert "a: 12 fits are recorded\nFitting 3 folds" in capsys.readouterr().out


def test_a_second_search_is_refused_while_the_first_one_runs(tmp_path):
    path, log = tmp_path / "a", tmp_path / "log"
    script = tmp_path / "script.py"
    script.write_text(
        f"import sys; sys.path.insert(0, {str(FOLDER)!r})\n"
        "from killed_search import *\n"
        f"make('grid', log={str(log)!r}, seconds=0.5, checkpoint={str(path)!r})"
        ".fit(X, y)\n"
    )
    process = subprocess.Popen([sys.executable, script], stderr=subprocess.DEVNULL)
    try:
        while len(fits_of(log)) < 2:
            time.sleep(0.02)
            assert process.poll() is None
        second = make("grid", log=str(log), seconds=0.5, checkpoint=path)
        with pytest.raises(RuntimeError, match=f"in use by process {process.pid}"):
            second.fit(X, y)
        rows = read_checkpoint(path)
        assert rows["params"][0] == {"level": 0.0}
        assert sum(rows["n_splits_done"]) >= 1
    finally:
        process.kill()
        process.wait()


@pytest.mark.skipif(os.name != "posix", reason="limits the size of files")
def test_a_full_disk_ends_the_search_and_nothing_recorded_is_lost(tmp_path):
    path, log = tmp_path / "a", tmp_path / "log"
    script = tmp_path / "script.py"
    script.write_text(
        f"import resource, sys; sys.path.insert(0, {str(FOLDER)!r})\n"
        "from killed_search import *\n"
        f"search = make('grid', checkpoint={str(path)!r})\n"
        "resource.setrlimit(resource.RLIMIT_FSIZE, (3000, 3000))\n"
        "search.fit(X, y)\n"
    )
    done = subprocess.run(
        [sys.executable, script], capture_output=True, text=True, timeout=100
    )
    last = done.stderr.strip().splitlines()[-1]
    assert last.startswith(f"OSError: writing checkpoint '{path}' failed")
    assert "are recorded" in last and "fit again" in last
    n_recorded = sum(read_checkpoint(path)["n_splits_done"])
    assert n_recorded >= 1
    search = make("grid", log=None, checkpoint=path).fit(X, y)
    assert result_of(search) == result_of(make("grid").fit(X, y))
    assert not log.exists()


# joblib says that it cancels tasks; where others run in threads, that may be heard.
@pytest.mark.filterwarnings("ignore:.* have been cancelled")
@pytest.mark.parametrize("n_jobs", [1, 2])
@pytest.mark.parametrize("n_written", range(1, 12))
@pytest.mark.slow
def test_no_write_that_fails_hangs_the_search(n_jobs, n_written, tmp_path, monkeypatch):
    path, left = tmp_path / "a", [n_written]

    def full(file, data):
        left[0] -= 1
        if left[0] < 0:
            raise OSError(errno.ENOSPC, "No space left on device")
        _files.write(file, data)

    search = make("grid", checkpoint=path, n_jobs=n_jobs)
    with monkeypatch.context() as patch, pytest.raises(OSError, match="No space left"):
        # Tasks are handed out, and so recorded, in whatever thread a result comes in.
        patch.setattr(journal, "write", full)
        with parallel_config("threading" if n_written % 2 else "loky"):
            search.fit(X, y)
    assert result_of(search.fit(X, y)) == result_of(make("grid").fit(X, y))


def test_a_folder_holds_one_file_for_each_search(tmp_path):
    folder, log = tmp_path / "all", tmp_path / "log"
    folder.mkdir()

    def scores():
        search = make("random", log=str(log), checkpoint=folder).set_params(refit=True)
        return cross_val_score(search, X, y, cv=3)

    expected = cross_val_score(make("random"), X, y, cv=3)
    np.testing.assert_array_equal(scores(), expected)
    assert len([*folder.iterdir()]) == 3
    n_fits = len(fits_of(log))
    np.testing.assert_array_equal(scores(), expected)
    # The three fits on all data of the inner searches are made again.
    assert len(fits_of(log)) == n_fits + 3
    assert len([*folder.iterdir()]) == 3


def test_one_file_is_not_for_nested_searches(tmp_path):
    search = make("random", checkpoint=tmp_path / "a.jsonl")
    with pytest.raises(ValueError, match="a folder"):
        cross_val_score(search, X, y, cv=3, error_score="raise")


def scale(X, by=2.0):
    return X * by


def test_functions_count_by_what_they_do(tmp_path):
    path = tmp_path / "a.jsonl"

    def search(function, **options):
        model = make_pipeline(FunctionTransformer(function), Ridge())
        return GridSearch(model, {"ridge__alpha": [1.0]}, checkpoint=path, **options)

    search(lambda X: X * 2).fit(X, y)
    search(lambda X: X * 2).fit(X, y)
    for other in (lambda X: X * 3, scale, np.sqrt):
        with pytest.raises(ValueError, match="estimator differ"):
            search(other).fit(X, y)


def test_what_has_no_stable_form_needs_a_version(tmp_path):
    path = tmp_path / "a.jsonl"

    def search(checkpoint):
        model = make_pipeline(
            FunctionTransformer(scale, kw_args={"by": Locked()}), Ridge()
        )
        return GridSearch(model, {"ridge__alpha": [1.0]}, checkpoint=checkpoint)

    with pytest.raises(TypeError, match=r"(?s)estimator.*version"):
        search(path).fit(X, y)
    assert not path.exists()
    search(Checkpoint(path, version="1")).fit(X, y)
    search(Checkpoint(path, version="1")).fit(X, y)
    with pytest.raises(ValueError, match="estimator differ"):
        search(Checkpoint(path, version="2")).fit(X, y)


class Locked(float):
    """Three, with a lock that nobody can recognise."""

    def __new__(cls):
        return super().__new__(cls, 3.0)

    def __reduce_ex__(self, protocol):
        raise TypeError("cannot be taken apart")

    def __deepcopy__(self, memo):
        return self
