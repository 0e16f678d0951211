"""scikit-learn's callbacks (1.9): same tasks as its own searches, and stop is heard."""

import joblib
import pytest
from oracle import with_our_names
from sklearn.base import clone
from sklearn.datasets import load_iris
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import GridSearchCV
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler, scale
from sklearn.svm import SVC

from skhpo import GridSearch, Integer, RandomSearch

pytest.importorskip("sklearn.callback", reason="scikit-learn has callbacks from 1.9 on")
from sklearn.callback import ProgressBar, ScoringMonitor
from sklearn.callback.tests._utils import (
    RecordingAutoPropagatedCallback,
    RecordingCallback,
)

X, y = load_iris(return_X_y=True)
X = scale(X)
GRID = {"C": [0.1, 1.0, 10.0]}


class StopAfter:
    """Ask to stop at the end of the n-th evaluation of a candidate on a split."""

    def __init__(self, n):
        self.n = n
        self.n_seen = 0

    def setup(self, estimator, context):
        pass

    def teardown(self, estimator, context):
        pass

    def on_fit_task_begin(self, estimator, context):
        pass

    def on_fit_task_end(self, estimator, context):
        names = {context.task_name, context.source_task_name}
        self.n_seen += "candidate-split-evaluation" in names
        return self.n_seen >= self.n


class PropagatedStopAfter(StopAfter):
    max_propagation_depth = None


def tasks_seen(search, callback):
    """List name and place of every task a recording callback saw begin and end."""
    search.set_callbacks(callback).fit(X, y)
    return sorted(
        (
            record["name"],
            record["context"].task_name,
            record["context"].task_id,
            record["context"].max_subtasks,
            with_our_names(str(record["context"].parent)),
        )
        for record in callback.record
    )


@pytest.mark.parametrize("estimator", [SVC(), LogisticRegression()])
@pytest.mark.parametrize(
    "backend, n_jobs, make_callback",
    [
        ("threading", 1, RecordingCallback),
        ("threading", 1, RecordingAutoPropagatedCallback),
        ("threading", 2, RecordingCallback),
        ("threading", 2, RecordingAutoPropagatedCallback),
        ("loky", 2, RecordingCallback),
        # It pickles the context, to send it home from the worker.
        ("loky", 2, RecordingAutoPropagatedCallback),
    ],
)
@pytest.mark.filterwarnings("ignore:The estimator SVC does not support callbacks")
def test_callbacks_see_the_tasks_of_grid_search_cv(
    estimator, backend, n_jobs, make_callback
):
    with joblib.parallel_config(backend):
        found, expected = (
            tasks_seen(cls(estimator, GRID, cv=3, n_jobs=n_jobs), make_callback())
            for cls in [GridSearch, GridSearchCV]
        )
    assert len(found) > 2 * 3 * 3
    assert found == expected


@pytest.mark.parametrize("n_jobs", [1, 2])
@pytest.mark.parametrize("estimator", [SVC(), LogisticRegression()])
@pytest.mark.parametrize("stop", [StopAfter, PropagatedStopAfter])
@pytest.mark.filterwarnings("ignore:The estimator SVC does not support callbacks")
def test_a_callback_that_asks_to_stop_ends_the_search(stop, estimator, n_jobs):
    with joblib.parallel_config("threading"):
        search = GridSearch(estimator, {"C": [0.1, 1.0, 2.0, 4.0]}, n_jobs=n_jobs)
        search.set_callbacks(stop(7)).fit(X, y)
    assert search.stop_reason_ == "stopped by a callback"
    # The seventh task is the second one of the second candidate, in one worker.
    assert search.n_candidates_ == 2 if n_jobs == 1 else search.n_candidates_ <= 3
    assert search.n_fits_ == 5 * search.n_candidates_
    expected = GridSearchCV(
        estimator, {"C": [0.1, 1.0, 2.0][: search.n_candidates_]}
    ).fit(X, y)
    assert search.best_score_ == expected.best_score_


@pytest.mark.parametrize("stop", [StopAfter, PropagatedStopAfter])
def test_a_stop_asked_for_in_another_process_is_heard(stop):
    grid = {"C": [0.01 * i for i in range(1, 400)]}
    search = GridSearch(LogisticRegression(), grid, n_jobs=2, refit=False)
    search.set_callbacks(stop(1)).fit(X, y)
    assert search.stop_reason_ == "stopped by a callback"
    assert search.n_candidates_ == 1


def test_a_grid_of_any_size_is_searched_when_a_callback_may_end_it():
    search = GridSearch(SVC(), {"C": Integer(1, 10**12)})
    with pytest.raises(ValueError, match="param_grid has 1000000000000 points"):
        search.fit(X, y)
    with pytest.raises(ValueError, match="nothing bounds the search"):
        clone(search).set_callbacks(ProgressBar()).fit(X, y)
    search.set_callbacks(StopAfter(6)).fit(X, y)
    assert search.cv_results_["params"] == [{"C": 1}, {"C": 2}]


