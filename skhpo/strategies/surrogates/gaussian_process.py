"""A Gaussian process, and where improvement on the best is expected."""

import numpy as np

from skhpo.gp.acquisition import ConfidenceBound, ExpectedImprovement
from skhpo.gp.maximize import N_SPREAD, maximize
from skhpo.gp.regression import GaussianProcess, fit
from skhpo.gp.transforms import fit_output_transform, resolution

# Up to so many observations, hyperparameters are fitted anew for each candidate.
N_ALWAYS_FITTED = 50
# Of more observations than this, a part stands for all.
MAX_OBSERVATIONS = 1000
_N_BEST, _N_NEWEST = 300, 200
_N_FEW = 500

KAPPA = 1.96
N_FANTASIES = 32
# Variance that the steps of a score leave open, in squared steps.
NOISE_SHARE = 0.25


class GaussianProcessSurrogate:
    """A Gaussian process with a Matern-5/2 kernel.

    Parameters
    ----------
    acquisition : {"alternate", "ei", "lcb"}, default="alternate"
        What a candidate has to be good at: expected improvement, the lower confidence
        bound, or each in turn.
    """

    predicts = True

    def __init__(self, acquisition="alternate"):
        self.acquisition = acquisition
        self._theta = None
        self._n_fitted = 0

    def propose(self, domain, x, losses, pending, number, rng):
        """Rank points by the acquisition function."""
        if not np.isfinite(losses).any():
            return np.empty((0, domain.n_columns))
        n_told = len(x)
        kept = _representatives(losses)
        x, losses = x[kept], losses[kept]
        _, v = fit_output_transform(losses)
        gp = self._fit(domain, x, v, n_told)
        acquisition = self._acquisition(gp, domain.features(pending), number, rng)
        best = x[np.argsort(v, kind="stable")]
        n_spread = N_SPREAD if len(x) <= _N_FEW else N_SPREAD // 2
        return maximize(acquisition, domain, best, rng, n_spread=n_spread)

    def predictor(self, domain, x, losses):
        """Predict losses, by quadrature over the output transform."""
        kept = _representatives(losses)
        transform, v = fit_output_transform(losses[kept])
        gp = fit_gp(domain, x[kept], v)
        nodes, weights = np.polynomial.hermite_e.hermegauss(15)
        weights = weights / weights.sum()
        # Beyond what was seen the inverse may grow without bound.
        low, high = v.min() - 1, v.max() + 1

        def predict(points):
            mean, std = gp.predict(domain.features(points))
            v = np.clip(mean[:, None] + std[:, None] * nodes, low, high)
            values = transform.inverse(v)
            mean = values @ weights
            return mean, np.sqrt((values - mean[:, None]) ** 2 @ weights)

        return predict

    def _fit(self, domain, x, v, n_told):
        wait = 1 if n_told <= N_ALWAYS_FITTED else n_told // 25
        if self._theta is not None and n_told < self._n_fitted + wait:
            return GaussianProcess(domain.features(x), v, domain.groups, self._theta)
        restart = n_told <= 20 or n_told % 5 == 0
        gp = fit_gp(domain, x, v, previous=self._theta, restart=restart)
        self._theta, self._n_fitted = gp.theta, n_told
        return gp

    def _acquisition(self, gp, pending, number, rng):
        best = gp.predict(gp.Z, std=False).min()
        use_bound = self.acquisition == "lcb" or (
            self.acquisition == "alternate" and number % 2 == 1
        )
        if len(pending):
            mean, covariance = gp.joint(pending)
            observed = gp.y
            # What is under way is believed to turn out as predicted.
            gp = gp.with_observations(pending, mean)
            if len(pending) > 1 and not use_bound:
                draws = _draw(mean, covariance, rng)
                seen = np.repeat(observed[:, None], N_FANTASIES, axis=1)
                gp = gp.with_losses(np.vstack([seen, draws]))
                best = np.minimum(best, draws.min(axis=0))
        if use_bound:
            return ConfidenceBound(gp, KAPPA)
        return ExpectedImprovement(gp, best)


def fit_gp(domain, x, v, *, previous=None, restart=True):
    """Fit a Gaussian process to transformed losses at model points."""
    return fit(
        domain.features(x),
        v,
        domain.groups,
        previous=previous,
        restart=restart,
        min_noise=NOISE_SHARE * resolution(v) ** 2,
    )


def _draw(mean, covariance, rng):
    """Draw joint losses of what is under way, of shape (n_pending, n_fantasies)."""
    eigenvalues, vectors = np.linalg.eigh(covariance)
    root = vectors * np.sqrt(np.maximum(eigenvalues, 0))
    return mean[:, None] + root @ rng.normal(size=(len(mean), N_FANTASIES))


def _representatives(losses):
    """Choose the observations to keep: the best, the newest, and some of the others."""
    n = len(losses)
    if n <= MAX_OBSERVATIONS:
        return np.arange(n)
    order = np.argsort(np.where(np.isfinite(losses), losses, np.inf), kind="stable")
    chosen = np.zeros(n, dtype=bool)
    chosen[order[:_N_BEST]] = True
    chosen[-_N_NEWEST:] = True
    rest = order[~chosen[order]]
    places = np.linspace(0, len(rest) - 1, MAX_OBSERVATIONS - chosen.sum())
    chosen[rest[places.astype(int)]] = True
    return np.flatnonzero(chosen)
