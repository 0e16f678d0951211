"""Penalised least squares: ridge, also of classes, lasso and elastic net.

====================  ===========  ====================================================
symbol                shape        meaning
====================  ===========  ====================================================
W, b                  (k, p), (k,) coefficients and intercepts, one row for each target
W_j                   (k,)         coefficients of feature j, a column of W
eta                   (n, k)       X W' + b, the predictions
y                     (n, k)       targets; of a classifier -1 and 1
s                     (n,)         weights of samples, times those of their classes
Q                     scalar       sum(s |eta - y|^2) / 2
alpha, r              scalar       strength of the penalty, and its l1_ratio
====================  ===========  ====================================================

Ridge minimises ``Q + alpha |W|^2 / 2``, half of what scikit-learn writes [1]_. With the
mean in place of the sum, elastic net minimises ``Q / sum(s) + alpha (r |W|_1 + (1 - r)
|W|^2 / 2)``, and lasso is that with r = 1 [2]_. For several tasks ``|W|_1`` becomes
``sum_j |W_j|``, which keeps or drops a feature for all of them. Its derivative is
``W_j / |W_j|``, and the second one, ``(I - W_j W_j' / |W_j|^2) / |W_j|``, mixes targets
[3]_.

References
----------
.. [1] Y. Bengio, "Gradient-based optimization of hyperparameters", 2000.
.. [2] Q. Bertrand et al., "Implicit differentiation for fast hyperparameter selection
   in non-smooth convex learning", JMLR 2022.
.. [3] S. Vaiter et al., "The degrees of freedom of the group lasso", arXiv 1205.1481,
   2012.
"""

import warnings

import numpy as np
from scipy.linalg import LinAlgError, cho_factor, cho_solve, solve_triangular
from sklearn.exceptions import ConvergenceWarning
from sklearn.linear_model import enet_path
from sklearn.preprocessing import LabelBinarizer

from skhpo.hypergradients.base import solve
from skhpo.hypergradients.linear import MAX_FACTORED, Linear, one_hot

# What is left of the right side of equations that are linear.
_EXACT = 1e-10
# Of the mean of its diagonal, added to a Gram matrix for columns that are equal.
_JITTER = 1e-11
# Tolerance and passes of coordinate descent, before signs are changed one by one; and
# how often that may be.
_DESCENT_TOL = 1e-5
_MAX_DESCENT = 500
_MAX_SIGNS = 500


class RidgeEquations(Linear):
    """Ridge, with one penalty for all targets."""

    _quadratic = True
    _factor = None  # at these parameters, where it is known

    @staticmethod
    def names(estimator):
        usable = np.ndim(estimator.alpha) == 0 and not estimator.positive
        return {"alpha"} if usable else set()

    def _l2(self, params):
        return params["alpha"]

    def at(self, params, w):
        if "rhs" not in vars(self):
            Y = self.s[:, None] * self.y
            self.rhs = self._pack(self._times(self.X, Y), Y.sum(axis=0))
            self.factor(w)  # keeps the second derivatives
        other = super().at(params, w)
        factor = other.factor(w)
        if factor is None:
            return None if self._kept else other
        other.w = solve(other, w, self.rhs, factor, _EXACT)
        other.polished = False  # it is the solution
        other._factor = factor
        return other

    def factor(self, w):
        return super().factor(w) if self._factor is None else self._factor


class RidgeClassifierEquations(RidgeEquations):
    """Ridge on targets of -1 and 1; its outputs are decision values."""

    kind = "decision"

    def _targets(self, estimator, y):
        return 2 * one_hot(estimator, y) - 1

    @staticmethod
    def _name_classes(estimator, y):
        # Older releases of scikit-learn ask this for the classes.
        estimator._label_binarizer = LabelBinarizer(neg_label=-1).fit(y)
        if not hasattr(estimator, "classes_"):
            estimator.classes_ = np.unique(y)


