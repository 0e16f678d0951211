"""Every point of a grid, in scikit-learn's order."""

from itertools import islice

from skhpo.space import candidate_key
from skhpo.trial import Candidate


class GridStrategy:
    """Propose the points of a finite space one after the other, never a list of all.

    Parameters
    ----------
    space : Space
        A space whose dimensions are all finite.
    """

    needs_gradient = False
    max_pending = None
    exhausted_reason = "all candidates evaluated"

    def __init__(self, space):
        self.space = space
        self.n_candidates = space.n_rows
        self._grid = space.grid()
        # A key for each row costs memory; most grids cannot repeat a row.
        self._key = candidate_key if space.has_duplicates else lambda params: None

    def n_needed(self, n_asked):
        """Nothing is learnt from trials."""
        return 0

    def ask(self, n):
        """Propose the next `n` points."""
        return [
            Candidate(params, key=self._key(params)) for params in islice(self._grid, n)
        ]

    def tell(self, trials):
        """Nothing to learn."""
