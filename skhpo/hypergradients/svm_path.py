"""Support vector machines of Gaussian kernels, solved as their hyperparameters move.

====================  ===========  ====================================================
symbol                shape        meaning
====================  ===========  ====================================================
D, D_new              (n, n),      squared distances in the training part, and from it
                      (n, n_new)   to the held-out part
K, K_new              as D         kernels, exp(-gamma D); computed are the rows of I
                                   and B, and of what was in them at this gamma
beta, b               (n,), scalar dual coefficients and intercept, f = K beta + b
                                   and f_new = K_new' beta + b
side                  (n,)         sign of beta; 0 where it is zero
limit                 (n,)         C times the weight of a sample
epsilon               scalar       errors of a regression that cost nothing; else 0
I, B                  sets         free samples, 0 < |beta| < limit, and bound ones
r                     (n,)         f - y
d                     (n_new,)     derivative of the held-out loss by f
a, c                  (|I|,),      adjoint: K_II a + c = - K_new_I d, sum(a) = - sum(d)
                      scalar
====================  ===========  ====================================================

If I and B are known, the free beta and b solve linear equations: ``r_I = - epsilon
side_I`` and ``sum(beta) = 0``. Where a beta leaves its range, or another sample lies on
the wrong side of its margin, the sets are changed, all at once, and the equations are
solved again [1]_. From the sets of a place nearby it takes few changes; where they
come to no end, as they need not, libsvm finds the sets.

References
----------
.. [1] M. Hintermueller, K. Ito and K. Kunisch, "The primal-dual active set strategy as
   a semismooth Newton method", SIAM Journal on Optimization 2003.
"""

from functools import cached_property, partial
from typing import NamedTuple

import numpy as np
from scipy.linalg.lapack import dpotrf, dpotrs

from skhpo.hypergradients.base import Derivative, difference, packed, polish, solve
from skhpo.hypergradients.kernel import base_of
from skhpo.hypergradients.path import Solutions, lagrangian_of, on_the_way

# Changes of the sets, and so many in a row that leave no fewer samples to change.
_MAX_CHANGES = 20
_MAX_IN_VAIN = 3
# Of the way to a place, what is gone at once at least.
_LEAST_STEP = 1 / 8
# Of the limits, and of the targets, what counts as reached.
_TOL = 1e-8
# Of the mean of the diagonal, what keeps equations regular; what is left of them.
_JITTER = 1e-12
_LEFT = 1e-10
_MAX_REFINEMENTS = 5


class Sets(NamedTuple):
    """Which samples of a machine have a dual coefficient, and on which side.

    Parameters
    ----------
    side : ndarray of shape (n,)
        Its sign, 0 without one.
    is_bound : ndarray of bool of shape (n,)
        Whether it is at its limit.
    """

    side: np.ndarray
    is_bound: np.ndarray


class _Kernel:
    """A Gaussian kernel whose rows are computed when they are needed.

    Parameters
    ----------
    D : ndarray of shape (n, m)
        Squared distances.
    """

    def __init__(self, D):
        self.D = D
        self._K = np.empty_like(D)
        self._is_filled = np.zeros(len(D), dtype=bool)
        self._gamma = None

    def move(self, gamma):
        """Be the kernel of another gamma; called before rows are asked for."""
        if gamma != self._gamma:
            self._gamma = gamma
            self._is_filled[:] = False

    def rows(self, rows):
        """Give a copy of some of its rows, of shape (n_rows, m)."""
        missing = rows[~self._is_filled[rows]]
        self._K[missing] = np.exp(self.D[missing] * -self._gamma)
        self._is_filled[missing] = True
        return self._K[rows]

    def weighted(self, weights):
        """Sum its rows with weights of shape (n,)."""
        rows = np.flatnonzero(weights)
        return weights[rows] @ self.rows(rows)


class _FreeEquations:
    """The equations of the free samples, ``K_II x + b = h`` and ``sum(x) = total``."""

    def __init__(self, K):
        self._K = K
        H = K.copy()
        H.flat[:: len(H) + 1] += _JITTER * np.trace(H) / len(H)
        self._factor, failed = dpotrf(H, overwrite_a=True)
        if failed:
            raise np.linalg.LinAlgError
        self._ones = dpotrs(self._factor, np.ones(len(K)))[0]
        self._sum = self._ones.sum()

    def roughly(self, h, total):
        """Give x and b of equations that the jitter has made a little other ones."""
        x = dpotrs(self._factor, h)[0]
        b = (x.sum() - total) / self._sum
        return x - b * self._ones, b

    def solve(self, h, total):
        """Give x and b, by refinement."""
        x, b = self.roughly(h, total)
        size = np.abs(h).max() or 1.0
        for _ in range(_MAX_REFINEMENTS):
            left, left_total = h - self._K @ x - b, total - x.sum()
            if np.abs(left).max() <= _LEFT * size:
                break
            dx, db = self.roughly(left, left_total)
            x, b = x + dx, b + db
        return x, b


