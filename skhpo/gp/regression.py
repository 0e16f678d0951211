"""Gaussian process regression with hyperparameters at their posterior mode.

====================  ===========  ====================================================
symbol                shape        meaning
====================  ===========  ====================================================
Z                     (n, p)       features of the observations
y                     (n,)         standardised losses; the prior mean is zero
theta                 (d + 2,)     (log t, log scale, log noise)
t                     (d,)         weight of each dimension: 1 / length-scale^2
K                     (n, n)       scale * matern52(s) + noise * I
L                     (n, n)       lower Cholesky factor of K
alpha                 (n,)         K^-1 y; a column for each set of losses
mean(z)               (m,)         k(z)' alpha
var(z)                (m,)         scale - k(z)' K^-1 k(z), of the function, not of an
                                   observation
====================  ===========  ====================================================

Likelihood and prediction are algorithm 2.1, and the gradient is equation (5.9), of
Rasmussen and Williams [1]_. The priors are densities in t, scale and noise, taken over
from Optuna's GPSampler [2]_: ``exp(-0.1 (t + 1 / t))`` keeps every length-scale near
the edge of the cube unless the data object, Gamma(2, 1) for the scale and
Gamma(1.1, rate 30) for the noise. The mode is that of these densities, found in the
logarithms without a Jacobian, which is what makes it independent of the parametrisation
chosen for the search.

References
----------
.. [1] C. E. Rasmussen and C. K. I. Williams, "Gaussian Processes for Machine
   Learning", MIT Press, 2006.
.. [2] S. Watanabe, "Optuna's Gaussian process-based sampler", 2024.
"""

import copy

import numpy as np
from scipy.linalg import cho_solve, get_blas_funcs, get_lapack_funcs
from scipy.optimize import minimize

from skhpo.gp.kernels import (
    matern52,
    point_gradient,
    squared_distances,
    weight_gradient,
)

MIN_NOISE = 1e-6
WEIGHT_PENALTY = 0.1
# Bounds of log t, log scale and log noise: wide, so that nothing overflows.
_LOG_T = (np.log(1e-3), np.log(1e4))
_LOG_SCALE = (np.log(1e-2), np.log(1e2))
_LOG_MAX_NOISE = np.log(10.0)
# Points times observations that are predicted at a time: half a megabyte, which a
# processor keeps close at hand. All at once takes three times as long.
_BLOCK = 2**16

_potrf, _potri = get_lapack_funcs(("potrf", "potri"), dtype=np.float64)
_trsm = get_blas_funcs("trsm", dtype=np.float64)


