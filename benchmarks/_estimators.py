"""Estimators that spend time or memory in a known way.

They stand in a module of their own so that workers of every backend can import them.
"""

import sys
import time

from sklearn.base import BaseEstimator


class Burner(BaseEstimator):
    """Keep a core busy: `seconds` of CPU time for each fit, nothing for a score."""

    def __init__(self, seconds=0.0, number=0):
        self.seconds = seconds
        self.number = number

    def fit(self, X, y=None):
        if self.seconds:
            end = time.thread_time() + self.seconds
            while time.thread_time() < end:
                pass
        self.fitted_ = True
        return self

    def score(self, X, y=None):
        return float(self.number)


class Sleeper(BaseEstimator):
    """Sleep a time that depends on candidate and split.

    ``X`` is a column with one row for each split, which holds the split's number;
    ``seconds`` says how long the fit on each split takes. The score is best at
    ``x = 0.3``.
    """

    def __init__(self, seconds=(0.0,), x=0.0):
        self.seconds = seconds
        self.x = x

    def fit(self, X, y=None):
        n_splits = len(self.seconds)
        # The split is the number that is missing from the training part.
        split = n_splits * (n_splits - 1) // 2 - int(X.sum())
        time.sleep(self.seconds[split])
        self.fitted_ = True
        return self

    def score(self, X, y=None):
        return -abs(self.x - 0.3) - 0.01 * float(X[0, 0])


class ColumnMeans(BaseEstimator):
    """Read all data and keep next to nothing; dwell where both parts are in memory."""

    def __init__(self, seconds=0.2, number=0):
        self.seconds = seconds
        self.number = number

    def fit(self, X, y=None):
        self.means_ = X.mean(axis=0)
        return self

    def score(self, X, y=None):
        time.sleep(self.seconds)
        return -float(((X.mean(axis=0) - self.means_) ** 2).sum())


class StackRecorder(BaseEstimator):
    """Record who called ``fit``, outermost first, as ``module.function``."""

    stack = ()

    def fit(self, X, y=None):
        frame, names = sys._getframe(1), []
        while frame is not None:
            name = f"{frame.f_globals.get('__name__')}.{frame.f_code.co_name}"
            names.append(name)
            frame = frame.f_back
        type(self).stack = tuple(reversed(names))
        return self

    def score(self, X, y=None):
        return 0.0