class _Dual:
    """The dual of one machine, at some values of its hyperparameters.

    Parameters
    ----------
    K : _Kernel of shape (n, n)
        Kernel of the training part.
    y : ndarray of shape (n,)
        Targets; of two classes -1 and 1.
    limit : ndarray of shape (n,)
        Largest dual coefficients.
    epsilon : float or None
        Of a regression; None for two classes.

    Attributes
    ----------
    sets : Sets
        At the solution.
    free, bound : ndarray of int
        Its samples.
    beta : ndarray of shape (n,)
        Its dual coefficients.
    b : float
        Its intercept.
    equations : _FreeEquations
        Of the free samples.
    """

    def __init__(self, K, y, limit, epsilon):
        self._is_regression = epsilon is not None
        # The solution moves with the targets, its tolerance must not.
        self._centre = y.mean() if self._is_regression else 0.0
        self.K, self.y, self.limit = K, y - self._centre, limit
        self.epsilon = epsilon or 0.0
        self._tol = _TOL * max(np.abs(self.y).max(), 1e-300)

    def solve(self, sets):
        """Find the solution, beginning at sets from nearby.

        Returns
        -------
        bool
            Whether there was an end, with a free sample that is at no end of its range;
            otherwise the attributes are not to be used.

        Raises
        ------
        LinAlgError
            If the equations of some sets are singular.
        """
        side, is_bound = sets.side.copy(), sets.is_bound.copy()
        fewest, in_vain = np.inf, 0
        for _ in range(_MAX_CHANGES):
            free = np.flatnonzero((side != 0) & ~is_bound)
            if not len(free):
                return False
            bound = np.flatnonzero(is_bound)
            beta = np.zeros(len(side))
            beta[bound] = side[bound] * self.limit[bound]
            of_bound = self.K.weighted(beta)
            rows = self.K.rows(free)
            equations = _FreeEquations(rows[:, free])
            h = self.y[free] - self.epsilon * side[free] - of_bound[free]
            total = -beta[bound].sum()
            for find in (equations.roughly, equations.solve):
                own, b = find(h, total)
                r = of_bound + own @ rows + b - self.y
                size, most = side[free] * own, self.limit[free]
                reach = _TOL * np.minimum(most, np.abs(own).max())
                to_zero, to_limit = free[size < -reach], free[size > most + reach]
                is_beyond = side[bound] * r[bound] + self.epsilon > self._tol
                released = bound[is_beyond]
                entering, new_side = self._entering(side, r)
                changes = to_zero, to_limit, released, entering
                n = sum(map(len, changes))
                if n:
                    break
            else:
                self.sets, self.b = Sets(side, is_bound), b + self._centre
                self.free, self.bound, self.equations = free, bound, equations
                beta[free] = own
                self.beta = beta
                # If all are at ends of their ranges, so is b of its own.
                return bool(((size > reach) & (size < most - reach)).any())
            in_vain = 0 if n < fewest else in_vain + 1
            if in_vain == _MAX_IN_VAIN:
                return False
            fewest = min(fewest, n)
            side[to_zero] = 0
            is_bound[to_limit], is_bound[released] = True, False
            side[entering] = new_side
        return False

    def _entering(self, side, r):
        """List samples without a dual coefficient that want one, and on which side."""
        wanted = -np.sign(r) if self._is_regression else self.y
        beyond = wanted * r + self.epsilon < -self._tol
        samples = np.flatnonzero((side == 0) & (self.limit > 0) & beyond)
        return samples, wanted[samples]


