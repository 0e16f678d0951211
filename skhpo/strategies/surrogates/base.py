"""What a search needs from a surrogate."""

from collections.abc import Callable
from typing import Protocol

import numpy as np

from skhpo.gp.domain import Domain


class Surrogate(Protocol):
    """A model of the losses, and its use to say what to try next.

    It may keep what spares it work, such as hyperparameters to start from; a search
    copies the one it is given. ``predicts`` tells whether there is a predictor. Where
    there is an attribute ``step``, it is set before each proposal: by how much a loss
    changes at least if it changes, one sample for an accuracy; 0 if that is not known.
    """

    predicts: bool

    def propose(
        self,
        domain: Domain,
        x: np.ndarray,
        losses: np.ndarray,
        pending: np.ndarray,
        number: int,
        rng: np.random.Generator,
    ) -> np.ndarray:
        """Rank points that may be worth trying.

        Called once for each candidate after the start design.

        Parameters
        ----------
        domain : Domain
            Where the points live.
        x : ndarray of shape (n, d)
            Model points of the trials so far; there may be none. With ``fidelity`` the
            last column holds what each lacked of the resource, off the grid of that
            column, which is 0 alone; ``domain.canonical`` gives the points with
            everything.
        losses : ndarray of shape (n,)
            Their losses, smaller is better; NaN or infinite where the fits failed.
        pending : ndarray of shape (n_pending, d)
            Points under way.
        number : int
            Number of the candidate that is asked for.
        rng : numpy.random.Generator
            Seeded for this candidate.

        Returns
        -------
        ranked : ndarray of shape (m, d)
            Model points, most promising first. The first that is new is taken.
        """
        ...

    def predictor(self, domain: Domain, x: np.ndarray, losses: np.ndarray) -> Callable:
        """Give a function from model points to mean and standard deviation of losses.

        Called after a search, and with a ``fidelity`` after each rung, if the surrogate
        predicts losses at all.
        """
        ...