class ElasticNetEquations(Linear):
    """Lasso and elastic net, for one target."""

    _quadratic = True

    @staticmethod
    def names(estimator):
        if estimator.positive:
            return set()
        return {"alpha", "l1_ratio"} & set(estimator.get_params(deep=False))

    def __init__(self, estimator, X, y, sample_weight):
        super().__init__(estimator, X, y, sample_weight)
        if np.ndim(y) == 2 and np.shape(y)[1] > 1 and sample_weight is not None:
            raise ValueError("Several targets with sample_weight are not supported.")

    def _factor_of_losses(self, params):
        return 1 / self.s.sum()

    def solution(self, w):
        # Where there is a Gram matrix to descend with.
        k, p = self.active.shape
        if k > 1 or p > MAX_FACTORED:
            return None
        return np.concatenate([part.ravel() for part in self._unpack(w)])

    @classmethod
    def begin(cls, estimator, X, y, sample_weight, solution):
        equations = super().begin(estimator, X, y, sample_weight, solution)
        equations.has_intercept = estimator.fit_intercept
        equations.active = np.ones((1, X.shape[1]), bool)
        equations.n_active = X.shape[1]
        equations.w = solution if equations.has_intercept else solution[:-1]
        equations._centre()
        return equations

    def _centre(self):
        """Keep what coordinate descent takes, without the intercept.

        A square root of the Gram matrix stands for the data.
        """
        share = self.s / self.s.sum()
        H = self._hessian_of_losses(share, np.ones(self.X.shape[1], bool))
        self._kept = [H]
        y = self.y[:, 0]
        G, c = H.copy(), self._XT @ (share * y)
        self._means = np.zeros(len(c)), 0.0
        if self.has_intercept:
            self._means = H[-1, :-1], share @ y
            G = H[:-1, :-1] - np.outer(H[-1, :-1], H[-1, :-1])
            c = c - self._means[1] * H[-1, :-1]
        G[np.diag_indices_from(G)] += _JITTER * np.trace(G) / len(G)
        self._gram, self._Xy = G, c
        self._root = np.linalg.cholesky(G).T
        self._y_root = solve_triangular(self._root, c, trans="T")

    def at(self, params, w):
        W = self._descend(params, w[: len(self._Xy)])
        l1, l2 = self._l1(params), self._l2(params)
        W = _feature_sign(self._gram, self._Xy, l1, l2, W)
        if W is None:
            return None
        own = W != 0
        other = super().at(params, w)
        other.polished = False  # it is exact, and equal columns would mislead
        other.active, other.signs = own[None], np.sign(W)[None]
        other.n_active = int(own.sum())
        b = self._means[1] - self._means[0] @ W
        other.w = np.append(W[own], [b] if self.has_intercept else [])
        return other

    def _descend(self, params, W):
        """Take coordinate descent from a guess, for most of the way."""
        with warnings.catch_warnings():
            # What is left is done exactly.
            warnings.simplefilter("ignore", ConvergenceWarning)
            _, path, _ = enet_path(
                self._root,
                self._y_root,
                l1_ratio=params.get("l1_ratio", 1.0),
                alphas=[params["alpha"] / len(self._root)],  # it takes the mean
                precompute=self._gram,
                Xy=self._Xy,
                coef_init=W.copy(),  # it is written to
                check_input=False,
                tol=_DESCENT_TOL,
                max_iter=_MAX_DESCENT,
            )
        return path[:, 0]

    def _l1(self, params):
        return params["alpha"] * params.get("l1_ratio", 1.0)

    def _l2(self, params):
        return params["alpha"] * (1 - params.get("l1_ratio", 1.0))


class MultiTaskEquations(ElasticNetEquations):
    """The same with the norm of each feature's coefficients in place of their sum."""

    @staticmethod
    def names(estimator):
        return {"alpha", "l1_ratio"} & set(estimator.get_params(deep=False))

    def _mixes(self):
        return True

    def solution(self, w):
        return None

    def product(self, w, v):
        W, _ = self._unpack(w)
        V, _ = self._unpack(v)
        norms = self._norms(W)
        U = W / norms
        curved = (V - U * (U * V).sum(axis=0)) / norms
        extra = self._pack(curved, np.zeros(len(W)))
        return super().product(w, v) + self._l1(self.params) * extra

    def _directions(self, W):
        return W / self._norms(W)

    @staticmethod
    def _norms(W):
        norms = np.linalg.norm(W, axis=0)
        return np.where(norms > 0, norms, 1)


def _feature_sign(G, c, l1, l2, x):
    """Minimise ``x'Gx / 2 - c'x + l1 |x|_1 + l2 |x|^2 / 2`` from a point close by.

    With the signs of x given, the minimum is that of a parabola. On the way there a
    coefficient may come to zero, and at the end one that is zero may want a sign [1]_.

    Returns
    -------
    x : ndarray of shape (p,) or None
        None if there is no end of it, or no parabola.

    References
    ----------
    .. [1] H. Lee et al., "Efficient sparse coding algorithms", NIPS 2006.
    """
    signs = np.sign(x)
    for _ in range(_MAX_SIGNS):
        own = np.flatnonzero(signs)
        H = G[np.ix_(own, own)]
        H[np.diag_indices_from(H)] += l2
        try:
            factor = cho_factor(H, lower=True, check_finite=False)
        except LinAlgError:
            return None
        old = x[own]
        new = c[own] - l1 * signs[own]
        if len(own):  # older SciPy solves no empty system
            new = cho_solve(factor, new, check_finite=False)
        crossing = new * signs[own] < 0
        if crossing.any():
            # To the first that comes to zero; one that has just got its sign stays.
            share = np.full(len(own), np.inf)
            share[crossing] = old[crossing] / (old[crossing] - new[crossing])
            first = share.argmin()
            x[own] = old + share[first] * (new - old)
            x[own[first]] = signs[own[first]] = 0
            continue
        x[own] = new
        left = c - G[:, own] @ new
        left[own] = 0
        j = np.abs(left).argmax()
        if len(left) == 0 or abs(left[j]) <= l1 * (1 + 1e-7):
            return x
        signs[j] = np.sign(left[j])
    return None