class MachinePath(Solutions):
    """Solutions of support vector machines on one split, as hyperparameters move.

    Parameters
    ----------
    equations : SVCEquations or SVREquations
        Of the fit that it begins at.
    params : dict of str to object
        Parameters of the estimator there.
    names : list of str
        Those of them that move.
    X, X_new : {ndarray, sparse matrix} of shape (n, p) and (n_new, p)
        Features of the training and of the held-out part.
    held_out : callable
        ``held_out(f)`` gives the loss of outputs, and its derivative by them.
    """

    costly = True

    def __init__(self, equations, params, names, X, X_new, held_out):
        self._equations = equations
        # What gamma is, where a rule says so.
        self._params = {**params, "gamma": equations.params["gamma"]}
        self._names = names
        self._X, self._X_new = X, X_new
        self._held_out = held_out
        self._fit = self._values({})
        # From the nearest of these the next one begins.
        self._known = [(self._fit, _sets_of(equations))]
        self._told = {}

    @property
    def n_bytes(self):
        # Of the distances and of the kernels.
        sizes = [len(rows) for rows in self._equations.rows]
        return 2 * 8 * sum(n * (n + self._X_new.shape[0]) for n in sizes)

    @cached_property
    def _kernels(self):
        """K and K_new of each machine."""
        D, D_new = (base_of("rbf", self._X, X) for X in (self._X, self._X_new))
        return [
            (_Kernel(D[np.ix_(rows, rows)]), _Kernel(D_new[rows]))
            for rows in self._equations.rows
        ]

    def _values(self, values):
        return tuple(float(values.get(n, self._params[n])) for n in self._names)

    def _at(self, values):
        place = self._values(values)
        if place not in self._told:
            self._told[place] = self._found(place)
        return self._told[place]

    def _found(self, place):
        values = dict(zip(self._names, place, strict=True))
        params = {**self._params, **values}
        at_fit = place == self._fit
        duals = self._reached(values)
        if duals is None:
            equations = self._equations if at_fit else self._equations.fitted(values)
            if equations is None:
                return None
            sets = _sets_of(equations)
            duals = None if at_fit else self._solved(params, sets)
            if duals is None:
                self._known.append((place, sets))
                return self._at_fit(equations, params, place)
        self._known.append((place, [dual.sets for dual in duals]))
        columns = [
            K_new.weighted(dual.beta) + dual.b
            for dual, (_, K_new) in zip(duals, self._kernels, strict=True)
        ]
        votes = self._equations.votes
        loss, d_f = self._held_out(np.column_stack(columns) @ votes)
        if not (np.isfinite(loss) and np.isfinite(d_f).all()):
            return None
        slopes = dict.fromkeys(self._names, 0.0)
        machines = self._equations.machines
        of_machines = votes @ d_f.T
        parts = zip(machines, duals, self._kernels, of_machines, strict=True)
        for machine, dual, (_, K_new), d in parts:
            own = _slopes(dual, machine.s, K_new, d, self._names)
            slopes = {name: slopes[name] + own[name] for name in slopes}
        return Derivative(float(loss), slopes, self._solution_at(place))

    def _solution_at(self, place):
        """Give the solution of the fit, if that is there."""
        at_fit = place == self._fit
        return packed(self._equations.solution(None)) if at_fit else None

    def _reached(self, values):
        """Solve from the nearest place, by way of others if need be."""
        place = self._values(values)
        start, sets = min(self._known, key=lambda known: _distance(known[0], place))
        before = dict(zip(self._names, start, strict=True))
        gone, step, duals = 0.0, 1.0, None
        while gone < 1:
            between = on_the_way(before, values, gone + step)
            duals = self._solved({**self._params, **between}, sets)
            if duals is not None:
                gone, sets = gone + step, [dual.sets for dual in duals]
            elif step > _LEAST_STEP and start != place:
                step /= 2
            else:
                return None
        return duals

    def _solved(self, params, sets):
        """Solve each machine; None if one fails.

        Each call moves the same kernels.
        """
        duals = []
        parts = zip(self._equations.machines, self._kernels, sets, strict=True)
        for machine, kernels, own in parts:
            for kernel in kernels:
                kernel.move(params["gamma"])
            limit = params["C"] * machine.s
            dual = _Dual(kernels[0], machine.y, limit, machine.epsilon(params))
            try:
                ended = dual.solve(own)
            except np.linalg.LinAlgError:
                ended = False
            if not ended:
                return None
            duals.append(dual)
        return duals

    def _at_fit(self, equations, params, place):
        """Differentiate by the equations of a fit, where its sets lead nowhere."""
        X, X_new = self._X, self._X_new
        w, factor, _ = polish(equations, params, X)
        loss, d_f = self._held_out(equations.outputs(w, params, X, X_new))
        if not (np.isfinite(loss) and np.isfinite(d_f).all()):
            return None
        u = solve(equations, w, -equations.pullback(w, X_new, d_f), factor)
        lagrangian = lagrangian_of(equations, w, u, d_f)

        def moved(name, value):
            return lagrangian({**params, name: value}, X, X_new)

        slopes = {
            name: float(difference(partial(moved, name), params[name]))
            for name in self._names
        }
        return Derivative(float(loss), slopes, self._solution_at(place))


def _sets_of(equations):
    return [Sets(machine.signs, machine.bound) for machine in equations.machines]


def _distance(a, b):
    """Give the distance of values by their logarithms."""
    logs = np.log(np.maximum(np.abs([a, b]), 1e-300))
    return float(np.abs(logs[0] - logs[1]).sum())


def _slopes(dual, weights, K_new, d, names):
    """Differentiate ``d' f_new`` by hyperparameters, by one adjoint solve."""
    K, free, bound = dual.K, dual.free, dual.bound
    a, c = dual.equations.solve(-(K_new.rows(free) @ d), -d.sum())
    slopes = {}
    for name in names:
        if name == "C":
            # What is bound moves with its limit.
            moved = np.zeros(len(weights))
            moved[bound] = dual.sets.side[bound] * weights[bound]
            slope = d @ K_new.weighted(moved) + a @ K.weighted(moved)[free]
            slope += c * moved.sum()
        elif name == "epsilon":
            slope = a @ dual.sets.side[free]
        else:  # gamma, by which the derivative of K is -D K
            support = np.append(free, bound)
            own = dual.beta[support]
            rows = np.ix_(free, support)
            slope = -a @ ((K.D[rows] * K.rows(free)[:, support]) @ own)
            slope -= own @ ((K_new.D[support] * K_new.rows(support)) @ d)
        slopes[name] = float(slope)
    return slopes
