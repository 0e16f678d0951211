"""Fits with little of a resource that may go on with more, instead of starting anew.

A candidate that goes on to the next rung with more trees is fitted to the same data
with the same seeds: its first trees are those that it had. Where this process still has
them, and the family of the estimator says that nothing differs by it, the fit goes on
from them. Where it has not, the fit starts anew; scores do not tell which.
"""

import pickle
from collections import Counter
from math import isnan

from skhpo._evaluation.keeping import Keeper
from skhpo.reuse import grown, is_size, may_grow

# Of fits that wait, in each process.
MAX_KEPT_BYTES = 256 * 2**20


class Unfinished(Keeper):
    """Fits that may go on.

    Parameters
    ----------
    resource : str
        Name of the parameter.
    metric : str or None
        Which of several metrics says what is likely to go on.
    estimator : estimator
        Of the search; its class is tried here, before threads are at work.
    """

    def __init__(self, resource, metric, estimator):
        super().__init__()
        self._resource = resource
        self._metric = metric
        is_size(resource, estimator)

    def go_on(self, unit, estimator, train):
        """Fit by going on from what was kept, if anything was.

        Parameters
        ----------
        unit : Unit
            What is to be evaluated.
        estimator : estimator
            Of it, not fitted.
        train : Part
            Training data.

        Returns
        -------
        estimator : estimator or None
            Fitted. None if the fit has to start anew.
        """
        kept = self._kept.pop((unit.follows, unit.split), None)
        if kept is None:
            return None
        _, _, fitted = kept
        try:
            return grown(fitted, estimator, train.X, train.y, train.params)
        except Exception:
            return None  # a fit of its own says what is wrong

    def keep(self, unit, estimator, scores):
        """Keep a fit, if it may go on, in place of those with lower scores.

        Parameters
        ----------
        unit : Unit
            What was evaluated.
        estimator : estimator
            Fitted; it belongs to nobody else.
        scores : float or dict of str to float
            Of the test part.
        """
        if not is_size(self._resource, estimator) or not may_grow(estimator):
            return
        score = scores[self._metric] if isinstance(scores, dict) else scores
        n_bytes = _n_bytes_of(estimator)
        if isnan(score) or n_bytes is None:
            return
        self._kept[unit.number, unit.split] = score, n_bytes, estimator
        self._drop_the_last()

    def _drop_the_last(self):
        """Drop what scores worst on its split, until the rest is small enough."""
        kept = [*self._kept.items()]  # threads may take some away at the same time
        if sum(n_bytes for _, (_, n_bytes, _) in kept) <= MAX_KEPT_BYTES:
            return
        places, n_better = [], Counter()
        for key, (_, n_bytes, _) in sorted(kept, key=lambda item: -item[1][0]):
            places.append((n_better[key[1]], key, n_bytes))
            n_better[key[1]] += 1
        n_left = MAX_KEPT_BYTES
        for _, key, n_bytes in sorted(places):
            n_left -= n_bytes
            if n_left < 0:
                self._kept.pop(key, None)


class _Size:
    """A file that only counts what is written to it."""

    def __init__(self):
        self.n_bytes = 0

    def write(self, data):
        self.n_bytes += len(data)


def _n_bytes_of(estimator):
    """Tell how large an estimator is; None if it cannot be told."""
    size = _Size()
    try:
        pickle.Pickler(
            size,
            protocol=5,
            buffer_callback=lambda buffer: size.write(buffer.raw()),
        ).dump(estimator)
    except Exception:
        return None
    return size.n_bytes
