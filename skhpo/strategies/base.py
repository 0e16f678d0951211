"""What the engine needs from a strategy."""

import warnings
from collections.abc import Sequence
from typing import Protocol

import numpy as np

from skhpo.trial import Candidate, Trial


class Strategy(Protocol):
    """Who is tried next.

    A strategy sees candidates and trials; never data, estimator, splits, workers or
    disk. The engine calls it from one thread only.

    Attributes
    ----------
    needs_gradient : bool
        Whether trials must carry the derivative of a held-out loss.
    max_pending : int or None
        The lag: candidate i is proposed from the trials up to i - max_pending,
        no more and no less, whatever the number of workers. None: nothing is
        learnt from trials, so any number may be pending.
    n_candidates : int or None
        How many candidates there will be at most, None when unknown.
    exhausted_reason : str
        Why ``ask`` gave no further candidate; becomes ``stop_reason_``.
    """

    needs_gradient: bool
    max_pending: int | None
    n_candidates: int | None
    exhausted_reason: str

    def n_needed(self, n_asked: int) -> int:
        """Count the first trials that the next candidate is proposed from.

        Called before each ``ask`` with the number of candidates asked so far; so many
        are told by then, and no more than were ever needed.
        """

    def ask(self, n: int) -> list[Candidate]:
        """Propose at most `n` candidates; called whenever work may be added.

        Fewer than `n` is allowed. An empty list ends the search, unless ``n_needed``
        has become more than the trials told: then it is asked again after these.
        """

    def tell(self, trials: Sequence[Trial]) -> None:
        """Learn from whole trials; called in the order in which they were asked."""


def count_candidates(space, n_iter):
    """Tell how many distinct candidates there will be; warn if fewer than asked for.

    Parameters
    ----------
    space : Space
        Where they come from.
    n_iter : int
        How many were asked for.

    Returns
    -------
    n_candidates : int
        At most the size of the space.
    """
    if space.n_values < n_iter:
        warnings.warn(
            f"n_iter = {n_iter} exceeds the {space.n_values} points of the "
            f"space; all {space.n_values} are evaluated.",
            UserWarning,
            stacklevel=3,
        )
    return min(n_iter, space.n_values)


def mean_score(trial, metric):
    """Average the deciding metric over the splits.

    Parameters
    ----------
    trial : Trial
        With all its splits.
    metric : str or None
        Which of several metrics; None for the first.

    Returns
    -------
    score : float
        NaN if all fits failed, or it is cut off. Rounded: the last bits depend on the
        number of threads of the fits, and would decide between equally good points.
    """
    if trial.status != "complete":
        return np.nan
    scores = [score_of(split.test_scores, metric) for split in trial.splits]
    fraction, exponent = np.frexp(np.mean(scores))
    return float(np.ldexp(np.round(fraction * 2.0**40), exponent - 40))


def score_of(scores, metric):
    """Give one of several metrics, the first one if `metric` is None."""
    if not isinstance(scores, dict):
        return scores
    # A name that does not exist is refused by the search, in scikit-learn's words.
    return scores.get(next(iter(scores)) if metric is None else metric, np.nan)
