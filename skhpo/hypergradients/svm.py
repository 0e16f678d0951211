"""Support vector machines.

====================  ===========  ====================================================
symbol                shape        meaning
====================  ===========  ====================================================
K                     (n, n)       kernel of the training part, of gamma, degree, coef0
beta                  (n,)         dual coefficients, sign and label included
B                     set          bound ones: beta = sign * C * weight
I                     set          free ones: f(x_i) = y_i, for SVR -+ epsilon
F                     (|I| + 1,)   f(x_i) - y_i (+ epsilon sign), and sum(beta)
b                     scalar       intercept; if none is free, in the middle of the
                                   interval that the others leave to it
votes                 (m, k)       what each of the m machines of k classes, one for
                                   each pair of them, adds to the k outputs: 1, -1, 0
====================  ===========  ====================================================

Which are free, bound or zero does not change between kinks, so the unknowns of a
machine are the free ones and the intercept; the equations are linear [1]_. Those of
several classes are the equations of all their machines together.

References
----------
.. [1] S. S. Keerthi, V. Sindhwani and O. Chapelle, "An efficient method for
   gradient-based adaptation of hyperparameters in SVM models", NIPS 2006.
"""

import itertools
import warnings
from functools import cached_property

import numpy as np
from scipy.linalg import lu_factor, lu_solve
from scipy.sparse import issparse
from sklearn.base import clone, is_classifier
from sklearn.exceptions import ConvergenceWarning
from sklearn.svm import SVC
from sklearn.utils.class_weight import compute_class_weight

from skhpo.hypergradients.base import Equations
from skhpo.hypergradients.kernel import CONTINUOUS, KernelRidgeEquations, kernel_names
from skhpo.hypergradients.svm_path import MachinePath

_BOUND = 1e-6
# Of a fit between rows; one that takes more is none that should hold up a search.
_MAX_STEPS = 1_000_000


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

    Attributes
    ----------
    y, s : ndarray of shape (n,)
        As given.
    signs : ndarray of shape (n,)
        Of the dual coefficients.
    bound : ndarray of bool of shape (n,)
        Which of them are at their limits.
    free : ndarray of int of shape (m,)
        The others that are not zero.
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
        self._bases, self._kernels = [], []
        self._ruled, self._sides = self.free, self.signs[self.free]
        if not len(self.free):
            self._ruled, self._sides = self._ends(beta[self.support])

    @cached_property
    def _K(self):
        return self._kernel(self.X, self.X, self.params)

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

    @staticmethod
    def epsilon(params):
        """Give the errors that cost nothing, of a regression; None of two classes."""
        return None

    def _offset(self, params, side):
        return (self.epsilon(params) or 0.0) * side

    def residual(self, w, params, X):
        params = _resolve(params, X)
        beta = self._beta(w, params)[self.support]
        K = self._kernel(X, X, params, self._ruled)
        left = K @ beta + w[-1] - self.y[self._ruled]
        left += self._offset(params, self._sides)
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


class LibsvmEquations(Equations):
    """Equations of what libsvm fits.

    Attributes
    ----------
    machines : list of Machine
        One for each pair of classes, or the only one.
    rows : list of ndarray of int
        Their samples.
    votes : ndarray of shape (n_machines, n_outputs)
        What each adds to the outputs.
    """

    path = MachinePath

    def solution(self, w):
        estimator, weight = self._estimator, self._sample_weight
        # A fit may end early, and of other kernels there may be several solutions, or
        # the sets of one seldom lead to those of another.
        if estimator.max_iter != -1 or estimator.kernel != "rbf":
            return None
        dual = _dual_coef(estimator, weight)[:, weight > 0]
        return np.append(dual, estimator.intercept_)

    @staticmethod
    def restore(estimator, X, y, solution):
        estimator.classes_ = np.unique(y)
        n_others = len(estimator.classes_) - 1 if is_classifier(estimator) else 1
        n_machines = n_others * (n_others + 1) // 2
        dual = solution[:-n_machines].reshape(n_others, -1)
        estimator.support_ = np.flatnonzero(dual.any(axis=0))
        estimator.dual_coef_ = dual[:, estimator.support_]
        estimator.intercept_ = solution[-n_machines:]

    @classmethod
    def begin(cls, estimator, X, y, sample_weight, solution):
        cls.restore(estimator, X, y, solution)
        return cls(estimator, X, y, sample_weight)

    def fitted(self, values):
        """Fit at other values; give the equations, None if that takes too long."""
        other = clone(self._estimator).set_params(**values, max_iter=_MAX_STEPS)
        if getattr(other, "probability", None) is True:
            # It would take more fits, and change none of this one.
            other.set_params(probability=SVC().probability)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", ConvergenceWarning)
            other.fit(self.X, self._y, sample_weight=self._sample_weight)
        if np.max(other.n_iter_) >= _MAX_STEPS:
            return None
        return type(self)(other, self.X, self._y, self._sample_weight)

    def _keep(self, estimator, X, y, sample_weight):
        """Keep what others are made from; give the weights."""
        self._estimator, self.X, self._y = estimator, X, y
        if sample_weight is None:
            sample_weight = np.ones(len(y))
        self._sample_weight = np.asarray(sample_weight)
        return self._sample_weight


