"""Which candidates are given up before all their splits, whatever workers do when.

A candidate is judged after each of its splits from the rule's first on, against the
candidates that lie ``LAG`` or more back, all of them finished. That is a function of
scores alone; what workers have done by then of other candidates does not count.
"""

import numpy as np

# How far back those candidates lie. doc/decisions/racing_with_a_lag.rst
LAG = 4


class Race:
    """Judge candidates by a rule.

    Parameters
    ----------
    rule : RacingRule
        Says whether one is given up.
    metric : str, default=None
        Which of several metrics counts.
    lag : int, default=LAG
        Candidate i is judged against those up to i - lag.
    """

    def __init__(self, rule, metric=None, lag=LAG):
        self.lag = lag
        self.min_splits = getattr(rule, "min_splits", 1)
        self._rule = rule
        self._metric = metric
        self._rows = None  # scores of those with all their splits, and room for more
        self._n_rows = []  # how many of them there were after each trial

    def add(self, trial):
        """Take in a finished trial; called in the order of their numbers."""
        n_rows = self._n_rows[-1] if self._n_rows else 0
        if not trial.cut_off:
            scores = self._scores(trial.splits)
            # What failed is nothing to measure others by.
            if np.isfinite(scores).all():
                self._append(scores, n_rows)
                n_rows += 1
        self._n_rows.append(n_rows)

    def gives_up(self, number, results):
        """Tell whether a candidate is given up.

        Parameters
        ----------
        number : int
            Of the candidate; those that it is judged against are finished.
        results : list of SplitResult
            Of its first splits.

        Returns
        -------
        gives_up : bool
            False if there is nothing to compare it with, or one of its scores is not
            finite.
        """
        last = number - self.lag
        n_rows = self._n_rows[last] if last >= 0 else 0
        running = self._scores(results)
        if n_rows == 0 or not np.isfinite(running).all():
            return False
        finished = self._rows[:n_rows]
        finished.flags.writeable = False
        return bool(self._rule(running, finished))

    def _scores(self, results):
        return np.array([self._score(result.test_scores) for result in results])

    def _score(self, scores):
        if not isinstance(scores, dict):
            return float(scores)
        if self._metric not in scores:
            raise ValueError(
                f"scoring returns the metrics {sorted(scores)}; racing needs to know "
                "which one decides. Give its name as refit."
            )
        return float(scores[self._metric])

    def _append(self, scores, n_rows):
        if self._rows is None:
            self._rows = np.empty((16, len(scores)))
        elif n_rows == len(self._rows):
            self._rows = np.concatenate([self._rows, np.empty_like(self._rows)])
        self._rows[n_rows] = scores
