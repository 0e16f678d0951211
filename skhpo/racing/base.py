"""What a search needs from a racing rule, and what rules have in common."""

from typing import Protocol

import numpy as np


class RacingRule(Protocol):
    """Whether a candidate is given up before all its splits.

    It has to be a function of its arguments alone: the same scores, the same answer.
    A plain function will do; then ``min_splits`` is 1.

    Attributes
    ----------
    min_splits : int
        Splits of a candidate before it is judged for the first time.
    """

    min_splits: int

    def __call__(self, running: np.ndarray, finished: np.ndarray) -> bool:
        """Tell whether to give up a candidate.

        Called after each of its splits from ``min_splits`` on, but the last.

        Parameters
        ----------
        running : ndarray of shape (n_done,)
            Its scores on the first splits, larger is better; finite.
        finished : ndarray of shape (n_finished, n_splits)
            Scores of earlier candidates on all splits, in their order; finite, and of
            at least one. To be left as they are.
        """


def incumbent(finished):
    """Find the best of the candidates that have all their splits.

    Parameters
    ----------
    finished : ndarray of shape (n_finished, n_splits)
        Scores, larger is better.

    Returns
    -------
    scores : ndarray of shape (n_splits,)
        Those of the highest mean; of several, the first, as in a search.
    """
    return finished[finished.mean(axis=1).argmax()]


def check_min_splits(value, least=1):
    """Raise unless `value` is a number of splits.

    Parameters
    ----------
    value : object
        As the user gave it.
    least : int, default=1
        Fewest splits from which the rule can tell something.

    Raises
    ------
    ValueError
        If it is no int of at least `least`.
    """
    if isinstance(value, bool) or not isinstance(value, int) or value < least:
        raise ValueError(f"min_splits = {value!r} must be an int of at least {least}.")
