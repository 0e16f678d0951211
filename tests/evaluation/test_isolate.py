"""Processes for fits: what happens to them from outside."""

import os
import pathlib
import sys
import time

import numpy as np
import pytest
from sklearn.linear_model import Ridge
from sklearn.metrics import check_scoring

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


def test_a_unit_outlives_a_process_that_dies_before_it_has_begun(evaluator):
    workers = Workers(evaluator, 1)
    workers._workers[0].process.kill()
    result = workers.evaluate(UNIT)
    workers.close()
    assert result.test_scores == evaluator.evaluate(UNIT).test_scores


def test_paths_that_are_no_texts_are_ignored_as_by_import(evaluator, monkeypatch):
    monkeypatch.setattr(sys, "path", [*sys.path, pathlib.Path("anywhere")])
    workers = Workers(evaluator, 1)
    assert workers.evaluate(UNIT).error is None
    workers.close()


def test_a_fork_made_meanwhile_does_not_hold_up_the_end(evaluator):
    workers = Workers(evaluator, 1)
    workers.evaluate(UNIT)
    pid = os.fork()
    if pid == 0:
        time.sleep(60)
        os._exit(0)
    start = time.monotonic()
    workers.kill()
    assert time.monotonic() - start < 30
    os.kill(pid, 9)
    os.waitpid(pid, 0)