def test_repeated_rows_are_told_to_callbacks_too():
    class Count(StopAfter):
        n_begun = 0

        def on_fit_task_begin(self, estimator, context):
            self.n_begun += context.task_name == "candidate-split-evaluation"

    count = Count(10**6)
    search = GridSearch(LogisticRegression(random_state=0), {"C": [1.0, 1.0, 2.0]})
    search.set_callbacks(count).fit(X, y)
    assert search.n_fits_ == 10
    assert count.n_begun == count.n_seen == 15


PIPELINE = make_pipeline(StandardScaler(), LogisticRegression())
MODELS = pytest.mark.parametrize(
    "model, grid",
    [(LogisticRegression(), GRID), (PIPELINE, {"logisticregression__C": [0.1, 1.0]})],
    ids=["model", "pipeline"],
)


@pytest.mark.parametrize("n_jobs", [1, 2])
@MODELS
def test_the_scoring_monitor_logs_what_it_logs_for_grid_search_cv(model, grid, n_jobs):
    def rows(cls):
        monitor = ScoringMonitor(scoring=["accuracy", "neg_log_loss"])
        inner = clone(model)
        (inner[-1] if model is PIPELINE else inner).set_callbacks(monitor)
        cls(inner, grid, cv=3, n_jobs=n_jobs).fit(X, y)
        (run,) = monitor.get_logs("all", include_lineage=True)
        return [
            {name: with_our_names(str(value)) for name, value in row.items()}
            for row in run.data
        ]

    expected = rows(GridSearchCV)
    assert rows(GridSearch) == expected
    # At least one iteration of each fit is scored.
    n_fits = 3 * len(next(iter(grid.values())))
    assert sum("accuracy" in row for row in expected) > n_fits


@pytest.mark.parametrize("n_jobs", [1, 2])
@pytest.mark.parametrize("depth", [0, 1, None])
@MODELS
def test_the_progress_bar_draws_the_tree_of_grid_search_cv_to_its_end(
    model, grid, depth, n_jobs, capsys, monkeypatch
):
    rich = pytest.importorskip("rich")
    from sklearn.callback._progressbar import RichProgressMonitor

    told = []

    def listen(name):
        method = getattr(RichProgressMonitor, name)

        def tell(self, info):
            told.append((name, with_our_names(str(info))))
            method(self, info)

        monkeypatch.setattr(RichProgressMonitor, name, tell)

    listen("_on_task_begin")
    listen("_on_task_end")
    # Narrow, as another test may have left it, it prints no percentages.
    monkeypatch.setenv("COLUMNS", "200")
    monkeypatch.setattr(rich, "_console", None)

    def tasks(cls):
        told.clear()
        search = cls(model, grid, cv=3, n_jobs=n_jobs)
        search.set_callbacks(ProgressBar(max_propagation_depth=depth)).fit(X, y)
        assert "100%" in capsys.readouterr().out
        return sorted(told)

    assert tasks(GridSearch) == tasks(GridSearchCV)
    assert len(told) > 3 * len(next(iter(grid.values())))


def test_random_search_is_seen_as_well():
    callback = RecordingCallback()
    search = RandomSearch(SVC(), {"C": [1, 2, 3]}, n_iter=2, cv=3, random_state=0)
    names = [task[1] for task in tasks_seen(search, callback)]
    assert names.count("candidate-split-evaluation") == 2 * 2 * 3


@pytest.mark.parametrize(
    "make_callback", [RecordingCallback, RecordingAutoPropagatedCallback]
)
def test_callbacks_see_the_same_tasks_with_limits(make_callback):
    found, expected = (
        tasks_seen(
            GridSearch(LogisticRegression(), GRID, cv=3, n_jobs=2, **limits),
            make_callback(),
        )
        for limits in [{"fit_timeout": 100}, {}]
    )
    assert len(found) > 2 * 3 * 3
    assert found == expected


def test_a_stop_is_heard_with_limits():
    grid = {"C": [0.01 * i for i in range(1, 400)]}
    search = GridSearch(LogisticRegression(), grid, timeout=1000, refit=False)
    search.set_callbacks(StopAfter(1)).fit(X, y)
    assert search.stop_reason_ == "stopped by a callback"
    assert search.n_candidates_ == 1


def test_fits_that_are_recorded_are_told_to_callbacks_too(tmp_path):
    class Count(StopAfter):
        n_begun = 0

        def on_fit_task_begin(self, estimator, context):
            self.n_begun += context.task_name == "candidate-split-evaluation"

    search = GridSearch(LogisticRegression(), GRID, checkpoint=tmp_path / "a").fit(X, y)
    count = Count(10**6)
    search.set_callbacks(count).fit(X, y)
    assert count.n_begun == count.n_seen == 15


def test_a_search_stopped_by_a_callback_goes_on_from_its_checkpoint(tmp_path):
    search = GridSearch(LogisticRegression(), GRID, checkpoint=tmp_path / "a")
    clone(search).set_callbacks(StopAfter(7)).fit(X, y)
    found = search.fit(X, y)
    assert found.stop_reason_ == "all candidates evaluated"
    expected = clone(search).set_params(checkpoint=None).fit(X, y)
    assert found.best_score_ == expected.best_score_
