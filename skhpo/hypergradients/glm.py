"""Generalised linear models: Poisson, gamma and Tweedie regression.

====================  ===========  ====================================================
symbol                shape        meaning
====================  ===========  ====================================================
W, b                  (1, p), (1,) coefficients and intercept
eta                   (n, 1)       X W' + b
mu                    (n, 1)       predictions: exp(eta); with the identity link eta
y                     (n, 1)       targets
s                     (n,)         weights of samples
power                 scalar       the variance is mu^power: 1 Poisson, 2 gamma
d(y, mu)              (n, 1)       unit deviance; d'(mu) = 2 (mu - y) / mu^power
alpha                 scalar       strength of the penalty
====================  ===========  ====================================================

The objective is ``sum(s d(y, mu)) / (2 sum(s)) + alpha |W|^2 / 2`` [1]_. With the log
link half the deviance has the derivative ``mu^(2 - power) - y mu^(1 - power)`` by eta;
with the identity, at power 0, it is that of least squares.

References
----------
.. [1] B. Jorgensen, "Exponential dispersion models", Journal of the Royal Statistical
   Society B 1987.
"""

import numpy as np

from skhpo.hypergradients.linear import Linear


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

    _of_losses = ("power",)

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
