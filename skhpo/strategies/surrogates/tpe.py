"""Tree-structured Parzen estimators: densities of good and of bad candidates.

====================  ===========  ====================================================
symbol                shape        meaning
====================  ===========  ====================================================
x                     (n, d)       model points; those of a column that does not exist
                                   in their branch say nothing of it
gamma(n)              scalar       number of good points, min(ceil(0.1 n), 25)
l, g                               mixtures of product kernels at the good, and at the
                                   bad points, each with a uniform component
h                     scalar       bandwidth of numeric columns, for k points
                                   0.2 k^(-1 / (d + 4))
epsilon               scalar       chance that a category is drawn anew, 1 / (k + 1)
====================  ===========  ====================================================

Candidates are drawn from l, and the one with the largest l / g comes first, which is
where expected improvement is largest under these densities [1]_. The kernels are
multivariate [2]_: a point of the mixture is one observation in all its columns, so that
what was good together stays together, and only columns of its own branch count.
Candidates under way count as bad, which keeps the next ones away from them.

References
----------
.. [1] J. Bergstra, R. Bardenet, Y. Bengio and B. Kegl, "Algorithms for hyper-parameter
   optimization", 2011.
.. [2] S. Falkner, A. Klein and F. Hutter, "BOHB: robust and efficient hyperparameter
   optimization at scale", 2018.
.. [3] S. Watanabe, "Tree-structured Parzen estimator: understanding its algorithm
   components and their roles for better empirical performance", 2023.
"""

import numpy as np
from scipy.special import logsumexp, ndtr, ndtri

N_DRAWS = 64
_GOOD_SHARE = 0.1
_MAX_GOOD = 25
_BANDWIDTH = 0.2


class TPESurrogate:
    """Tree-structured Parzen estimators, multivariate.

    It models where good candidates lie, not their scores, so a search with it has no
    ``surrogate_``.
    """

    predicts = False

    def propose(self, domain, x, losses, pending, number, rng):
        """Draw points where good candidates are dense, and rank them by l / g."""
        n = len(x)
        if n == 0:
            return x
        order = np.argsort(np.where(np.isfinite(losses), losses, np.inf), kind="stable")
        n_good = min(int(np.ceil(_GOOD_SHARE * n)), _MAX_GOOD)
        good = _Mixture(domain, x[order[:n_good]])
        bad = _Mixture(domain, np.vstack([x[order[n_good:]], pending]))
        points = good.draw(N_DRAWS, rng)
        ratio = good.log_density(points) - bad.log_density(points)
        return points[np.argsort(-ratio, kind="stable")]


class _Mixture:
    """A uniform density, and one kernel for each point."""

    def __init__(self, domain, x):
        self._domain = domain
        self._x = x
        self._h = _BANDWIDTH * max(len(x), 1) ** (-1 / (domain.n_columns + 4))
        self._epsilon = 1 / (len(x) + 1)

    def log_density(self, points):
        """Give the log density at `points`, up to a constant of their branch."""
        domain, x = self._domain, self._x
        same_branch = domain.branch(points)[:, None] == domain.branch(x)
        log_kernels = np.where(same_branch, np.log(domain.n_branches), -np.inf)
        movable = domain.movable[domain.branch(points)]
        for j, column in enumerate(domain.columns):
            if column.n_levels:
                term = self._log_category(points[:, [j]], x[:, j], column.n_levels)
            else:
                term = self._log_number(points[:, [j]], x[:, j])
            log_kernels += np.where(movable[:, [j]], term, 0)
        # The uniform component has density one.
        terms = np.hstack([np.zeros((len(points), 1)), log_kernels])
        return logsumexp(terms, axis=1) - np.log(len(x) + 1)

    def draw(self, n, rng):
        """Draw `n` points."""
        domain = self._domain
        points = domain.from_uniform(rng.random((n, domain.n_columns)))
        owner = rng.integers(len(self._x) + 1, size=n)
        kernel = owner < len(self._x)  # the others stay uniform
        centres = self._x[owner[kernel]]
        u = rng.random(centres.shape)
        low, high = ndtr(-centres / self._h), ndtr((1 - centres) / self._h)
        numbers = centres + self._h * ndtri(low + u * (high - low))
        anew = rng.random(centres.shape) < self._epsilon
        anew &= domain.movable[domain.branch(centres)]
        levels = np.where(anew, np.floor(u * domain.n_levels), centres)
        drawn = np.where(domain.categorical, levels, np.clip(numbers, 0, 1))
        points[kernel] = domain.canonical(drawn)
        return points

    def _log_category(self, values, centres, n_levels):
        share = self._epsilon / n_levels
        # Relative to the uniform component, whose share is 1 / n_levels.
        return np.log(n_levels * ((values == centres) * (1 - self._epsilon) + share))

    def _log_number(self, values, centres):
        h = self._h
        mass = ndtr((1 - centres) / h) - ndtr(-centres / h)
        z = (values - centres) / h
        return -0.5 * z**2 - np.log(np.sqrt(2 * np.pi) * h * mass)
