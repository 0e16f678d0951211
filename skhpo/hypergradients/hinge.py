"""Linear support vector machines whose losses are not squared, by their dual.

====================  ===========  ====================================================
symbol                shape        meaning
====================  ===========  ====================================================
A                     (n, p + 1)   X, and a column of intercept_scaling; without an
                                   intercept X alone
beta                  (n,)         dual coefficients, their signs included
v                     (p + 1,)     A' beta: coefficients, and intercept over its scaling
y                     (n,)         -1 and 1, one class against the rest; or targets
limit                 (n,)         C times the weight of a sample
epsilon               scalar       errors of a regression that cost nothing; else 0
z, u                  (m,)         size of a dual coefficient, and its limit; a
                                   regression has two for each sample, one a sign
sign                  (m,)         of the dual coefficient
Q, c                  (m, m), (m,) ``z' Q z / 2 + c' z`` is the dual objective:
                                   ``sign (A A') sign`` and ``epsilon - sign y``
l, g                  (m,)         multipliers of 0 <= z and z <= u
I, B                  sets         those of z that are between, and at u
F                     (|I|,)       A_I v - y_I + epsilon sign_I
====================  ===========  ====================================================

The objective is ``|v|^2 / 2 + sum(limit loss)`` with ``loss = max(1 - y A v, 0)`` or
``max(|A v - y| - epsilon, 0)``: liblinear takes the intercept for the coefficient of a
feature that is intercept_scaling everywhere [1]_, so there is no condition on the sum
of beta, as in libsvm's. Between kinks I and B stay as they are, and the equations are
linear, as those of :mod:`skhpo.hypergradients.kernel`. Liblinear gives v alone, and
roughly, so that its fit does not tell I and B: the dual is solved again, by an interior
point method [2]_.

References
----------
.. [1] R.-E. Fan et al., "LIBLINEAR: a library for large linear classification",
   JMLR 2008.
.. [2] S. Mehrotra, "On the implementation of a primal-dual interior point method",
   SIAM Journal on Optimization 1992.
"""

import warnings
from functools import partial

import numpy as np
from scipy.linalg import cho_factor, cho_solve, lu_factor, lu_solve
from scipy.sparse import csr_array, hstack, issparse

from skhpo.hypergradients.base import Equations
from skhpo.hypergradients.linear import one_hot, weights_of_classes

# Of the dual: steps, what is left in the end, and how near to a bound a step leads.
_MAX_STEPS = 100
_TOL = 1e-12
_NEAR = 0.99
# Of the range, how near to its ends counts as there.
_AT_END = 1e-6
# Of the mean curvature, what keeps the equations regular.
_JITTER = 1e-12
# The smaller side of A may have so many.
_MAX_SIDE = 2000


