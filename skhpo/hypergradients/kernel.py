"""Kernel ridge regression and support vector machines.

====================  ===========  ====================================================
symbol                shape        meaning
====================  ===========  ====================================================
K                     (n, n)       kernel of the training part, of gamma, degree, coef0
c                     (n, k)       dual coefficients where (K + alpha/S) c = y
beta                  (n,)         of a support vector machine, sign and label included
B                     set          bound ones: beta = sign * C * weight
I                     set          free ones: f(x_i) = y_i, for SVR -+ epsilon
F                     (|I| + 1,)   f(x_i) - y_i (+ epsilon sign), and sum(beta)
b                     scalar       intercept; if none is free, in the middle of the
                                   interval that the others leave to it
votes                 (m, k)       what each of the m machines of k classes, one for
                                   each pair of them, adds to the k outputs: 1, -1, 0
====================  ===========  ====================================================

Which are free, bound or zero does not change between kinks, so the unknowns of a
support vector machine are the free ones and the intercept; the equations are linear
[1]_. Those of several classes are the equations of all their machines together.

References
----------
.. [1] S. S. Keerthi, V. Sindhwani and O. Chapelle, "An efficient method for
   gradient-based adaptation of hyperparameters in SVM models", NIPS 2006.
"""

import itertools

import numpy as np
from scipy.linalg import lu_factor, lu_solve
from scipy.sparse import issparse
from sklearn import config_context
from sklearn.metrics.pairwise import (
    euclidean_distances,
    linear_kernel,
    manhattan_distances,
    pairwise_kernels,
)
from sklearn.utils.class_weight import compute_class_weight

from skhpo.hypergradients.base import Equations

_BOUND = 1e-6
CONTINUOUS = {"rbf": {"gamma"}, "laplacian": {"gamma"}, "linear": set()}
CONTINUOUS |= {k: {"gamma", "coef0"} for k in ("poly", "polynomial", "sigmoid")}


def _kernel_names(estimator):
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
        return {"alpha"} | _kernel_names(estimator)

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
        self._begin_kernels()
        self._K = self._K[self.support]

    def _begin_kernels(self):
        self._bases, self._kernels = [], []
        self._K = self._kernel(self.X, self.X, self.params)

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


class Machine(KernelRidgeEquations):
    """One support vector machine, of two classes or of a regression.

    Parameters
    ----------
    params : dict of str to object
        Of the estimator.
    X : {ndarray, sparse matrix} of shape (n, p)
        Features.
    y : ndarray of shape (n,)
        Targets; of two classes -1 and 1.
    s : ndarray of shape (n,)
        Weights.
    beta : ndarray of shape (n,)
        Dual coefficients as fitted.
    intercept : float
        As fitted.
    """

    def __init__(self, params, X, y, s, beta, intercept):
        self.params = _resolve(params, X)
        self.X, self.y, self.s = X, y, s
        self.support = np.flatnonzero(beta)
        self.signs = np.sign(beta)
        limit = self.params["C"] * self.s
        self.bound = (self.signs != 0) & (np.abs(beta) >= limit * (1 - _BOUND))
        self.free = np.flatnonzero((self.signs != 0) & ~self.bound)
        self.w = np.append(beta[self.free], intercept)
        self._begin_kernels()
        self.rows, self.sides = self.free, self.signs[self.free]
        if not len(self.free):
            self.rows, self.sides = self._ends(beta[self.support])

    def _ends(self, beta):
        """Find the samples, and their sides, that leave the intercept its interval."""
        rows, sides = [], []
        for end in (1, -1):
            # A bound one lies beyond its margin, and one without weight inside of its.
            side = np.where(self.bound, end, -end)
            counts = np.where(self.bound, self.signs == end, self._has_side(-end))
            gap = self.y - self._offset(self.params, side) - self._K @ beta
            row = np.argmin(np.where(counts & (self.s > 0), end * gap, np.inf))
            rows.append(row)
            sides.append(side[row])
        return np.array(rows), np.array(sides)

    def _has_side(self, side):
        """Tell which samples have a margin on this side."""
        return self.y == side

    def _beta(self, w, params):
        beta = np.where(self.bound, self.signs * params["C"] * self.s, 0.0)
        beta[self.free] = w[:-1]
        return beta

    def _offset(self, params, side):
        return 0.0

    def residual(self, w, params, X):
        params = _resolve(params, X)
        beta = self._beta(w, params)[self.support]
        K = self._kernel(X, X, params, self.rows)
        left = K @ beta + w[-1] - self.y[self.rows] + self._offset(params, self.sides)
        if not len(self.free):
            return left.mean(keepdims=True)
        # Their sum, with those that are bound.
        return np.append(left, beta.sum())

    def _free_kernel(self):
        return self._K[np.ix_(self.free, np.searchsorted(self.support, self.free))]

    def product(self, w, v):
        if not len(self.free):
            return v
        return np.append(self._free_kernel() @ v[:-1] + v[-1], v[:-1].sum())

    def factor(self, w):
        m = len(self.free)
        H = np.zeros((m + 1, m + 1))
        H[:m, :m] = self._free_kernel()
        H[:m, m] = H[m, :m] = 1
        if m == 0:
            H[0, 0] = 1
        else:
            H[np.diag_indices(m)] += 1e-12 * np.trace(H) / m
        factor = lu_factor(H)
        return lambda rhs: lu_solve(factor, rhs)

    def outputs(self, w, params, X, X_new):
        params = _resolve(params, X)
        beta = self._beta(w, params)[self.support]
        f = self._kernel(X_new, X, params) @ beta + w[-1]
        return f[:, None]

    def pullback(self, w, X_new, cotangent):
        if not len(self.free):
            return cotangent.sum(keepdims=True)[0]
        K = self._kernel(X_new, self.X, self.params)
        K = K[:, np.searchsorted(self.support, self.free)]
        return np.append(cotangent[:, 0] @ K, cotangent.sum())


