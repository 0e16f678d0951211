"""Linear models: penalised sums of losses of one linear function of the features.

====================  ===========  ====================================================
symbol                shape        meaning
====================  ===========  ====================================================
W, b                  (k, p), (k,) coefficients and intercepts, one row for each output
A                     (k, p)       active coefficients: all, or with l1 those not zero
eta                   (n, k)       X W' + b
c                     scalar       factor of the sum of losses: C, or 1 / sum of weights
l1, l2                scalar       strengths of c sum(loss) + l1 |W|_1 + l2 |W|^2 / 2
F_W                   (k, p)       c G' X + l2 W + l1 sign(W), on A; G = d loss / d eta
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
from scipy.special import expit, softmax
from sklearn.utils.class_weight import compute_class_weight, compute_sample_weight

from skhpo.hypergradients.base import Equations

# Up to so many unknowns of one output H is factored; beyond, products are enough.
MAX_FACTORED = 2000
# Newer releases of scikit-learn count the weights of samples to balance classes.
_COUNTS_WEIGHTS = "sample_weight" in signature(compute_class_weight).parameters


class Linear(Equations):
    """What the linear models share; a model gives loss and penalty as hooks."""

    _at = None, None  # where products with H were last taken, and the curvature there

    def __init__(self, estimator, X, y, sample_weight):
        params = estimator.get_params(deep=False)
        self.params = params
        self.X = X
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

    def residual(self, w, params, X):
        W, b = self._unpack(w)
        G = self._factor_of_losses(params) * self._slope(X @ W.T + b, params)
        F_W = (X.T @ G).T + self._l2(params) * W + self._l1(params) * self.signs
        F_b = G.sum(axis=0) + self._l2_intercept(params) * b
        return self._pack(F_W, F_b + self._l1_intercept(params) * self.intercept_signs)

    def product(self, w, v):
        if self._at[0] is not w:
            W, b = self._unpack(w)
            self._at = w, self._curvature_product(self.X @ W.T + b)
        V, vb = self._unpack(v)
        G = self._at[1](self.X @ V.T + vb)
        G = self._factor_of_losses(self.params) * G
        H_W = (self.X.T @ G).T + self._l2(self.params) * V
        return self._pack(H_W, G.sum(axis=0) + self._l2_intercept(self.params) * vb)

    def by_factors(self, w, u, params):
        # Another scale of a column is, after the change of variables that leaves eta as
        # it is, another penalty of its coefficients.
        W, _ = self._unpack(w)
        U, _ = self._unpack(u)
        l1, l2 = self._l1(params), self._l2(params)
        return -(U * (2 * l2 * W + l1 * self._directions(W))).sum(axis=0)

    def _directions(self, W):
        """Give the derivative of the l1 penalty by the coefficients."""
        return self.signs

    def factor(self, w):
        if self._mixes() or self.active.sum(axis=1).max(initial=0) > MAX_FACTORED:
            return None
        W, b = self._unpack(w)
        D = self._factor_of_losses(self.params) * self._curvature(self.X @ W.T + b)
        factors, shared = [], self._l1(self.params) == 0 and not (D - D[:, :1]).any()
        for j in range(len(W)):
            if shared and j:
                factors.append(factors[0])
                continue
            factor = self._factor_one(D[:, j], self.active[j])
            if factor is None:
                return None
            factors.append(factor)

        def solve(rhs):
            R, rb = self._unpack(rhs)
            for j, factor in enumerate(factors):
                own = self.active[j]
                both = np.append(R[j, own], [rb[j]] if self.has_intercept else [])
                both = cho_solve(factor, both)
                R[j, own] = both[: own.sum()]
                rb[j] = both[-1] if self.has_intercept else 0
            return self._pack(R, rb)

        return solve

    def _factor_one(self, d, active):
        H = self._hessian_of_losses(d, active)
        n_own = int(active.sum())
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
        else:
            XD = X * d[:, None]
            H[:n_own, :n_own] = XD.T @ X
        if self.has_intercept:
            H[-1, :n_own] = H[:n_own, -1] = np.asarray(XD.sum(axis=0)).ravel()
            H[-1, -1] = d.sum()
        return H

    def outputs(self, w, params, X, X_new):
        W, b = self._unpack(w)
        return self._predict(X_new @ W.T + b)[0]

    def pullback(self, w, X_new, cotangent):
        W, b = self._unpack(w)
        cotangent = cotangent * self._predict(X_new @ W.T + b)[1]
        return self._pack((X_new.T @ cotangent).T, cotangent.sum(axis=0))


class RidgeEquations(Linear):
    """Ridge, with one penalty for all targets."""

    @staticmethod
    def names(estimator):
        usable = np.ndim(estimator.alpha) == 0 and not estimator.positive
        return {"alpha"} if usable else set()

    def __init__(self, estimator, X, y, sample_weight):
        super().__init__(estimator, X, y, sample_weight)
        self._kept = {}

    def at(self, params):
        other = copy(self)
        other.params = params
        other._at = None, None
        return other

    def _hessian_of_losses(self, d, active):
        # The same for all targets and penalties.
        if "H" not in self._kept:
            self._kept["H"] = super()._hessian_of_losses(d, active)
        return self._kept["H"].copy()

    def _l2(self, params):
        return params["alpha"]


class RidgeClassifierEquations(RidgeEquations):
    """Ridge on targets of -1 and 1; its outputs are decision values."""

    kind = "decision"

    def _targets(self, estimator, y):
        return 2 * _one_hot(estimator, y) - 1


class ElasticNetEquations(Linear):
    """Lasso and elastic net, for one target."""

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

    def residual(self, w, params, X):
        W, _ = self._unpack(w)
        extra = self._pack(self._directions(W) - self.signs, np.zeros(len(W)))
        return super().residual(w, params, X) + self._l1(params) * extra

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


class LogisticRegressionEquations(Linear):
    """Logistic regression with any penalty, two classes or softmax."""

    kind = "log-odds"

    @staticmethod
    def names(estimator):
        params = estimator.get_params(deep=False)
        if params.get("multi_class", "deprecated") not in ("auto", "deprecated"):
            return set()
        penalty, _ = _penalty(params)
        if penalty is None or not np.isfinite(estimator.C):
            return set()
        # Since 1.8 the ratio alone tells, and its ends are values like others.
        new = params.get("penalty", "deprecated") == "deprecated"
        mixed = estimator.solver == "saga" if new else penalty == "elasticnet"
        return {"C", "l1_ratio"} if mixed else {"C"}

    def _targets(self, estimator, y):
        Y = _one_hot(estimator, y)
        if Y.shape[1] > 1 and estimator.solver == "liblinear":
            raise ValueError(
                "LogisticRegression(solver='liblinear') fits several classes one by "
                "one, which has no smooth probabilities; use solver='lbfgs'."
            )
        return Y

    def _class_weights(self, estimator, y, sample_weight):
        return _weights_of_classes(estimator, y, sample_weight)

    def _mixes(self):
        return self.y.shape[1] > 1

    def _slope(self, eta, params):
        p = softmax(eta, axis=1) if self._mixes() else expit(eta)
        return self.s[:, None] * (p - self.y)

    def _curvature(self, eta):
        p = expit(eta)
        return self.s[:, None] * p * (1 - p)

    def _curvature_product(self, eta):
        if not self._mixes():
            return super()._curvature_product(eta)
        p = softmax(eta, axis=1)
        sp = self.s[:, None] * p

        def multiply(change):
            return sp * (change - np.einsum("ij,ij->i", p, change)[:, None])

        return multiply

    def product(self, w, v):
        Hv = super().product(w, v)
        if self._mixes() and self.has_intercept:
            # A common shift of all intercepts changes nothing; as a curvature of its
            # own it gives the solution that has no shift.
            k = self.y.shape[1]
            Hv[-k:] += self.s.sum() * v[-k:].mean()
        return Hv

    # The objective divided by C keeps the losses as they are.

    def _l1(self, params):
        return _penalty(params)[1] / params["C"]

    def _l2(self, params):
        return (1 - _penalty(params)[1]) / params["C"]

    def _l1_intercept(self, params):
        if params["solver"] != "liblinear":
            return 0.0
        return self._l1(params) / params["intercept_scaling"]

    def _l2_intercept(self, params):
        if params["solver"] != "liblinear":
            return 0.0
        return self._l2(params) / params["intercept_scaling"] ** 2


def _one_hot(estimator, y):
    """Mark the class of each row; of two classes the second, in one column."""
    Y = (np.asarray(y)[:, None] == estimator.classes_).astype(float)
    return Y[:, 1:] if Y.shape[1] == 2 else Y


def _weights_of_classes(estimator, y, sample_weight):
    counted = {"sample_weight": sample_weight} if _COUNTS_WEIGHTS else {}
    classes = estimator.classes_
    weights = compute_class_weight(
        estimator.class_weight, classes=classes, y=y, **counted
    )
    return weights[np.searchsorted(classes, y)]


def _penalty(params):
    """Tell which penalty holds, and its l1_ratio, across releases of scikit-learn."""
    penalty, ratio = params.get("penalty", "deprecated"), params.get("l1_ratio")
    if penalty == "deprecated":
        ratio = ratio or 0.0
        return {0.0: "l2", 1.0: "l1"}.get(float(ratio), "elasticnet"), ratio
    return penalty, {"l1": 1.0, "l2": 0.0, None: 0.0}.get(penalty, ratio)


class LinearSVCEquations(Linear):
    """Squared hinge; smooth but for the second derivative."""

    kind = "decision"

    @staticmethod
    def names(estimator):
        usable = (
            estimator.loss == "squared_hinge"
            and estimator.penalty == "l2"
            and estimator.multi_class == "ovr"
        )
        return {"C"} if usable else set()

    def __init__(self, estimator, X, y, sample_weight):
        super().__init__(estimator, X, y, sample_weight)
        self.S = self.s[:, None]
        if self.y.shape[1] > 1:
            # Of one class and the rest, liblinear gives the weight only to the one.
            s = np.ones(len(self.s)) if sample_weight is None else sample_weight
            self.S = np.where(self.y > 0, self.S, s[:, None])

    def _targets(self, estimator, y):
        return 2 * _one_hot(estimator, y) - 1

    def _class_weights(self, estimator, y, sample_weight):
        return _weights_of_classes(estimator, y, sample_weight)

    def _slope(self, eta, params):
        return -2 * self.S * self.y * np.maximum(1 - self.y * eta, 0)

    def _curvature(self, eta):
        return 2 * self.S * (self.y * eta < 1)

    def _l2(self, params):
        return 1 / params["C"]

    def _l2_intercept(self, params):
        return 1 / (params["C"] * params["intercept_scaling"] ** 2)


class LinearSVREquations(LinearSVCEquations):
    """Squared distance beyond epsilon."""

    kind = "prediction"

    @staticmethod
    def names(estimator):
        if estimator.loss != "squared_epsilon_insensitive":
            return set()
        return {"C", "epsilon"}

    def _targets(self, estimator, y):
        return np.asarray(y, float).reshape(-1, 1)

    def _slope(self, eta, params):
        left = eta - self.y
        beyond = np.maximum(np.abs(left) - params["epsilon"], 0)
        return 2 * self.s[:, None] * np.sign(left) * beyond

    def _curvature(self, eta):
        beyond = np.abs(eta - self.y) > self.params["epsilon"]
        return 2 * self.s[:, None] * beyond


class PoissonEquations(Linear):
    """Poisson regression with its log link; others of its kind change the deviance."""

    power = 1.0

    @staticmethod
    def names(estimator):
        return {"alpha"}

    def _factor_of_losses(self, params):
        return 1 / self.s.sum()

    def _l2(self, params):
        return params["alpha"]

    def _power(self, params):
        return self.power

    def _slope(self, eta, params):
        power = self._power(params)
        mu = np.exp(eta)
        return self.s[:, None] * (mu ** (2 - power) - self.y * mu ** (1 - power))

    def _curvature(self, eta):
        power, mu = self._power(self.params), np.exp(eta)
        value = (2 - power) * mu ** (2 - power)
        value -= (1 - power) * self.y * mu ** (1 - power)
        return self.s[:, None] * value

    def _predict(self, eta):
        mu = np.exp(eta)
        return mu, mu


class GammaEquations(PoissonEquations):
    """Gamma regression with a log link."""

    power = 2.0


class TweedieEquations(PoissonEquations):
    """Tweedie regression; the power can be differentiated too."""

    @staticmethod
    def names(estimator):
        if estimator.link == "identity" or (
            estimator.link == "auto" and estimator.power <= 0
        ):
            return {"alpha"} if estimator.power == 0 else set()
        return {"alpha", "power"} if estimator.power >= 1 else {"alpha"}

    def __init__(self, estimator, X, y, sample_weight):
        power, link = estimator.power, estimator.link
        self._identity = link == "identity" or (link == "auto" and power <= 0)
        super().__init__(estimator, X, y, sample_weight)

    def _power(self, params):
        return params["power"]

    def _slope(self, eta, params):
        if self._identity:
            return Linear._slope(self, eta, params)
        return super()._slope(eta, params)

    def _curvature(self, eta):
        if self._identity:
            return Linear._curvature(self, eta)
        return super()._curvature(eta)

    def _predict(self, eta):
        return (eta, 1.0) if self._identity else super()._predict(eta)


class HuberEquations(Linear):
    """Huber regression: coefficients and intercept together with the scale.

    The objective is ``sum s_i (sigma + H(r_i / sigma) sigma) + alpha |W|^2`` with
    ``H(z) = z^2`` up to epsilon and ``2 epsilon |z| - epsilon^2`` beyond.
    """

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

    def by_factors(self, w, u, params):
        return super().by_factors(w[:-1], u[:-1], params)

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
