"""What linear models share: penalised losses of one linear function of the features.

====================  ===========  ====================================================
symbol                shape        meaning
====================  ===========  ====================================================
W, b                  (k, p), (k,) coefficients and intercepts, one row for each output
U, ub                 (k, p), (k,) their parts of the adjoint u
A                     (k, p)       active coefficients: all, or with l1 those not zero
eta                   (n, k)       X W' + b
s                     (n,)         weights of samples, times those of their classes
G, D                  (n, k)       first and second derivative of s loss by eta
c                     scalar       factor of the sum of losses: 1, or 1 / sum(s)
l1, l2                scalar       strengths of c sum(loss) + l1 |W|_1 + l2 |W|^2 / 2
F_W                   (k, p)       c G' X + l2 W + l1 sign(W), on A
F_b                   (k,)         c sum(G), plus the penalty of an intercept, if any
====================  ===========  ====================================================

On A the solution of an l1 problem is smooth in the hyperparameters almost everywhere,
and the others stay zero [1]_.

References
----------
.. [1] Q. Bertrand et al., "Implicit differentiation for fast hyperparameter selection
   in non-smooth convex learning", JMLR 2022.
"""

from copy import copy
from inspect import signature

import numpy as np
from scipy.linalg import LinAlgError, cho_factor, cho_solve
from scipy.sparse import issparse
from sklearn.base import is_classifier
from sklearn.utils.class_weight import compute_class_weight, compute_sample_weight

from skhpo.hypergradients.base import Equations, Rough

# Up to so many unknowns of one output H is factored; beyond, products are enough.
MAX_FACTORED = 2000
# Newer releases of scikit-learn count the weights of samples to balance classes.
_COUNTS_WEIGHTS = "sample_weight" in signature(compute_class_weight).parameters


