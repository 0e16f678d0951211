"""Huber regression: a linear model and the scale of its noise, fitted together.

====================  ===========  ====================================================
symbol                shape        meaning
====================  ===========  ====================================================
W, b                  (1, p), (1,) coefficients and intercept
sigma                 scalar       scale, the last of the unknowns w
r                     (n, 1)       residuals X W' + b - y
s                     (n,)         weights of samples
epsilon               scalar       where the loss turns linear, in units of sigma
inside                (n, 1)       whether |r| <= epsilon sigma
alpha                 scalar       strength of the penalty, l2 = 2 alpha
H(z)                  (n, 1)       z^2 inside, 2 epsilon |z| - epsilon^2 beyond
====================  ===========  ====================================================

The objective is ``sum_i s_i (sigma + H(r_i / sigma) sigma) + alpha |W|^2`` [1]_. It is
convex in all unknowns, and has a second derivative but where a residual is just at
epsilon.

References
----------
.. [1] A. B. Owen, "A robust hybrid of lasso and ridge regression", 2006.
"""

import numpy as np
from scipy.linalg import LinAlgError, cho_factor, cho_solve

from skhpo.hypergradients.linear import MAX_FACTORED, Linear


class HuberEquations(Linear):
    """Huber regression: coefficients and intercept together with the scale."""

    @staticmethod
    def names(estimator):
        return {"alpha", "epsilon"}

    def __init__(self, estimator, X, y, sample_weight):
        super().__init__(estimator, X, y, sample_weight)
        self.w = np.append(self.w, estimator.scale_)

    def _l2(self, params):
        return 2 * params["alpha"]

    def _parts(self, w, X, epsilon):
        W, b = self._unpack(w[:-1])
        r = X @ W.T + b - self.y
        inside = np.abs(r) <= epsilon * w[-1]
        return W, r, inside

    def residual(self, w, params, X):
        epsilon, sigma = params["epsilon"], w[-1]
        W, r, inside = self._parts(w, X, epsilon)
        G = self.s[:, None] * np.where(inside, 2 * r / sigma, 2 * epsilon * np.sign(r))
        F = self._pack((X.T @ G).T + self._l2(params) * W, G.sum(axis=0))
        d_sigma = 1 - np.where(inside, (r / sigma) ** 2, epsilon**2)
        return np.append(F, self.s @ d_sigma[:, 0])

    def product(self, w, v):
        sigma = w[-1]
        _, r, inside = self._parts(w, self.X, self.params["epsilon"])
        V, vb = self._unpack(v[:-1])
        D = self.s[:, None] * inside
        eta = self.X @ V.T + vb
        G = 2 * D * (eta / sigma - r * v[-1] / sigma**2)
        own = self._pack((self.X.T @ G).T + self._l2(self.params) * V, G.sum(axis=0))
        last = 2 * (D * r * (r * v[-1] / sigma**3 - eta / sigma**2)).sum()
        return np.append(own, last)

    def by_parameter(self, w, params, name):
        return None

    def solution(self, w):
        return None

    def by_factors(self, w, u, params):
        return super().by_factors(w[:-1], u[:-1], params)

    def by_features(self, w, u, d_f, X, X_new):
        return None  # the scale is one more unknown

    def factor(self, w):
        if len(w) > MAX_FACTORED:
            return None
        H = np.column_stack([self.product(w, e) for e in np.eye(len(w))])
        try:
            factor = cho_factor(H, lower=True)
        except LinAlgError:
            return None
        return lambda rhs: cho_solve(factor, rhs)

    def outputs(self, w, params, X, X_new):
        return super().outputs(w[:-1], params, X, X_new)

    def pullback(self, w, X_new, cotangent):
        return np.append(super().pullback(w[:-1], X_new, cotangent), 0.0)
