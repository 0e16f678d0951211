"""Processes for fits: what happens to them from outside."""

import os
import pathlib
import sys
import threading
import time

import numpy as np
import pytest
from sklearn.linear_model import Ridge
from sklearn.metrics import check_scoring
from sklearn.utils._param_validation import InvalidParameterError

from skhpo._evaluation.fit import Evaluator, Unit
from skhpo._evaluation.isolate import Workers
from skhpo._evaluation.splits import Splits

pytestmark = pytest.mark.skipif(os.name != "posix", reason="kills processes")

UNIT = Unit(0, {"alpha": 1.0}, 0)


@pytest.fixture
def evaluator(rng):
    X, y = rng.normal(size=(20, 2)), rng.normal(size=20)
    indices = [(np.arange(10), np.arange(10, 20))]
    return Evaluator(
        Ridge(),
        Splits(X, y, indices, fit_params={}, score_params={}),
        scorer=check_scoring(Ridge()),
        return_train_score=False,
        error_score=np.nan,
        verbose=0,
    )


def evaluate(workers):
    """Evaluate one unit, and wait for it."""
    units = [UNIT]
    while True:
        workers.feed(lambda: [units.pop()] if units else [])
        done, returned, error = workers.collect()
        if error is not None:
            raise error
        if done:
            return done[0][1]
        units.extend(returned)


def test_a_unit_outlives_a_process_that_dies_before_it_has_begun(evaluator):
    workers = Workers(evaluator, 1)
    workers._workers[0].process.kill()
    result = evaluate(workers)
    workers.close()
    assert result.test_scores == evaluator.evaluate(UNIT).test_scores


def test_paths_that_are_no_texts_are_ignored_as_by_import(evaluator, monkeypatch):
    monkeypatch.setattr(sys, "path", [*sys.path, pathlib.Path("anywhere")])
    workers = Workers(evaluator, 1)
    assert evaluate(workers).error is None
    workers.close()


def test_a_fork_made_meanwhile_does_not_hold_up_the_end(evaluator):
    workers = Workers(evaluator, 1)
    evaluate(workers)
    pid = os.fork()
    if pid == 0:
        time.sleep(60)
        os._exit(0)
    start = time.monotonic()
    workers.kill()
    assert time.monotonic() - start < 30
    os.kill(pid, 9)
    os.waitpid(pid, 0)


def test_an_error_leaves_what_was_done_before_it(evaluator):
    evaluator.error_score = "raise"
    workers = Workers(evaluator, 1)
    good, bad = UNIT, UNIT._replace(number=1, params={"alpha": -1.0})
    tasks = [[good, bad, good._replace(number=2)]]
    workers.feed(lambda: tasks.pop() if tasks else [])
    done, errors = [], []
    while workers.busy:
        more, returned, error = workers.collect()
        done += more
        errors += [error] if error else []
        assert not returned
    workers.close()
    assert [unit.number for unit, _ in done] == [0, 2]
    assert [type(error) for error in errors] == [InvalidParameterError]


def test_what_cannot_be_pickled_is_said_before_any_fit(evaluator):
    evaluator.estimator.set_params(alpha=threading.Lock())
    with pytest.raises(TypeError, match="cannot be pickled, and so not be sent"):
        Workers(evaluator, 1)