class HingeSVCEquations(Equations):
    """A linear classifier with the hinge loss; a machine for each class, or one."""

    kind = "decision"

    @staticmethod
    def names(estimator):
        return {"C"}

    def __init__(self, estimator, X, y, sample_weight):
        self.params = estimator.get_params(deep=False)
        self.X = X
        self._A = self._with_intercept(X)
        if min(X.shape) > _MAX_SIDE:
            raise ValueError(
                f"{type(estimator).__name__}(loss={estimator.loss!r}) has no gradient "
                f"with more than {_MAX_SIDE} samples and features, as here with "
                f"{X.shape}; use a squared loss, or BayesSearch."
            )
        s = np.ones(len(y)) if sample_weight is None else np.asarray(sample_weight)
        self._targets(estimator, np.asarray(y), s.astype(float), sample_weight)
        self._free, self._bound, parts = [], [], []
        for Y, S in zip(self._Y.T, self._S.T, strict=True):
            size, sign = self._solve_dual(Y, self.params["C"] * S)
            limit = self.params["C"] * S
            at_end = size >= limit * (1 - _AT_END)
            # Where C is large, all of them may be far below their limits.
            least = _AT_END * np.minimum(limit, size.max(initial=0.0))
            free = np.flatnonzero((size > least) & ~at_end)
            bound = np.flatnonzero(at_end & (limit > 0))
            self._free.append((free, sign[free]))
            self._bound.append((bound, sign[bound]))
            parts.append((sign * size)[free])
        self.w = np.concatenate(parts)
        self._ends = np.cumsum([len(part) for part in parts])[:-1]

    def _targets(self, estimator, y, s, sample_weight):
        """Set targets and weights of each machine, of shape (n, k)."""
        self._Y = 2 * one_hot(estimator, y) - 1
        own = s
        if estimator.class_weight is not None:
            own = s * weights_of_classes(estimator, y, sample_weight)
        # Of one class and the rest, liblinear gives the weight only to the one.
        is_own = (self._Y > 0) | (self._Y.shape[1] == 1)
        self._S = np.where(is_own, own[:, None], s[:, None])

    def _epsilon(self, params):
        return 0.0

    def _solve_dual(self, y, limit):
        """Give the sizes of the dual coefficients, and their signs."""
        rows = np.arange(len(y))
        return solve_dual(self._A, rows, y, -np.ones(len(y)), limit), y

    def _with_intercept(self, X):
        if not self.params["fit_intercept"]:
            return csr_array(X) if issparse(X) else X
        ones = np.full((X.shape[0], 1), float(self.params["intercept_scaling"]))
        if issparse(X):
            return csr_array(hstack([X, ones]))
        return np.column_stack([X, ones])

    def _coefs(self, w, params, A):
        """Compute v of each machine, of shape (p + 1, k)."""
        parts = zip(np.split(w, self._ends), self._free, self._bound, strict=True)
        columns = []
        for j, (own, (free, _), (bound, sign)) in enumerate(parts):
            beta = sign * params["C"] * self._S[bound, j]
            columns.append(A[bound].T @ beta + A[free].T @ own)
        return np.column_stack(columns)

    def residual(self, w, params, X):
        A = self._A if X is self.X else self._with_intercept(X)
        V = self._coefs(w, params, A)
        epsilon = self._epsilon(params)
        return np.concatenate(
            [
                A[free] @ V[:, j] - self._Y[free, j] + epsilon * sign
                for j, (free, sign) in enumerate(self._free)
            ]
        )

    def product(self, w, v):
        parts = zip(np.split(v, self._ends), self._free, strict=True)
        return np.concatenate(
            [self._A[free] @ (self._A[free].T @ own) for own, (free, _) in parts]
        )

    def factor(self, w):
        factors = []
        for free, _ in self._free:
            H = self._A[free] @ self._A[free].T
            H = H.toarray() if issparse(H) else H
            H[np.diag_indices_from(H)] += _JITTER * np.trace(H) / max(len(H), 1)
            solve = partial(lu_solve, lu_factor(H)) if len(H) else np.copy
            factors.append(solve)

        def solve_all(rhs):
            parts = zip(factors, np.split(rhs, self._ends), strict=True)
            return np.concatenate([solve(part) for solve, part in parts])

        return solve_all

    def outputs(self, w, params, X, X_new):
        A = self._A if X is self.X else self._with_intercept(X)
        return self._with_intercept(X_new) @ self._coefs(w, params, A)

    def pullback(self, w, X_new, cotangent):
        pulled = self._with_intercept(X_new).T @ cotangent
        return np.concatenate(
            [self._A[free] @ pulled[:, j] for j, (free, _) in enumerate(self._free)]
        )


class HingeSVREquations(HingeSVCEquations):
    """A linear regression that pays for errors beyond epsilon."""

    kind = "prediction"

    @staticmethod
    def names(estimator):
        return {"C", "epsilon"}

    def _targets(self, estimator, y, s, sample_weight):
        self._Y = y.astype(float).reshape(-1, 1)
        self._S = s[:, None]

    def _epsilon(self, params):
        return params["epsilon"]

    def _solve_dual(self, y, limit):
        rows, sign = np.tile(np.arange(len(y)), 2), np.repeat([1.0, -1.0], len(y))
        c = self._epsilon(self.params) - sign * y[rows]
        z = solve_dual(self._A, rows, sign, c, limit[rows])
        beta = np.bincount(rows, sign * z)
        return np.abs(beta), np.sign(beta)