class Linear(Equations):
    """What the linear models share; a model gives loss and penalty as hooks.

    One that changes ``residual`` or ``outputs`` gives its own ``by_features``, or None.
    """

    _of_losses = ()  # parameters on which the losses depend
    _quadratic = False  # whether their second derivatives are the same everywhere
    _at = None, None  # where products with H were last taken, and the curvature there

    def __init__(self, estimator, X, y, sample_weight):
        params = estimator.get_params(deep=False)
        self.params = params
        self.X = X
        self._XT = X.T  # of a sparse matrix it costs as much as a product
        self.s = np.ones(X.shape[0]) if sample_weight is None else sample_weight
        if params.get("class_weight") is not None:
            self.s = self.s * self._class_weights(estimator, y, sample_weight)
        self.y = self._targets(estimator, y)
        W = np.atleast_2d(estimator.coef_).astype(float)
        self.signs = np.sign(W)
        self.active = self.signs != 0 if self._l1(params) else np.ones(W.shape, bool)
        self.n_active = int(self.active.sum())
        b = np.broadcast_to(np.asarray(estimator.intercept_, float), len(W))
        self.intercept_signs = np.sign(b)
        # An l1 penalty may keep an intercept at zero, as it does a coefficient.
        self.has_intercept = params.get("fit_intercept", True) and not (
            self._l1_intercept(params) and not b.any()
        )
        self.w = np.concatenate([W[self.active], b if self.has_intercept else []])
        # Second derivatives of the losses, for other parameters too.
        self._kept = None

    # The hooks; slope and curvature are per sample and weighted.

    def _targets(self, estimator, y):
        return np.asarray(y, float).reshape(len(y), -1)

    def _class_weights(self, estimator, y, sample_weight):
        return compute_sample_weight(estimator.class_weight, y)

    def _slope(self, eta, params):
        return self.s[:, None] * (eta - self.y)

    def _curvature(self, eta):
        """Second derivative, of shape (n, k), where outputs do not mix."""
        return np.broadcast_to(self.s[:, None], eta.shape)

    def _curvature_product(self, eta):
        """Give the function that multiplies a change of eta by the curvature."""
        D = self._curvature(eta)
        return lambda change: D * change

    def _factor_of_losses(self, params):
        return 1.0

    def _l1(self, params):
        return 0.0

    def _l2(self, params):
        return 0.0

    def _l1_intercept(self, params):
        return 0.0

    def _l2_intercept(self, params):
        return 0.0

    def _mixes(self):
        """Whether outputs depend on one another."""
        return False

    def _predict(self, eta):
        """Give the outputs and their derivative by eta."""
        return eta, 1.0

    # The equations.

    def _unpack(self, w):
        W = np.zeros(self.active.shape)
        W[self.active] = w[: self.n_active]
        b = w[self.n_active :].copy() if self.has_intercept else np.zeros(len(W))
        return W, b

    def _pack(self, W, b):
        return np.concatenate([W[self.active], b if self.has_intercept else []])

    def _times(self, X, G):
        """Multiply G' by X, of shape (k, p)."""
        return ((self._XT if X is self.X else X.T) @ G).T

    def residual(self, w, params, X):
        W, b = self._unpack(w)
        G = self._factor_of_losses(params) * self._slope(X @ W.T + b, params)
        F = self._pack(self._times(X, G), G.sum(axis=0))
        return F + self._of_penalty(W, b, params)

    def _of_penalty(self, W, b, params):
        """Differentiate the penalty by w."""
        F_W = self._l2(params) * W + self._l1(params) * self._directions(W)
        F_b = self._l2_intercept(params) * b
        return self._pack(F_W, F_b + self._l1_intercept(params) * self.intercept_signs)

    def by_parameter(self, w, params, name):
        if name in self._of_losses:
            return None
        value = float(params[name])
        step = 1e-4 * (abs(value) or 1.0)
        ends = [
            self._of_penalty(*self._unpack(w), {**params, name: value + h})
            for h in (step, -step)
        ]
        return (ends[0] - ends[1]) / (2 * step)

    def product(self, w, v):
        if self._quadratic and self._kept:
            return self._kept_product(v)
        if self._at[0] is not w:
            W, b = self._unpack(w)
            self._at = w, self._curvature_product(self.X @ W.T + b)
        V, vb = self._unpack(v)
        # Outputs lie one after another, which makes sums over them and products fast.
        change = self.X @ V.T if issparse(self.X) else (V @ self._XT).T
        G = self._at[1](change + vb)
        factor = self._factor_of_losses(self.params)
        if factor != 1:
            G = factor * G
        H_W = self._times(self.X, G) + self._l2(self.params) * V
        return self._pack(H_W, G.sum(axis=0) + self._l2_intercept(self.params) * vb)

    def by_factors(self, w, u, params):
        # Another scale of a column is, after the change of variables that leaves eta as
        # it is, another penalty of its coefficients.
        W, _ = self._unpack(w)
        U, _ = self._unpack(u)
        l1, l2 = self._l1(params), self._l2(params)
        return -(U * (2 * l2 * W + l1 * self._directions(W))).sum(axis=0)

    def by_features(self, w, u, d_f, X, X_new):
        W, b = self._unpack(w)
        U, ub = self._unpack(u)
        eta, c = X @ W.T + b, self._factor_of_losses(self.params)
        # u'F is c sum(G * (X U' + ub)) and what X has no part in; X moves G by eta.
        by_eta = c * self._curvature_product(eta)(X @ U.T + ub)
        of_train = [(by_eta, W), (c * self._slope(eta, self.params), U)]
        return of_train, [(d_f * self._predict(X_new @ W.T + b)[1], W)]

    def _directions(self, W):
        """Give the derivative of the l1 penalty by the coefficients."""
        return self.signs

    def factor(self, w):
        if self._mixes():
            return self._joint_factor(w)
        if self.active.sum(axis=1).max(initial=0) > MAX_FACTORED:
            return None
        Hs = self._hessians(w)
        factors = [self._factor_one(H) for H in Hs]
        if None in factors:
            return None
        factors *= len(self.active) // len(factors)

        def solve(rhs):
            R, rb = self._unpack(rhs)
            for j, factor in enumerate(factors):
                own = self.active[j]
                both = np.append(R[j, own], [rb[j]] if self.has_intercept else [])
                if len(both):  # older SciPy solves no empty system
                    both = cho_solve(factor, both, check_finite=False)
                R[j, own] = both[: own.sum()]
                rb[j] = both[-1] if self.has_intercept else 0
            return self._pack(R, rb)

        return Rough(solve) if self._kept is not None else solve

    def _joint_factor(self, w):
        """Factor H as a whole, where outputs depend on one another."""
        return None

    def _hessians(self, w):
        """Sum second derivatives of losses for each output; once if all are equal."""
        if self._kept:
            return [self._among_active(H) for H in self._kept]
        W, b = self._unpack(w)
        D = self._factor_of_losses(self.params) * self._curvature(self.X @ W.T + b)
        shared = self.active.all() and not (D - D[:, :1]).any()
        D = D[:, :1] if shared else D
        if self._kept is None:
            return list(map(self._hessian_of_losses, D.T, self.active))
        every = np.ones(self.active.shape[1], bool)
        self._kept.extend(self._hessian_of_losses(d, every) for d in D.T)
        return [self._among_active(H) for H in self._kept]

    def _kept_product(self, v):
        """Multiply H by a vector, without the data."""
        V, vb = self._unpack(v)
        both = np.column_stack([V, vb]) if self.has_intercept else V
        Hs = self._kept * (len(V) // len(self._kept))
        G = np.stack([H @ row for H, row in zip(Hs, both, strict=True)])
        p = V.shape[1]
        of_b = G[:, p] + self._l2_intercept(self.params) * vb if G.shape[1] > p else vb
        return self._pack(G[:, :p] + self._l2(self.params) * V, of_b)

    def _among_active(self, H):
        """Take the part of what is kept that belongs to active coefficients."""
        if self.active.all():
            return H.copy()
        own = np.concatenate([self.active[0], np.ones(int(self.has_intercept), bool)])
        return H[np.ix_(own, own)]

    def _factor_one(self, H):
        """Factor the second derivatives of one output."""
        n_own = len(H) - self.has_intercept
        H[np.diag_indices(n_own)] += self._l2(self.params)
        if self.has_intercept:
            H[-1, -1] += self._l2_intercept(self.params)
        H[np.diag_indices_from(H)] += 1e-12 * np.trace(H) / max(len(H), 1)
        try:
            return cho_factor(H, lower=True, overwrite_a=True, check_finite=False)
        except LinAlgError:
            return None

    def _hessian_of_losses(self, d, active):
        """Sum the losses' second derivatives for one output, intercept last."""
        X = self.X if active.all() else self.X[:, active]
        n_own = X.shape[1]
        H = np.empty(2 * (n_own + self.has_intercept,))
        if issparse(X):
            XD = X.multiply(d[:, None]).tocsr()
            H[:n_own, :n_own] = (XD.T @ X).toarray()
        elif len(d) and (d == d[0]).all():
            H[:n_own, :n_own] = X.T @ X
            H[:n_own, :n_own] *= d[0]
        elif d.min(initial=0.0) >= 0:
            # Of a matrix and its own transpose, half the work is enough.
            XD = X * np.sqrt(d)[:, None]
            H[:n_own, :n_own] = XD.T @ XD
        else:
            H[:n_own, :n_own] = (X * d[:, None]).T @ X
        if self.has_intercept:
            H[-1, :n_own] = H[:n_own, -1] = X.T @ d
            H[-1, -1] = d.sum()
        return H

    # Solutions at other parameters, where no coefficient is kept at zero.

    def solution(self, w):
        if not (self.active.all() and self.polished):
            return None
        return np.concatenate([part.ravel() for part in self._unpack(w)])

    @classmethod
    def restore(cls, estimator, X, y, solution):
        """Write coefficients and intercepts to an estimator."""
        if is_classifier(estimator):
            cls._name_classes(estimator, y)
        parts = np.split(solution, [-(solution.size // (X.shape[1] + 1))])
        estimator.coef_ = parts[0].reshape(-1, X.shape[1])
        estimator.intercept_ = parts[1]

    @classmethod
    def begin(cls, estimator, X, y, sample_weight, solution):
        cls.restore(estimator, X, y, solution)
        equations = cls(estimator, X, y, sample_weight)
        equations._kept = []
        return equations

    @staticmethod
    def _name_classes(estimator, y):
        """Give an estimator that is not fitted the classes that it would have."""
        estimator.classes_ = np.unique(y)

    def at(self, params, w):
        other = copy(self)
        other.params, other.w = params, w
        other._at = None, None
        return other

    def widened(self, w):
        if self.active.all():
            return w
        W, b = self._unpack(w)
        return np.concatenate([W.ravel(), b if self.has_intercept else []])

    def refresh(self):
        if self._kept:
            self._kept.clear()

    def outputs(self, w, params, X, X_new):
        W, b = self._unpack(w)
        return self._predict(X_new @ W.T + b)[0]

    def pullback(self, w, X_new, cotangent):
        W, b = self._unpack(w)
        cotangent = cotangent * self._predict(X_new @ W.T + b)[1]
        return self._pack((X_new.T @ cotangent).T, cotangent.sum(axis=0))


def one_hot(estimator, y):
    """Mark the class of each row; of two classes the second, in one column."""
    Y = (np.asarray(y)[:, None] == estimator.classes_).astype(float)
    return Y[:, 1:] if Y.shape[1] == 2 else Y


def weights_of_classes(estimator, y, sample_weight):
    """Give each sample the weight of its class."""
    counted = {"sample_weight": sample_weight} if _COUNTS_WEIGHTS else {}
    classes = estimator.classes_
    weights = compute_class_weight(
        estimator.class_weight, classes=classes, y=y, **counted
    )
    return weights[np.searchsorted(classes, y)]
