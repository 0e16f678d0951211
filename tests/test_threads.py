"""Threads of BLAS while strategies compute, in one search or several."""

from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack

import numpy as np
import pytest
from joblib import Parallel, delayed, parallel_config
from sklearn.base import BaseEstimator, ClassifierMixin
from threadpoolctl import threadpool_info, threadpool_limits

from skhpo import BayesSearch, RandomSearch, Real
from skhpo._engine.threads import one_thread

X = np.arange(40.0).reshape(20, 2)
y = np.tile([0, 1], 10)
SPACE = {"a": Real(0.0, 1.0)}


def blas_threads():
    libraries = threadpool_info()
    return {each["num_threads"] for each in libraries if each["user_api"] == "blas"}


class Counting(ClassifierMixin, BaseEstimator):
    """A classifier that notes how many threads BLAS has during its fit."""

    def __init__(self, a=0.5):
        self.a = a

    def fit(self, X, y):
        self.classes_ = np.unique(y)
        self.n_threads_ = blas_threads()
        return self

    def predict(self, X):
        return np.full(len(X), self.classes_[0])


def n_threads(estimator, X, y):
    (found,) = estimator.n_threads_
    return found


@pytest.fixture(autouse=True)
def two_threads():
    with threadpool_limits(2, user_api="blas"):
        yield
        assert blas_threads() == {2}


def test_the_last_who_leaves_puts_back_what_the_first_found():
    first, second = ExitStack(), ExitStack()
    first.enter_context(one_thread())
    second.enter_context(one_thread())
    first.close()
    assert blas_threads() == {1}
    second.close()
    assert blas_threads() == {2}


def scores_of(search, **backend):
    with parallel_config(**backend):
        results = search.fit(X, y).cv_results_
    return {*results["mean_test_score"]}


def searching(cls, **options):
    return cls(
        Counting(),
        SPACE,
        n_iter=8,
        cv=2,
        scoring=n_threads,
        random_state=0,
        refit=False,
        **options,
    )


def test_fits_beside_a_strategy_that_learns_have_one_thread_throughout():
    search = searching(BayesSearch, n_jobs=2)
    assert scores_of(search, backend="threading") == {1.0}


def test_fits_in_a_thread_have_one_thread_throughout_where_a_strategy_learns():
    with parallel_config("threading"):
        searches = Parallel(n_jobs=2)(
            delayed(searching(BayesSearch, n_jobs=1).fit)(X, y) for _ in range(4)
        )
    for search in searches:
        assert {*search.cv_results_["mean_test_score"]} == {1.0}


@pytest.mark.parametrize(
    ("cls", "options", "backend"),
    [
        (BayesSearch, {"n_jobs": 1}, {"backend": "loky"}),
        (RandomSearch, {"n_jobs": 2}, {"backend": "threading"}),
    ],
)
def test_fits_of_their_own_keep_their_threads(cls, options, backend):
    assert scores_of(searching(cls, **options), **backend) == {2.0}


def test_the_last_who_leaves_may_be_in_another_thread():
    first, second = ExitStack(), ExitStack()
    with ThreadPoolExecutor(1) as one, ThreadPoolExecutor(1) as other:
        one.submit(first.enter_context, one_thread()).result()
        other.submit(second.enter_context, one_thread()).result()
        one.submit(first.close).result()
        assert blas_threads() == {1}
        other.submit(second.close).result()
        assert blas_threads() == {2}
        with threadpool_limits(1, user_api="blas"):
            assert blas_threads() == {1}