class SVREquations(Machine):
    """Support vector regression."""

    @staticmethod
    def names(estimator):
        names = _names_of_machines(estimator)
        return names | {"epsilon"} if names else set()

    def __init__(self, estimator, X, y, sample_weight):
        y = np.asarray(y, float).ravel()
        s = np.ones(len(y)) if sample_weight is None else np.asarray(sample_weight)
        beta = _dual_coef(estimator, s)[0]
        params = estimator.get_params(deep=False)
        super().__init__(params, X, y, s, beta, estimator.intercept_[0])

    def _has_side(self, side):
        return np.ones(len(self.y), dtype=bool)

    def _offset(self, params, side):
        return params["epsilon"] * side


class SVCEquations(Equations):
    """A support vector classifier; a machine for each pair of classes.

    The outputs are decision values. Of several classes, each has the sum of those that
    its machines give in its favour; their votes, which decide, jump.
    """

    kind = "decision"

    @staticmethod
    def names(estimator):
        return _names_of_machines(estimator)

    def __init__(self, estimator, X, y, sample_weight):
        self.params = _resolve(estimator.get_params(deep=False), X)
        self.X = X
        y = np.asarray(y).ravel()
        s = self._weights(estimator, y, sample_weight)
        dual = _dual_coef(
            estimator, np.ones(len(y)) if sample_weight is None else sample_weight
        )
        y = np.searchsorted(estimator.classes_, y)
        k = len(estimator.classes_)
        pairs = list(itertools.combinations(range(k), 2))
        self._rows = [np.flatnonzero((y == i) | (y == j)) for i, j in pairs]
        one = np.eye(k)
        sides = np.array([one[i] - one[j] for i, j in pairs])
        if k == 2:  # alone, a machine is for the second class
            sides = -sides
        # What each machine adds to the outputs.
        self._votes = sides if k > 2 else np.ones((1, 1))
        self._machines = [
            Machine(
                self.params,
                X[rows],
                side[y[rows]],
                s[rows],
                np.where(y == i, dual[j - 1], dual[i])[rows],
                intercept,
            )
            for (i, j), rows, side, intercept in zip(
                pairs, self._rows, sides, estimator.intercept_, strict=True
            )
        ]
        self.w = np.concatenate([machine.w for machine in self._machines])
        self._ends = np.cumsum([len(machine.w) for machine in self._machines])[:-1]

    def _weights(self, estimator, y, sample_weight):
        s = np.ones(len(y)) if sample_weight is None else np.asarray(sample_weight)
        if estimator.class_weight is None:
            return s
        weights = compute_class_weight(
            estimator.class_weight, classes=estimator.classes_, y=y
        )
        return s * weights[np.searchsorted(estimator.classes_, y)]

    def _each(self, *vectors):
        """Give each machine its part of the vectors."""
        parts = [np.split(vector, self._ends) for vector in vectors]
        return zip(self._machines, *parts, strict=True)

    def _features(self, X):
        """Give each machine its rows."""
        if X is self.X:
            return [machine.X for machine in self._machines]
        return [X[rows] for rows in self._rows]

    def residual(self, w, params, X):
        params = _resolve(params, X)
        parts = zip(self._each(w), self._features(X), strict=True)
        return np.concatenate(
            [machine.residual(own, params, X_own) for (machine, own), X_own in parts]
        )

    def product(self, w, v):
        return np.concatenate([m.product(own, v) for m, own, v in self._each(w, v)])

    def factor(self, w):
        factors = [machine.factor(own) for machine, own in self._each(w)]

        def solve(rhs):
            parts = np.split(rhs, self._ends)
            pairs = zip(factors, parts, strict=True)
            return np.concatenate([factor(part) for factor, part in pairs])

        return solve

    def outputs(self, w, params, X, X_new):
        params = _resolve(params, X)
        parts = zip(self._each(w), self._features(X), strict=True)
        values = [
            machine.outputs(own, params, X_own, X_new)
            for (machine, own), X_own in parts
        ]
        return np.hstack(values) @ self._votes

    def pullback(self, w, X_new, cotangent):
        columns = (cotangent @ self._votes.T).T[:, :, None]
        parts = zip(self._each(w), columns, strict=True)
        return np.concatenate(
            [machine.pullback(own, X_new, column) for (machine, own), column in parts]
        )


def _names_of_machines(estimator):
    # A kernel that is a function or given has no features.
    known = estimator.kernel in CONTINUOUS
    return {"C"} | _kernel_names(estimator) if known else set()


def _dual_coef(estimator, sample_weight):
    """Give the dual coefficients of all samples, zero for those without."""
    coef = estimator.dual_coef_
    dual = np.zeros((coef.shape[0], len(sample_weight)))
    # Libsvm leaves samples without weight out, and does not count them.
    seen = np.flatnonzero(np.asarray(sample_weight) > 0)
    dual[:, seen[estimator.support_]] = coef.toarray() if issparse(coef) else coef
    return dual


def _resolve(params, X):
    """Give gamma its number, which may depend on the features."""
    if params["gamma"] == "scale":
        squares = X.multiply(X) if issparse(X) else X**2
        variance = squares.mean() - X.mean() ** 2
        gamma = 1 / (X.shape[1] * variance) if variance else 1.0
    elif params["gamma"] == "auto":
        gamma = 1 / X.shape[1]
    else:
        return params
    return {**params, "gamma": gamma}
