"""Distinct random candidates: scikit-learn's sequence, or a Sobol design."""

import sys
import warnings
from itertools import chain, islice

import numpy as np
from scipy.stats import qmc
from sklearn.model_selection import ParameterSampler
from sklearn.utils import check_random_state
from sklearn.utils.random import sample_without_replacement

from skhpo.space import candidate_key
from skhpo.strategies.base import count_candidates
from skhpo.trial import Candidate

# A space whose size is unknown (a distribution of the user's own, or one with very
# unlikely values) counts as exhausted after this many repeats in a row.
MAX_REPEATS = 10_000

# Up to this many rows the ones left over after the first pass are drawn exactly.
MAX_SHUFFLED_ROWS = 1_000_000


class RandomStrategy:
    """Draw every candidate independently of the past, none twice.

    Parameters
    ----------
    space : Space
        Where to draw from.
    n_iter : int
        How many distinct candidates to propose.
    random_state : int, RandomState instance or None
        As in scikit-learn. Anything but an int is shared with the caller, so all
        candidates are then drawn before the first fit, as RandomizedSearchCV does.
    design : {"random", "sobol"}, default="random"
        Independent draws, or a scrambled Sobol sequence over the unit cube [1]_.
    n_planned : int, default=None
        The `n_iter` of which the candidates are the first ones; None for this one.

    References
    ----------
    .. [1] A. B. Owen, "Scrambling Sobol' and Niederreiter-Xing points", 1998.
    """

    needs_gradient = False
    max_pending = None

    def __init__(self, space, n_iter, random_state, design="random", n_planned=None):
        self.space = space
        self.n_iter = n_iter
        self.n_candidates = count_candidates(space, n_iter)
        self.exhausted_reason = "n_iter candidates evaluated"
        if self.n_candidates < n_iter:
            self.exhausted_reason = "search space exhausted"
        self._seen = set()
        rng = check_random_state(random_state)
        draw = _sobol_candidates if design == "sobol" else _random_candidates
        self._candidates = self._distinct(draw(space, n_planned or n_iter, rng))
        if not isinstance(random_state, int | np.integer):
            self._candidates = iter(list(self._candidates))

    def n_needed(self, n_asked):
        """Nothing is learnt from trials."""
        return 0

    def ask(self, n):
        """Propose the next `n` candidates that were not proposed before."""
        return list(islice(self._candidates, n))

    def tell(self, trials):
        """Nothing to learn."""

    def _distinct(self, candidates):
        """Yield the candidates that are new, until there are ``n_iter`` of them."""
        n_repeats = 0
        for candidate in candidates:
            if candidate.key in self._seen:
                n_repeats += 1
            else:
                self._seen.add(candidate.key)
                n_repeats = 0
                yield candidate
            if len(self._seen) >= self.n_candidates or n_repeats > MAX_REPEATS:
                break
        if len(self._seen) < self.n_iter:
            self.exhausted_reason = "search space exhausted"
            if len(self._seen) < self.n_candidates:
                warnings.warn(
                    f"{MAX_REPEATS} draws in a row gave nothing new; of n_iter = "
                    f"{self.n_iter} candidates the {len(self._seen)} found are "
                    "evaluated. Values that are less likely are left out: give them "
                    "as a list.",
                    UserWarning,
                    stacklevel=2,
                )


def _random_candidates(space, n_iter, rng):
    """Yield RandomizedSearchCV's candidates for this `rng`, and draw on past them."""
    if not space.all_lists:
        draws = ParameterSampler(space.distributions, sys.maxsize, random_state=rng)
    elif space.n_rows > sys.maxsize:
        draws = _independent_rows(space, rng)
    else:
        n_first = min(n_iter, space.n_rows)
        first = ParameterSampler(space.distributions, n_first, random_state=rng)
        draws = chain(first, _further_rows(space, rng))
    for params in draws:
        yield Candidate(params, key=candidate_key(params))


def _further_rows(space, rng):
    """Yield grid rows after the first ``n_iter`` held repeats of one another."""
    if space.n_rows > MAX_SHUFFLED_ROWS:
        yield from _independent_rows(space, rng)
    else:
        rows = sample_without_replacement(space.n_rows, space.n_rows, random_state=rng)
        yield from (space.grid_row(row) for row in rows)


def _independent_rows(space, rng):
    """Yield grid rows drawn with replacement, from a grid of any size."""
    while True:
        # 53 bits of a float do not reach every row of a huge grid; digits do.
        words = rng.randint(0, 2**32, size=1 + space.n_rows.bit_length() // 32)
        number = int.from_bytes(words.astype("<u4").tobytes(), "little")
        yield space.grid_row(number * space.n_rows >> (32 * len(words)))


def _sobol_candidates(space, n_iter, rng):
    """Yield the candidates at the points of a scrambled Sobol sequence."""
    seed = np.random.default_rng(rng.randint(np.iinfo(np.int32).max))
    if space.n_dims == 0:
        points = np.empty((1, 0))
        yield space.candidate(points[0])
        return
    sobol = qmc.Sobol(space.n_dims, scramble=True, seed=seed)
    # Powers of two keep the sequence balanced, and the rest is drawn on demand.
    exponent = max(n_iter - 1, 1).bit_length()
    while True:
        for point in sobol.random_base2(exponent):
            yield space.candidate(point, with_tails=True)
        exponent = int(sobol.num_generated).bit_length() - 1
