"""Find the model point where an acquisition function is largest.

A pool of points spread over the whole domain and of small changes to the best
observations is looked at in one call. From the best of them, numbers climb along the
gradient, all starts in one run of L-BFGS-B; categories and short grids move by the best
single change; both in turns, since each changes what the other can gain. Changes to the
best observations matter more than gradients where there are many columns [1]_.

References
----------
.. [1] L. Papenmeier, M. Poloczek and L. Nardi, "Understanding high-dimensional
   Bayesian optimization", 2025.
"""

import numpy as np
from scipy.optimize import minimize
from scipy.stats import qmc

N_SPREAD = 1024
N_CHANGED = 512
N_STARTS = 8
N_BEST = 5
# A grid of up to so many values is searched by moves, a longer one is climbed as if it
# were continuous, and then by moves to its neighbours.
MAX_SHORT_GRID = 16
# Of a category with more levels, so many random ones are tried at a time.
MAX_LEVELS = 64
_NEAR = np.array([-2, -1, 1, 2])
_N_SWEEPS = 2
# So many of the starts go on after the first sweep.
_N_FINALISTS = 3
_CHANGE_RANGE = (0.02, 0.2)


def maximize(acquisition, domain, best, rng, *, n_spread=N_SPREAD):
    """Search the domain for the largest values of an acquisition function.

    Parameters
    ----------
    acquisition : Acquisition
        ``value(Z)`` gives an array of shape (m,), ``value_and_gradient(Z)`` that and
        one of shape (m, p), for features Z of shape (m, p).
    domain : Domain
        Where to search.
    best : ndarray of shape (n_best, d)
        The best observations, best first.
    rng : numpy.random.Generator
        Decides the pool and the starts.
    n_spread : int, default=1024
        Number of points spread over the domain.

    Returns
    -------
    x : ndarray of shape (m, d)
        Model points that were looked at, most promising first.
    """
    spread = domain.from_uniform(spread_points(domain.n_columns, n_spread, rng))
    changed = change(domain, best[:N_BEST], rng, n_spread * N_CHANGED // N_SPREAD)
    pool = np.vstack([spread, changed, best[:1]])
    values = acquisition.value(domain.features(pool))
    starts = _choose_starts(values, domain.branch(pool), rng)
    x, own = pool[starts], values[starts]
    for _ in range(_N_SWEEPS):
        x, own = _climb(acquisition, domain, x, own)
        x, own, moved = _move(acquisition, domain, x, own, rng)
        pool, values = np.vstack([x, pool]), np.append(own, values)
        if not moved:
            break
        finalists = np.argsort(-own, kind="stable")[:_N_FINALISTS]
        x, own = x[finalists], own[finalists]
    return pool[np.argsort(-values, kind="stable")]


def spread_points(n_columns, n, rng):
    """Draw points of a scrambled Sobol sequence.

    Parameters
    ----------
    n_columns : int
        Number of coordinates.
    n : int
        Number of points.
    rng : numpy.random.Generator
        Scrambles.

    Returns
    -------
    u : ndarray of shape (n, n_columns)
        In [0, 1).
    """
    if n_columns == 0:
        return np.empty((n, 0))
    exponent = max(n - 1, 1).bit_length()
    return qmc.Sobol(n_columns, scramble=True, seed=rng).random_base2(exponent)[:n]


def change(domain, x, rng, n):
    """Change some columns of points a little, within their branches.

    Parameters
    ----------
    domain : Domain
        Where the points lie.
    x : ndarray of shape (n_points, d)
        What is changed.
    rng : numpy.random.Generator
        Decides the changes.
    n : int
        Number of points to make.

    Returns
    -------
    changed : ndarray of shape (n, d)
        Model points.
    """
    x = x[rng.integers(len(x), size=n)]
    may = domain.movable[domain.branch(x)]
    # One or two columns of most points, all of every fourth.
    order = np.where(may, rng.random(may.shape), 2).argsort(axis=1).argsort(axis=1)
    n_changes = np.where(np.arange(n) % 4 == 3, may.shape[1], rng.integers(1, 3, n))
    which = may & (order < n_changes[:, None])
    low, high = np.log(_CHANGE_RANGE)
    size = np.exp(rng.uniform(low, high, (n, 1)))
    numbers = np.abs(x + size * rng.normal(size=x.shape))
    numbers = np.clip(np.where(numbers > 1, 2 - numbers, numbers), 0, 1)
    levels = np.floor(rng.random(x.shape) * domain.n_levels)
    return domain.canonical(
        np.where(which, np.where(domain.categorical, levels, numbers), x)
    )


def _choose_starts(values, branch, rng):
    """Choose the best point of all and of each branch, and some other good ones."""
    order = np.argsort(-values, kind="stable")
    _, first = np.unique(branch[order], return_index=True)
    chosen = list(order[np.sort(first)][: N_STARTS // 2])
    if len(values) - 1 not in chosen:  # the best observation stands last
        chosen.append(len(values) - 1)
    good = order[: max(N_STARTS, len(values) // 20)]
    good = rng.permutation([i for i in good if i not in chosen])
    return np.append(chosen, good[: N_STARTS - len(chosen)]).astype(int)


def _climb(acquisition, domain, x, values):
    """Follow the gradient in the numeric columns, from all points together.

    Returns the points, and the acquisition there.
    """
    climbs = [
        domain.columns[j].grid is None or len(domain.columns[j].grid) > MAX_SHORT_GRID
        for j in domain.numeric
    ]
    columns = domain.numeric[climbs]
    features = domain.numeric_features[climbs]
    free = domain.active[domain.branch(x)][:, columns]
    if not free.any():
        return x, values
    Z = domain.features(x)
    numbers = x[:, columns]

    def loss(free_numbers):
        numbers[free] = free_numbers
        Z[:, features] = numbers
        value, gradient = acquisition.value_and_gradient(Z)
        return -value.sum(), -gradient[:, features][free]

    result = minimize(
        loss,
        numbers[free],
        jac=True,
        method="L-BFGS-B",
        bounds=[(0, 1)] * int(free.sum()),
        options={"maxiter": 30, "maxfun": 40, "ftol": 1e-4, "gtol": 1e-4},
    )
    climbed = x.copy()
    numbers[free] = result.x
    climbed[:, columns] = numbers
    climbed = domain.canonical(climbed)
    # The sum grew; a point of its own may have lost, or have been rounded down.
    reached = acquisition.value(domain.features(climbed))
    better = reached > values
    return np.where(better[:, None], climbed, x), np.where(better, reached, values)


def _move(acquisition, domain, x, values, rng):
    """Make the best change of a single category or grid value of each point.

    Returns the points, the acquisition there, and whether any has moved.
    """
    x, values = x.copy(), values.copy()
    moved = np.arange(len(x))
    for sweep in range(_N_SWEEPS):
        # Who has not moved has looked at its neighbours.
        neighbours, owner = _neighbours(domain, x[moved], rng)
        if len(neighbours) == 0:
            return x, values, sweep > 0
        others = acquisition.value(domain.features(neighbours))
        # The best one of each, the first of those that tie.
        order = np.lexsort((-others, owner))
        own, first = np.unique(owner[order], return_index=True)
        best, own = order[first], moved[own]
        better = others[best] > values[own]
        best, moved = best[better], own[better]
        x[moved], values[moved] = neighbours[best], others[best]
        if len(moved) == 0:
            return x, values, sweep > 0
    return x, values, True


def _neighbours(domain, x, rng):
    """List the single changes of each point, and the point that each belongs to."""
    changed, owner = [], []
    branch = domain.branch(x)
    for j, column in enumerate(domain.columns):
        rows = np.flatnonzero(domain.movable[branch, j])
        own = x[rows, j][:, None]
        if column.n_levels:
            values = np.arange(column.n_levels, dtype=float)
            if len(values) > MAX_LEVELS:
                values = rng.choice(values, MAX_LEVELS, replace=False)
            others = np.repeat(values[None], len(rows), axis=0)
        elif column.grid is None:
            continue
        elif len(column.grid) <= MAX_SHORT_GRID:
            others = np.repeat(column.grid[None], len(rows), axis=0)
        else:
            near = np.searchsorted(column.grid, own) + _NEAR
            others = column.grid[np.clip(near, 0, len(column.grid) - 1)]
        which, place = np.nonzero(others != own)
        points = x[rows[which]]
        points[:, j] = others[which, place]
        changed.append(points)
        owner.append(rows[which])
    if not changed:
        return np.empty((0, x.shape[1])), np.array([], dtype=int)
    return np.vstack(changed), np.concatenate(owner)