def solve_dual(A, rows, sign, c, u):
    """Minimise the dual objective over 0 <= z <= u.

    Parameters
    ----------
    A : {ndarray, sparse array} of shape (n, q)
        Features.
    rows, sign : ndarray of shape (m,)
        Sample and sign of each dual coefficient.
    c : ndarray of shape (m,)
        Linear part.
    u : ndarray of shape (m,)
        Limits; what has a limit of 0 is 0.

    Returns
    -------
    z : ndarray of shape (m,)
        Sizes of the dual coefficients.
    """
    z, kept = np.zeros(len(u)), u > 0
    if kept.any():
        samples, rows = np.unique(rows[kept], return_inverse=True)
        z[kept] = _interior_point(A[samples], rows, sign[kept], c[kept], u[kept])
    return z


def _interior_point(A, rows, sign, c, u):
    """Take predictor-corrector steps; see :func:`solve_dual`."""
    # What is left up to u is carried along: where it is little, u - z is rounding.
    z, room = u / 2, u / 2
    slope = _product(A, rows, sign, z) + c
    scale = np.abs(c).max() or 1.0
    shift = np.abs(slope).mean() + scale
    lower, upper = np.maximum(slope, 0) + shift, np.maximum(-slope, 0) + shift
    for _ in range(_MAX_STEPS):
        gaps = lower * z, upper * room
        reach = np.minimum(u, z.max())
        if max((gaps[0] / reach).max(), (gaps[1] / reach).max()) <= _TOL * scale:
            return z
        mu = (gaps[0].sum() + gaps[1].sum()) / (2 * len(z))
        solve = _solver(A, rows, sign, lower / z + upper / room)
        moves = _direction(solve, z, room, lower, upper, slope, 0.0, 0.0)
        length = min(1.0, _longest(z, room, lower, upper, moves))
        dz, dl, dg = moves
        ahead = (z + length * dz) @ (lower + length * dl)
        ahead += (room - length * dz) @ (upper + length * dg)
        goal = mu * (ahead / (2 * len(z) * mu)) ** 3
        goals = goal - dz * dl, goal + dz * dg
        moves = _direction(solve, z, room, lower, upper, slope, *goals)
        length = min(1.0, _NEAR * _longest(z, room, lower, upper, moves))
        dz, dl, dg = moves
        z, room = z + length * dz, room - length * dz
        lower, upper = lower + length * dl, upper + length * dg
        slope = _product(A, rows, sign, z) + c
    warnings.warn(
        "A linear support vector machine has not been solved, so the gradient of its "
        "held-out loss may be wrong. Scale the features, or lower the largest C.",
        RuntimeWarning,
        stacklevel=2,
    )
    return z


def _product(A, rows, sign, z):
    """Multiply Q by a vector."""
    return sign * (A @ (A.T @ np.bincount(rows, sign * z)))[rows]


def _solver(A, rows, sign, theta):
    """Give what solves with ``Q + diag(theta)``, by the smaller side of A."""
    root = np.sqrt(np.bincount(rows, 1 / theta))
    scaled = A.multiply(root[:, None]).tocsr() if issparse(A) else root[:, None] * A
    of_features = A.shape[1] <= A.shape[0]
    M = scaled.T @ scaled if of_features else scaled @ scaled.T
    M = M.toarray() if issparse(M) else M
    M[np.diag_indices_from(M)] += 1
    factor = cho_factor(M, overwrite_a=True)

    def solve(rhs):
        of_samples = np.bincount(rows, sign * rhs / theta)
        if of_features:
            t = cho_solve(factor, A.T @ of_samples)
        else:
            t = scaled.T @ cho_solve(factor, of_samples / root)
        return (rhs - sign * (A @ t)[rows]) / theta

    return solve


def _direction(solve, z, room, lower, upper, slope, of_lower, of_upper):
    """Give the moves of z, l and g that make their products so large."""
    dz = solve(of_lower / z - of_upper / room - slope)
    dl = (of_lower - lower * dz) / z - lower
    dg = (of_upper + upper * dz) / room - upper
    return dz, dl, dg


def _longest(z, room, lower, upper, moves):
    """Give the longest step that keeps all of them from becoming negative."""
    dz, dl, dg = moves
    pairs = (z, dz), (room, -dz), (lower, dl), (upper, dg)
    return 1 / max(1e-300, *((-step / value).max() for value, step in pairs))
