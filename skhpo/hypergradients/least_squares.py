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

from copy import copy

import numpy as np

from skhpo.hypergradients.linear import Linear, one_hot


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
        return 2 * one_hot(estimator, y) - 1


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
