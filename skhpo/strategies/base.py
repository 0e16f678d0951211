"""What the engine needs from a strategy."""

import warnings
from collections.abc import Sequence
from typing import Protocol

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

    def ask(self, n: int) -> list[Candidate]:
        """Propose at most `n` candidates; called whenever work may be added.

        Fewer than `n` is allowed; an empty list ends the search.
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