class GaussianProcess:
    """A Gaussian process given its hyperparameters and observations.

    Parameters
    ----------
    Z : ndarray of shape (n, p)
        Features.
    y : ndarray of shape (n,)
        Standardised losses.
    groups : ndarray of shape (p,)
        Dimension of each feature.
    theta : ndarray of shape (d + 2,)
        Logarithms of the weights, the scale and the noise.
    """

    def __init__(self, Z, y, groups, theta):
        self.Z = Z
        self.y = y
        self.groups = groups
        self.theta = theta
        self.t = np.exp(theta[:-2])[groups]
        self.scale, self.noise = np.exp(theta[-2:])
        K = matern52(squared_distances(Z, Z, self.t))
        K *= self.scale
        K[np.diag_indices_from(K)] = self.scale + self.noise
        self.L = _cholesky(K, self.scale)
        self.alpha = cho_solve((self.L, True), y, check_finite=False)

    def predict(self, Z, *, std=True):
        """Predict the function at new features.

        Parameters
        ----------
        Z : ndarray of shape (m, p)
            Features.
        std : bool, default=True
            Whether the standard deviation is wanted as well.

        Returns
        -------
        mean : ndarray of shape (m,)
            Posterior mean.
        std : ndarray of shape (m,)
            Posterior standard deviation of the function; only if asked for.
        """
        size = max(16, _BLOCK // len(self.Z))
        if len(Z) > size:
            parts = [
                self.predict(Z[i : i + size], std=std) for i in range(0, len(Z), size)
            ]
            if not std:
                return np.concatenate(parts)
            return tuple(map(np.concatenate, zip(*parts, strict=True)))
        k = matern52(squared_distances(Z, self.Z, self.t))
        k *= self.scale
        mean = k @ self.alpha
        if not std:
            return mean
        v = _trsm(1.0, self.L, k.T, lower=True)
        return mean, np.sqrt(self._floor(self.scale - np.einsum("ij,ij->j", v, v)))

    def predict_with_pullback(self, Z):
        """Predict, and give the way back from derivatives to the features.

        Parameters
        ----------
        Z : ndarray of shape (m, p)
            Features.

        Returns
        -------
        mean : ndarray of shape (m,) or (m, n_sets)
            As :meth:`predict`; a column for each set of losses, if there are several.
        std : ndarray of shape (m,)
            As :meth:`predict`.
        pullback : callable
            ``pullback(d_mean, d_std)`` turns derivatives of a function with respect
            to `mean` and `std` into an ndarray of shape (m, p), those with respect to
            `Z`. Of several sets, the sum.
        """
        k, dk = matern52(squared_distances(Z, self.Z, self.t), slope=True)
        k *= self.scale
        dk *= self.scale
        mean = k @ self.alpha
        v = _trsm(1.0, self.L, k.T, lower=True)
        std = np.sqrt(self._floor(self.scale - np.einsum("ij,ij->j", v, v)))

        def pullback(d_mean, d_std):
            C = d_mean.reshape(len(Z), -1) @ self.alpha.reshape(len(self.Z), -1).T
            K_inverse_k = _trsm(1.0, self.L, v, lower=True, trans_a=True)
            C -= (d_std / std)[:, None] * K_inverse_k.T
            C *= dk
            return point_gradient(C, Z, self.Z, self.t)

        return mean, std, pullback

    def _floor(self, variance):
        # Rounding may take it below zero at an observation without noise.
        return np.maximum(variance, 1e-12 * self.scale)

    def joint(self, Z):
        """Predict mean and covariance of the function at several points together.

        Parameters
        ----------
        Z : ndarray of shape (m, p)
            Features.

        Returns
        -------
        mean : ndarray of shape (m,)
            Posterior mean.
        covariance : ndarray of shape (m, m)
            Posterior covariance.
        """
        k = self.scale * matern52(squared_distances(Z, self.Z, self.t))
        v = _trsm(1.0, self.L, k.T, lower=True)
        prior = self.scale * matern52(squared_distances(Z, Z, self.t))
        return k @ self.alpha, prior - v.T @ v

    def with_observations(self, Z, y):
        """Add observations and keep the hyperparameters.

        Parameters
        ----------
        Z : ndarray of shape (m, p)
            Features.
        y : ndarray of shape (m,)
            Losses there.

        Returns
        -------
        GaussianProcess
            The new one.
        """
        return GaussianProcess(
            np.vstack([self.Z, Z]), np.append(self.y, y), self.groups, self.theta
        )

    def with_losses(self, y):
        """Replace the losses of the observations, at the cost of one solve.

        Parameters
        ----------
        y : ndarray of shape (n,) or (n, n_sets)
            Other losses at the same points, or several sets of them.

        Returns
        -------
        GaussianProcess
            The new one.
        """
        other = copy.copy(self)
        other.y = y
        other.alpha = cho_solve((self.L, True), y, check_finite=False)
        return other

    def log_posterior(self):
        """Compute the log posterior of the hyperparameters.

        Returns
        -------
        value : float
            The negative of :func:`negative_log_posterior`.
        """
        n = len(self.y)
        value = -0.5 * (self.y @ self.alpha + n * np.log(2 * np.pi))
        return (
            value - np.log(np.diag(self.L)).sum() - _negative_log_prior(self.theta)[0]
        )

    def leave_one_out(self):
        """Compute the log density of each observation given all the others.

        Equations (5.10) to (5.12) of Rasmussen and Williams.

        Returns
        -------
        log_density : ndarray of shape (n,)
            Of the observation, noise included.
        """
        inverse = cho_solve((self.L, True), np.eye(len(self.y)), check_finite=False)
        variance = 1 / np.diag(inverse)
        return -0.5 * (np.log(2 * np.pi * variance) + self.alpha**2 * variance)


def fit(Z, y, groups, *, previous=None, restart=True, min_noise=MIN_NOISE):
    """Fit a Gaussian process: hyperparameters at their posterior mode.

    Parameters
    ----------
    Z : ndarray of shape (n, p)
        Features.
    y : ndarray of shape (n,)
        Standardised losses.
    groups : ndarray of shape (p,)
        Dimension of each feature; each dimension has at least one.
    previous : ndarray of shape (d + 2,), default=None
        Hyperparameters to start from.
    restart : bool, default=True
        Whether to start from length-scales of one half as well. Always so if there
        are no previous hyperparameters.
    min_noise : float, default=1e-6
        Lower bound of the noise variance.

    Returns
    -------
    GaussianProcess
        At the better of the optima found.
    """
    d = int(groups.max(initial=-1)) + 1
    log_min_noise = np.log(min(max(min_noise, MIN_NOISE), 1.0))
    bounds = [_LOG_T] * d + [_LOG_SCALE, (log_min_noise, _LOG_MAX_NOISE)]
    low, high = np.transpose(bounds)
    starts = [] if previous is None else [previous]
    if restart or previous is None:
        starts.append(np.append(np.full(d, np.log(4.0)), [0.0, np.log(1e-2)]))
    best = None
    for theta in starts:
        result = minimize(
            negative_log_posterior,
            np.clip(theta, low, high),
            args=(Z, y, groups),
            jac=True,
            method="L-BFGS-B",
            bounds=bounds,
            options={"maxiter": 60, "gtol": 1e-2, "ftol": 1e-7},
        )
        if best is None or result.fun < best.fun:
            best = result
    return GaussianProcess(Z, y, groups, best.x)


def negative_log_posterior(theta, Z, y, groups):
    """Compute the negative log posterior of the hyperparameters, and its gradient.

    Parameters
    ----------
    theta : ndarray of shape (d + 2,)
        Logarithms of the weights, the scale and the noise.
    Z : ndarray of shape (n, p)
        Features.
    y : ndarray of shape (n,)
        Standardised losses.
    groups : ndarray of shape (p,)
        Dimension of each feature.

    Returns
    -------
    value : float
        Up to a constant of the priors.
    gradient : ndarray of shape (d + 2,)
        With respect to `theta`.
    """
    n, d = len(y), len(theta) - 2
    t, (scale, noise) = np.exp(theta[:-2]), np.exp(theta[-2:])
    t_feature = t[groups]
    k, dk = matern52(squared_distances(Z, Z, t_feature), slope=True)
    K = scale * k
    K[np.diag_indices_from(K)] = scale + noise
    L = _cholesky(K, scale)
    alpha = cho_solve((L, True), y, check_finite=False)
    value = 0.5 * (y @ alpha + n * np.log(2 * np.pi)) + np.log(np.diag(L)).sum()

    inverse, _ = _potri(L, lower=True, overwrite_c=True)
    # Its upper triangle is zero, and the diagonal counts once.
    C = inverse + inverse.T  # d value / d K, times two
    np.fill_diagonal(C, np.diag(inverse))
    C -= np.outer(alpha, alpha)
    d_noise = 0.5 * noise * np.trace(C)
    # The diagonal of k is one.
    d_scale = 0.5 * scale * np.vdot(C, k)
    C *= dk
    d_log_t = 0.5 * scale * t * weight_gradient(C, Z, groups, d)

    prior, d_prior = _negative_log_prior(theta)
    return value + prior, np.append(d_log_t, [d_scale, d_noise]) + d_prior


def _negative_log_prior(theta):
    """Compute that of the weights, of the scale and of the noise, and its gradient."""
    t, (scale, noise) = np.exp(theta[:-2]), np.exp(theta[-2:])
    value = (
        WEIGHT_PENALTY * np.sum(t + 1 / t)
        + (scale - np.log(scale))  # Gamma(2, 1)
        + (30 * noise - 0.1 * np.log(noise))  # Gamma(1.1, 30)
    )
    d_log_t = WEIGHT_PENALTY * (t - 1 / t)
    return value, np.append(d_log_t, [scale - 1, 30 * noise - 0.1])


def _cholesky(K, scale):
    """Factor K, with as little added to its diagonal as it takes."""
    for jitter in (0.0, 1e-10, 1e-8, 1e-6, 1e-4, 1e-2):
        A = K.copy()
        if jitter:
            A[np.diag_indices_from(A)] += jitter * scale
        L, info = _potrf(A, lower=True, overwrite_a=True, clean=True)
        if info == 0:
            return L
    raise np.linalg.LinAlgError(
        "The covariance of the observations is not positive definite; are there NaNs?"
    )
