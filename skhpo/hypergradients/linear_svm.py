"""Linear support vector machines, of the losses that are squared.

====================  ===========  ====================================================
symbol                shape        meaning
====================  ===========  ====================================================
W, b                  (k, p), (k,) coefficients and intercepts, one row for each machine
eta                   (n, k)       X W' + b, decision values or predictions
y                     (n, k)       -1 and 1, the one class against the rest; or targets
s                     (n,)         weights of samples, times those of their classes
S                     (n, k)       the same in each machine; of several, the weight of a
                                   class counts for that class and not for the rest
C                     scalar       inverse strength of the penalty
epsilon               scalar       errors of a regression that cost nothing
====================  ===========  ====================================================

The objective is ``sum(S loss) + (|W|^2 + |b / intercept_scaling|^2) / (2 C)``, or with
an l1 penalty ``sum(S loss) + (|W|_1 + |b / intercept_scaling|) / C``, which is
that of liblinear divided by C: it takes the intercept for the coefficient of a feature
that is ``intercept_scaling`` everywhere [1]_. The loss is ``max(1 - y eta, 0)^2``, or
``max(|eta - y| - epsilon, 0)^2`` for a regression [2]_. Both have a second derivative
but where a sample is just at its margin. Losses that are not squared have slopes that
jump; they are those of :mod:`skhpo.hypergradients.hinge`.

References
----------
.. [1] R.-E. Fan et al., "LIBLINEAR: a library for large linear classification",
   JMLR 2008.
.. [2] C.-H. Ho and C.-J. Lin, "Large-scale linear support vector regression",
   JMLR 2012.
"""

import numpy as np

from skhpo.hypergradients.hinge import HingeSVCEquations, HingeSVREquations
from skhpo.hypergradients.linear import Linear, one_hot, weights_of_classes


class LinearSVCEquations(Linear):
    """Squared hinge; smooth but for the second derivative."""

    kind = "decision"

    @staticmethod
    def names(estimator):
        # Liblinear knows no l1 penalty beside a loss that is not squared.
        return {"C"} if estimator.multi_class == "ovr" else set()

    @classmethod
    def variant(cls, estimator):
        if estimator.multi_class != "ovr":
            return cls  # which has no names then; liblinear heeds no loss there
        return HingeSVCEquations if estimator.loss == "hinge" else cls

    def __init__(self, estimator, X, y, sample_weight):
        super().__init__(estimator, X, y, sample_weight)
        self.S = self.s[:, None]
        if self.y.shape[1] > 1:
            # Of one class and the rest, liblinear gives the weight only to the one.
            s = np.ones(len(self.s)) if sample_weight is None else sample_weight
            self.S = np.where(self.y > 0, self.S, s[:, None])

    def _targets(self, estimator, y):
        return 2 * one_hot(estimator, y) - 1

    def _class_weights(self, estimator, y, sample_weight):
        return weights_of_classes(estimator, y, sample_weight)

    def _slope(self, eta, params):
        return -2 * self.S * self.y * np.maximum(1 - self.y * eta, 0)

    def _curvature(self, eta):
        return 2 * self.S * (self.y * eta < 1)

    def _l1(self, params):
        return (params.get("penalty") == "l1") / params["C"]

    def _l2(self, params):
        return (params.get("penalty", "l2") == "l2") / params["C"]

    def _l1_intercept(self, params):
        return self._l1(params) / params["intercept_scaling"]

    def _l2_intercept(self, params):
        return self._l2(params) / params["intercept_scaling"] ** 2


class LinearSVREquations(LinearSVCEquations):
    """Squared distance beyond epsilon."""

    kind = "prediction"
    _of_losses = ("epsilon",)

    @staticmethod
    def names(estimator):
        return {"C", "epsilon"}

    @classmethod
    def variant(cls, estimator):
        return HingeSVREquations if estimator.loss == "epsilon_insensitive" else cls

    def _targets(self, estimator, y):
        return np.asarray(y, float).reshape(-1, 1)

    def _slope(self, eta, params):
        left = eta - self.y
        beyond = np.maximum(np.abs(left) - params["epsilon"], 0)
        return 2 * self.s[:, None] * np.sign(left) * beyond

    def _curvature(self, eta):
        beyond = np.abs(eta - self.y) > self.params["epsilon"]
        return 2 * self.s[:, None] * beyond
