"""Kernels, and kernel ridge regression.

====================  ===========  ====================================================
symbol                shape        meaning
====================  ===========  ====================================================
K                     (n, n)       kernel of the training part, of gamma, degree, coef0
c                     (n, k)       dual coefficients where (K + alpha/S) c = y
====================  ===========  ====================================================
"""

from functools import cached_property

import numpy as np
from scipy.linalg import lu_factor, lu_solve
from sklearn import config_context
from sklearn.metrics.pairwise import (
    euclidean_distances,
    linear_kernel,
    manhattan_distances,
    pairwise_kernels,
)

from skhpo.hypergradients.base import Equations

CONTINUOUS = {"rbf": {"gamma"}, "laplacian": {"gamma"}, "linear": set()}
CONTINUOUS |= {k: {"gamma", "coef0"} for k in ("poly", "polynomial", "sigmoid")}


def kernel_names(estimator):
    """Name the parameters of an estimator's kernel that can be differentiated."""
    return CONTINUOUS.get(estimator.kernel, set())


def base_of(kernel, X, X2):
    """Compute what a kernel is a function of, whatever its parameters are."""
    # The features have been checked, more than once.
    with config_context(assume_finite=True, skip_parameter_validation=True):
        if kernel == "rbf":
            return euclidean_distances(X, X2, squared=True)
        if kernel == "laplacian":
            return manhattan_distances(X, X2)
        return linear_kernel(X, X2)


def of_base(kernel, base, gamma, degree, coef0):
    """Compute a kernel from what it is a function of."""
    if kernel in ("rbf", "laplacian"):
        return np.exp(-gamma * base)
    if kernel == "linear":
        return base
    if kernel == "sigmoid":
        return np.tanh(gamma * base + coef0)
    return (gamma * base + coef0) ** degree


def by_parameter(kernel, base, K, name, gamma, degree, coef0):
    """Differentiate a kernel, K, by gamma or coef0."""
    if kernel in ("rbf", "laplacian"):
        return -base * K
    inner = base if name == "gamma" else 1.0
    if kernel == "sigmoid":
        return (1 - K * K) * inner
    return degree * (gamma * base + coef0) ** (degree - 1) * inner


class KernelRidgeEquations(Equations):
    """Kernel ridge; a system of linear equations."""

    support = slice(None)  # which rows have a dual coefficient

    @staticmethod
    def names(estimator):
        if np.ndim(estimator.alpha) or not isinstance(estimator.kernel, str):
            return set()
        return {"alpha"} | kernel_names(estimator)

    def __init__(self, estimator, X, y, sample_weight):
        self.params = estimator.get_params(deep=False)
        self.X = X
        self.y = np.asarray(y, float).reshape(len(y), -1)
        self.s = np.ones(len(self.y)) if sample_weight is None else sample_weight
        dual = estimator.dual_coef_.reshape(len(self.y), -1)
        if not np.all(self.s):
            # A row without weight has no dual coefficient, and no equation.
            self.support = np.flatnonzero(self.s)
            dual, self.y, self.s = (v[self.support] for v in (dual, self.y, self.s))
        self.w = dual.ravel().astype(float)
        self._bases, self._kernels = [], []

    @cached_property
    def _K(self):
        return self._kernel(self.X, self.X, self.params)[self.support]

    def _kernel(self, X_new, X, params, rows=None):
        """Compute the kernel of new rows, all or some, with those that have a dual.

        What it is a function of is kept where X is the one at hand, and so is the
        kernel of all rows at the estimator's own parameters.
        """
        is_own = X is self.X and all(
            params[name] == self.params[name] for name in ("gamma", "coef0")
        )
        if not is_own:
            return self._computed(X_new, X, params, rows)
        K = next((K for other, K in self._kernels if other is X_new), None)
        if K is None:
            K = self._computed(X_new, X, params)
            self._kernels.append((X_new, K))
        return K if rows is None else K[rows]

    def _computed(self, X_new, X, params, rows=None):
        kernel = params["kernel"]
        rest = {name: params[name] for name in ("gamma", "degree", "coef0")}
        if kernel in CONTINUOUS:
            if rest["gamma"] is None:
                rest["gamma"] = 1 / X.shape[1]
            base = self._base(kernel, X_new, X)
            return of_base(kernel, base if rows is None else base[rows], **rest)
        if rows is not None:
            X_new = X_new[rows]
        X = X[self.support]
        if not (X_new.shape[0] and X.shape[0]):
            return np.zeros((X_new.shape[0], X.shape[0]))
        return pairwise_kernels(X_new, X, metric=kernel, filter_params=True, **rest)

    def _base(self, kernel, X_new, X):
        is_own = X is self.X
        for other, base in self._bases:
            if is_own and other is X_new:
                return base
        # The same object tells the distances that the diagonal is zero.
        support = X if isinstance(self.support, slice) else X[self.support]
        if X_new.shape[0] and support.shape[0]:
            base = base_of(kernel, X_new, support)
        else:
            base = np.zeros((X_new.shape[0], support.shape[0]))
        if is_own:
            self._bases.append((X_new, base))
        return base

    def residual(self, w, params, X):
        K = self._kernel(X, X, params, self.support)
        c = w.reshape(self.y.shape)
        return (K @ c + params["alpha"] * c / self.s[:, None] - self.y).ravel()

    def product(self, w, v):
        v = v.reshape(self.y.shape)
        return (self._K @ v + self.params["alpha"] * v / self.s[:, None]).ravel()

    def factor(self, w):
        factor = lu_factor(self._K + np.diag(self.params["alpha"] / self.s))
        return lambda rhs: lu_solve(factor, rhs.reshape(self.y.shape)).ravel()

    def outputs(self, w, params, X, X_new):
        return self._kernel(X_new, X, params) @ w.reshape(self.y.shape)

    def pullback(self, w, X_new, cotangent):
        return (self._kernel(X_new, self.X, self.params).T @ cotangent).ravel()
