"""How much a new evaluation may gain: log expected improvement, confidence bound.

====================  ===========  ====================================================
symbol                shape        meaning
====================  ===========  ====================================================
mean, std             (m,)         prediction of the loss
best                  scalar       loss to improve on
z                     (m,)         (best - mean) / std
phi, Phi              (m,)         density and distribution function of the normal
h(z)                  (m,)         phi(z) + z Phi(z); expected improvement is std h(z)
r(z)                  (m,)         h'(z) / h(z) = Phi(z) / h(z)
M(x)                  (m,)         Mills' ratio Phi(-x) / phi(x) = sqrt(pi / 2)
                                   erfcx(x / sqrt 2)
====================  ===========  ====================================================

Expected improvement underflows where nothing is expected, and its gradient with it. Its
logarithm does not, if ``1 - x M(x)`` is computed without cancellation [1]_: from Mills'
ratio up to x = 100, and from its asymptotic series beyond.

References
----------
.. [1] S. Ament, S. Daulton, D. Eriksson, M. Balandat and E. Bakshy, "Unexpected
   improvements to expected improvement for Bayesian optimization", 2023.
.. [2] N. Srinivas, A. Krause, S. Kakade and M. Seeger, "Gaussian process optimization
   in the bandit setting", 2010.
.. [3] J. Snoek, H. Larochelle and R. P. Adams, "Practical Bayesian optimization of
   machine learning algorithms", 2012.
"""

import numpy as np
from scipy.special import erfcx, ndtr

_LOG_SQRT_2PI = 0.5 * np.log(2 * np.pi)


def log_h(z):
    """Compute ``log h(z)`` and its derivative ``r(z)``, for any z.

    Parameters
    ----------
    z : ndarray
        Standardised improvement of the mean.

    Returns
    -------
    value, slope : ndarray of the shape of z
        The logarithm and its derivative, accurate into the far tails.
    """
    z = np.asarray(z, dtype=float)
    # Near and above zero, directly.
    near = np.maximum(z, -1)
    density = np.exp(-0.5 * near**2 - _LOG_SQRT_2PI)
    h = density + near * ndtr(near)
    # Below, through Mills' ratio at x = -z.
    x = np.maximum(-z, 1)
    mills = np.sqrt(np.pi / 2) * erfcx(x / np.sqrt(2))
    q = 1 / x**2
    series = q * (1 - q * (3 - q * (15 - 105 * q)))
    rest = np.where(x > 100, series, 1 - x * mills)
    value = np.where(z > -1, np.log(h), -0.5 * x**2 - _LOG_SQRT_2PI + np.log(rest))
    slope = np.where(z > -1, ndtr(near) / h, mills / rest)
    return value, slope


def log_expected_improvement(mean, std, best):
    """Compute the logarithm of the expected improvement of a loss.

    Parameters
    ----------
    mean, std : ndarray of shape (m,)
        Prediction.
    best : float or ndarray of shape (m,)
        Loss to improve on.

    Returns
    -------
    value : ndarray of shape (m,)
        Larger is better.
    d_mean, d_std : ndarray of shape (m,)
        Derivatives with respect to `mean` and `std`.
    """
    z = (best - mean) / std
    value, slope = log_h(z)
    return value + np.log(std), -slope / std, (1 - z * slope) / std


def lower_confidence_bound(mean, std, kappa):
    """Compute the negative lower confidence bound of a loss.

    Parameters
    ----------
    mean, std : ndarray of shape (m,)
        Prediction.
    kappa : float
        Number of standard deviations.

    Returns
    -------
    value : ndarray of shape (m,)
        ``kappa * std - mean``; larger is better.
    d_mean, d_std : ndarray of shape (m,)
        Derivatives with respect to `mean` and `std`.
    """
    return kappa * std - mean, np.full_like(mean, -1), np.full_like(std, kappa)


class ExpectedImprovement:
    """Log expected improvement under a Gaussian process.

    Parameters
    ----------
    gp : GaussianProcess
        Predicts the loss. If it was given several sets of losses, the improvement is
        averaged over them [3]_.
    best : float or ndarray of shape (n_sets,)
        Loss to improve on.
    """

    def __init__(self, gp, best):
        self._gp = gp
        self._best = best

    def value(self, Z):
        """Compute the acquisition.

        Parameters
        ----------
        Z : ndarray of shape (m, p)
            Features.

        Returns
        -------
        value : ndarray of shape (m,)
            Larger is better.
        """
        return self._average(*self._gp.predict(Z))[0]

    def value_and_gradient(self, Z):
        """Compute the acquisition and its derivative with respect to the features.

        Parameters
        ----------
        Z : ndarray of shape (m, p)
            Features.

        Returns
        -------
        value : ndarray of shape (m,)
            Larger is better.
        gradient : ndarray of shape (m, p)
            Its derivative.
        """
        mean, std, pullback = self._gp.predict_with_pullback(Z)
        value, d_mean, d_std = self._average(mean, std)
        return value, pullback(d_mean, d_std)

    def _average(self, mean, std):
        if mean.ndim == 1:
            return log_expected_improvement(mean, std, self._best)
        values, d_mean, d_std = log_expected_improvement(mean, std[:, None], self._best)
        top = values.max(axis=1, keepdims=True)
        share = np.exp(values - top)
        total = share.sum(axis=1, keepdims=True)
        share /= total
        value = (top + np.log(total / values.shape[1]))[:, 0]
        return value, share * d_mean, np.sum(share * d_std, axis=1)


class ConfidenceBound:
    """Lower confidence bound under a Gaussian process, negative.

    Parameters
    ----------
    gp : GaussianProcess
        Predicts the loss.
    kappa : float
        Number of standard deviations.
    """

    def __init__(self, gp, kappa):
        self._gp = gp
        self._kappa = kappa

    def value(self, Z):
        """Compute the acquisition; see :class:`ExpectedImprovement`."""
        return lower_confidence_bound(*self._gp.predict(Z), self._kappa)[0]

    def value_and_gradient(self, Z):
        """Compute value and derivative; see :class:`ExpectedImprovement`."""
        mean, std, pullback = self._gp.predict_with_pullback(Z)
        value, d_mean, d_std = lower_confidence_bound(mean, std, self._kappa)
        return value, pullback(d_mean, d_std)