class SVREquations(LibsvmEquations, Machine):
    """Support vector regression."""

    @staticmethod
    def names(estimator):
        names = _names_of_machines(estimator)
        return names | {"epsilon"} if names else set()

    def __init__(self, estimator, X, y, sample_weight):
        s = self._keep(estimator, X, y, sample_weight)
        y = np.asarray(y, float).ravel()
        beta = _dual_coef(estimator, s)[0]
        params = estimator.get_params(deep=False)
        Machine.__init__(self, params, X, y, s, beta, estimator.intercept_[0])
        self.rows, self.votes = [np.arange(len(y))], np.ones((1, 1))

    @property
    def machines(self):
        return [self]

    def _has_side(self, side):
        return np.ones(len(self.y), dtype=bool)

    @staticmethod
    def epsilon(params):
        return params["epsilon"]


class SVCEquations(LibsvmEquations):
    """A support vector classifier; a machine for each pair of classes.

    The outputs are decision values. Of several classes, each has the sum of those that
    its machines give in its favour; their votes, which decide, jump.
    """

    kind = "decision"

    @staticmethod
    def names(estimator):
        return _names_of_machines(estimator)

    def __init__(self, estimator, X, y, sample_weight):
        weight = self._keep(estimator, X, y, sample_weight)
        self.params = _resolve(estimator.get_params(deep=False), X)
        y = np.asarray(y).ravel()
        s = self._weights(estimator, y, weight)
        dual = _dual_coef(estimator, weight)
        y = np.searchsorted(estimator.classes_, y)
        k = len(estimator.classes_)
        pairs = list(itertools.combinations(range(k), 2))
        if len(estimator.intercept_) != len(pairs):
            missing = np.setdiff1d(np.arange(k), y[weight > 0])[0]
            raise ValueError(
                "sample_weight is 0 for all training samples of the class "
                f"{estimator.classes_[missing]!r}, which libsvm leaves out; leave them "
                "out of the data, too."
            )
        self.rows = [np.flatnonzero((y == i) | (y == j)) for i, j in pairs]
        one = np.eye(k)
        sides = np.array([one[i] - one[j] for i, j in pairs])
        if k == 2:  # alone, a machine is for the second class
            sides = -sides
        self.votes = sides if k > 2 else np.ones((1, 1))
        self.machines = [
            Machine(
                self.params,
                X[rows],
                side[y[rows]],
                s[rows],
                np.where(y == i, dual[j - 1], dual[i])[rows],
                intercept,
            )
            for (i, j), rows, side, intercept in zip(
                pairs, self.rows, sides, estimator.intercept_, strict=True
            )
        ]
        self.w = np.concatenate([machine.w for machine in self.machines])
        self._ends = np.cumsum([len(machine.w) for machine in self.machines])[:-1]

    def _weights(self, estimator, y, s):
        if estimator.class_weight is None:
            return s
        weights = compute_class_weight(
            estimator.class_weight, classes=estimator.classes_, y=y
        )
        return s * weights[np.searchsorted(estimator.classes_, y)]

    def _each(self, *vectors):
        """Give each machine its part of the vectors."""
        parts = [np.split(vector, self._ends) for vector in vectors]
        return zip(self.machines, *parts, strict=True)

    def _features(self, X):
        """Give each machine its rows."""
        if X is self.X:
            return [machine.X for machine in self.machines]
        return [X[rows] for rows in self.rows]

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
        return np.hstack(values) @ self.votes

    def pullback(self, w, X_new, cotangent):
        columns = (self.votes @ cotangent.T)[:, :, None]
        parts = zip(self._each(w), columns, strict=True)
        return np.concatenate(
            [machine.pullback(own, X_new, column) for (machine, own), column in parts]
        )


def _names_of_machines(estimator):
    # A kernel that is a function or given has no features.
    known = estimator.kernel in CONTINUOUS
    return {"C"} | kernel_names(estimator) if known else set()


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
