"""Searches that make no fit: scores come from a table, everything else is real."""

import time

import numpy as np

from skhpo._engine import Race, run
from skhpo.space import Space
from skhpo.strategies.grid import GridStrategy
from skhpo.trial import SplitResult


class Table:
    """Look scores up, after a nap, in place of an Evaluator."""

    shares = False
    error_score = np.nan

    def __init__(self, scores, naps=None):
        self.scores = scores
        self.naps = naps
        self.evaluated = []

    def evaluate_all(self, units):
        return self.evaluate_batch(units)

    def evaluate_batch(self, units):
        return [self._evaluate(unit) for unit in units]

    def _evaluate(self, unit):
        place = unit.params["row"], unit.split
        self.evaluated.append(place)
        if self.naps is not None:
            time.sleep(self.naps[place])
        score = self.scores[place]
        error = "failed" if np.isnan(score) else None
        return SplitResult(float(score), None, 0.0, 0.0, error)


def replay(scores, rule, lag=4, naps=None, n_jobs=1, table=None):
    """Run the engine on a table; return the trials."""
    n_candidates, n_splits = scores.shape
    race = None if rule is None else Race(rule, lag=lag)
    table = table or Table(scores, naps)
    outcome = run(
        GridStrategy(Space({"row": range(n_candidates)})),
        table,
        n_splits=n_splits,
        race=race,
        n_jobs=n_jobs,
    )
    trials = outcome.trials
    if n_jobs == 1:
        assert sorted(table.evaluated) == [
            (trial.number, split) for trial in trials for split in sorted(trial.done)
        ]
    return trials


def simulate(scores, rule, lag):
    """Race one candidate after another; give the number of splits that each had."""
    n_splits = scores.shape[1]
    done = []
    for i, row in enumerate(scores):
        known = range(max(0, i - lag + 1))
        finished = [
            scores[j]
            for j in known
            if done[j] == n_splits and np.isfinite(scores[j]).all()
        ]
        k = rule.min_splits
        while k < n_splits:
            comparable = finished and np.isfinite(row[:k]).all()
            if comparable and rule(row[:k], np.array(finished)):
                break
            k += 1
        done.append(k)
    return done
