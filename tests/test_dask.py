"""The same search on a cluster, of two worker processes on this machine."""

import os
import signal
import threading
import time

import joblib
import numpy as np
import pytest
from sklearn.datasets import load_iris
from sklearn.model_selection import GridSearchCV, cross_val_score
from sklearn.svm import SVC

from skhpo import GridSearch, RandomSearch
from tests.test_engine import learn

distributed = pytest.importorskip("distributed")
pytestmark = [
    pytest.mark.optional,
    # The cluster's own resources, which it closes late.
    pytest.mark.filterwarnings("ignore::ResourceWarning"),
    pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning"),
]

X, y = load_iris(return_X_y=True)
GRID = {"C": np.logspace(-2, 2, 40)}


@pytest.fixture
def client():
    with (
        distributed.LocalCluster(
            n_workers=2,
            threads_per_worker=1,
            host="127.0.0.1",
            dashboard_address=None,
        ) as cluster,
        distributed.Client(cluster) as client,
    ):
        yield client


class SlowSVC(SVC):
    """Take long enough for something to happen meanwhile."""

    def fit(self, X, y):
        time.sleep(0.05)
        return super().fit(X, y)


def assert_same_scores(found, expected):
    for split in range(expected.n_splits_):
        key = f"split{split}_test_score"
        np.testing.assert_array_equal(found.cv_results_[key], expected.cv_results_[key])
    assert found.best_params_ == expected.best_params_


def test_a_cluster_gives_the_same_results(client):
    expected = GridSearchCV(SVC(), GRID).fit(X, y)
    with joblib.parallel_config("dask"):
        assert_same_scores(GridSearch(SVC(), GRID).fit(X, y), expected)
        search = RandomSearch(SVC(), GRID, n_iter=10, random_state=0).fit(X, y)
    alone = RandomSearch(SVC(), GRID, n_iter=10, random_state=0).fit(X, y)
    assert_same_scores(search, alone)


def test_a_learning_strategy_proposes_the_same_on_a_cluster(client):
    expected = learn(2)[0].asked
    with joblib.parallel_config("dask"):
        assert learn(2)[0].asked == expected


def test_a_nested_search_gives_the_same_scores_on_a_cluster(client):
    search = GridSearch(SVC(), {"C": [0.1, 1.0, 10.0]})
    expected = cross_val_score(search, X, y, cv=3)
    with joblib.parallel_config("dask"):
        found = cross_val_score(search, X, y, cv=3)
    np.testing.assert_array_equal(found, expected)


def test_losing_a_worker_loses_no_result(client):
    victim = next(iter(client.run(os.getpid).values()))
    timer = threading.Timer(1.5, os.kill, [victim, signal.SIGKILL])
    with joblib.parallel_config("dask"):
        timer.start()
        found = GridSearch(SlowSVC(), GRID).fit(X, y)
    assert not timer.is_alive()
    assert victim not in client.run(os.getpid).values()
    assert_same_scores(found, GridSearchCV(SVC(), GRID).fit(X, y))
