"""Logistic regression of two classes or more, with any penalty.

====================  ===========  ====================================================
symbol                shape        meaning
====================  ===========  ====================================================
W, b                  (k, p), (k,) coefficients and intercepts; k = 1 for two classes
eta                   (n, k)       X W' + b, log-odds or logits
p                     (n, k)       probabilities: expit(eta), or softmax of the rows
y                     (n, k)       one column for each class; of two only the second
s                     (n,)         weights of samples, times those of their classes
C, r                  scalar       inverse strength of the penalty, and its l1_ratio
====================  ===========  ====================================================

The objective is ``sum(s loss) + (r |W|_1 + (1 - r) |W|^2 / 2) / C``, which is that of
scikit-learn divided by C. By eta the loss of a sample has the derivative ``p - y`` and
the curvature ``diag(p) - p p'``, for one column ``p (1 - p)`` [1]_. Liblinear takes the
intercept for the coefficient of a feature that is ``intercept_scaling`` everywhere, and
so penalises it too [2]_.

References
----------
.. [1] D. Boehning, "Multinomial logistic regression algorithm", Annals of the Institute
   of Statistical Mathematics 1992.
.. [2] R.-E. Fan et al., "LIBLINEAR: a library for large linear classification",
   JMLR 2008.
"""

import numpy as np
from scipy.linalg import LinAlgError, cho_factor
from scipy.linalg.blas import strsv
from scipy.sparse import issparse
from scipy.special import expit, softmax
from sklearn.utils import gen_batches

from skhpo.hypergradients.base import Rough
from skhpo.hypergradients.linear import Linear, one_hot, weights_of_classes

# Up to so many unknowns of all classes H is factored; and numbers that it is made from
# at a time.
_MAX_JOINT = 1200
_MAX_CELLS = 2**22


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

    @property
    def unique(self):
        # A penalty of squares is strictly convex.
        return not self._l1(self.params)

    def _targets(self, estimator, y):
        Y = one_hot(estimator, y)
        if Y.shape[1] > 1 and estimator.solver == "liblinear":
            raise ValueError(
                "LogisticRegression(solver='liblinear') fits several classes one by "
                "one, which has no smooth probabilities; use solver='lbfgs'."
            )
        return Y

    def _class_weights(self, estimator, y, sample_weight):
        return weights_of_classes(estimator, y, sample_weight)

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
        p = np.asfortranarray(softmax(eta, axis=1))
        sp = self.s[:, None] * p

        def multiply(change):
            other = change - np.einsum("ij,ij->i", p, change)[:, None]
            other *= sp
            return other

        return multiply

    def product(self, w, v):
        Hv = super().product(w, v)
        if self._mixes() and self.has_intercept:
            # A common shift of all intercepts changes nothing; as a curvature of its
            # own it gives the solution that has no shift.
            k = self.y.shape[1]
            Hv[-k:] += self.s.sum() * v[-k:].mean()
        return Hv

    def _joint_factor(self, w):
        if len(w) > _MAX_JOINT or issparse(self.X) or not self.active.all():
            return None
        H = self._kept[0] if self._kept else self._joint_hessian(w)
        if self._kept is not None:
            self._kept[:] = [H]
        H = H.copy()
        H[np.diag_indices(self.n_active)] += self._l2(self.params)
        H[np.diag_indices_from(H)] += 1e-6 * np.trace(H) / len(H)
        try:
            L, _ = cho_factor(H, lower=True, overwrite_a=True, check_finite=False)
        except LinAlgError:
            return None

        def solve(rhs):
            # For a single right side in a quarter of the time of `cho_solve`.
            x = strsv(L, rhs.astype(np.float32), lower=True)
            return strsv(L, x, lower=True, trans=True)

        return Rough(solve)

    def _joint_hessian(self, w):
        """Sum the losses' second derivatives, of all classes, in single precision."""
        W, b = self._unpack(w)
        k, p = W.shape
        H = np.zeros(2 * (len(w),), np.float32)
        for rows in gen_batches(len(self.X), max(1, _MAX_CELLS // len(w))):
            X, root = self.X[rows], np.sqrt(self.s[rows])[:, None]
            P = softmax(X @ W.T + b, axis=1)
            X = (root * X).astype(np.float32)
            if self.has_intercept:
                X = np.column_stack([X, root.astype(np.float32)])
            P = P.astype(np.float32)
            # diag(p) of each sample, minus p p'.
            Y = np.empty((len(X), len(w)), np.float32)
            product = Y[:, : k * p].reshape(len(X), k, p)
            np.multiply(P[:, :, None], X[:, None, :p], out=product)
            if self.has_intercept:
                np.multiply(P, X[:, p:], out=Y[:, k * p :])
            H -= Y.T @ Y
            for j in range(k):
                Xd = np.sqrt(P[:, j : j + 1]) * X
                own = np.arange(j * p, (j + 1) * p)
                if self.has_intercept:
                    own = np.append(own, k * p + j)
                H[np.ix_(own, own)] += Xd.T @ Xd
        if self.has_intercept:
            H[-k:, -k:] += self.s.sum() / k
        return H

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


def _penalty(params):
    """Tell which penalty holds, and its l1_ratio, across releases of scikit-learn."""
    penalty, ratio = params.get("penalty", "deprecated"), params.get("l1_ratio")
    if penalty == "deprecated":
        ratio = ratio or 0.0
        return {0.0: "l2", 1.0: "l1"}.get(float(ratio), "elasticnet"), ratio
    return penalty, {"l1": 1.0, "l2": 0.0, None: 0.0}.get(penalty, ratio)
