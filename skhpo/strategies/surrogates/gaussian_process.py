"""A Gaussian process, and where improvement on the best is expected."""

import numpy as np

from skhpo.gp.acquisition import ConfidenceBound, ExpectedImprovement
from skhpo.gp.maximize import N_SPREAD, maximize
from skhpo.gp.regression import GaussianProcess, fit
from skhpo.gp.transforms import fit_output_transform, resolution

# Hyperparameters are fitted anew whenever the number of observations has grown by one
# part in so many, and thoroughly when it has grown by one in the second number: under
# all transforms, and from a second start.
REFIT, REFIT_THOROUGHLY = 25, 5
# They are fitted to at most so many observations, evenly spaced among the losses.
_N_TO_FIT = 300
# Of more observations than this, a part stands for all.
MAX_OBSERVATIONS = 1000
_N_BEST, _N_NEWEST = 300, 200
_N_FEW = 500

# A confidence bound draws its number of standard deviations from this range, on a
# logarithmic scale [2]_: no single one does well everywhere.
KAPPA_RANGE = (0.5, 3.0)
N_FANTASIES = 32
# Variance that the steps of a score leave open, in squared steps.
NOISE_SHARE = 0.25


ACQUISITIONS = "alternate", "ei", "lcb"


class GaussianProcessSurrogate:
    """A Gaussian process with a Matern-5/2 kernel, on transformed losses.

    How strongly losses are bent towards normality is decided by the likelihood of the
    process itself [1]_, between not at all, as far as their own distribution asks for,
    and half way.

    Where losses move in steps, as an accuracy does, only an improvement by a whole step
    is one. Otherwise the search would go on looking about a plateau whose every point
    is sure to repeat the best loss, give or take what is less than a step.

    Parameters
    ----------
    acquisition : {"alternate", "ei", "lcb"}, default="alternate"
        What a candidate has to be good at: expected improvement, the lower confidence
        bound, or each in turn.

    Raises
    ------
    ValueError
        If `acquisition` is none of these.

    Attributes
    ----------
    step : float
        By how much a loss changes at least, if it changes; see
        :class:`~skhpo.strategies.surrogates.base.Surrogate`.

    References
    ----------
    .. [1] E. Snelson, C. E. Rasmussen and Z. Ghahramani, "Warped Gaussian processes",
       2003.
    .. [2] J. Berk, S. Gupta, S. Rana and S. Venkatesh, "Randomised Gaussian process
       upper confidence bound for Bayesian optimisation", 2020.
    """

    predicts = True

    def __init__(self, acquisition="alternate"):
        if acquisition not in ACQUISITIONS:
            raise ValueError(
                f"acquisition = {acquisition!r} must be one of {ACQUISITIONS}."
            )
        self.acquisition = acquisition
        self.step = 0.0
        self._thetas = {}
        self._chosen = None
        self._n_fitted = self._n_thorough = 0

    def __repr__(self):
        """Show what it was made with."""
        return f"{type(self).__name__}(acquisition={self.acquisition!r})"

    def propose(self, domain, x, losses, pending, number, rng):
        """Rank points by the acquisition function."""
        if not np.isfinite(losses).any():
            return np.empty((0, domain.n_columns))
        n_told = len(x)
        kept = _representatives(losses)
        x, losses = x[kept], losses[kept]
        thetas = self._thetas
        if (
            self._chosen is None
            or n_told >= (1 + 1 / REFIT_THOROUGHLY) * self._n_thorough
        ):
            gp, transform, self._chosen = _fit(domain, x, losses, thetas)
            self._n_fitted = self._n_thorough = n_told
        else:
            pair = fit_output_transform(losses)
            powers = _powers(pair[0].power)
            # The list is short where the losses ask for no transform.
            self._chosen = min(self._chosen, len(powers) - 1)
            if self._chosen > 0:
                pair = fit_output_transform(losses, power=powers[self._chosen])
            if n_told >= (1 + 1 / REFIT) * self._n_fitted:
                _fit_one(domain, x, losses, pair, thetas, self._chosen)
                self._n_fitted = n_told
            theta = thetas[self._chosen]
            transform, v = pair
            gp = GaussianProcess(domain.features(x), v, domain.groups, theta)
        least = losses[np.isfinite(losses)].min()
        margin = -np.diff(transform.forward(np.array([least, least - self.step])))[0]
        # Trials may have had less of a resource than new points will have.
        whole = domain.canonical(x)
        expected, ranks = gp.predict(domain.features(whole), std=False), gp.y
        least = expected.min()
        if not np.array_equal(whole, x):
            whole, first = np.unique(whole, axis=0, return_index=True)
            ranks = expected[first]
        is_whole = (domain.canonical(pending) == pending).all(axis=1)
        Z = domain.features(pending)
        acquisition = self._acquisition(gp, Z, is_whole, least, margin, number, rng)
        best = whole[np.argsort(ranks, kind="stable")]
        n_spread = N_SPREAD if len(x) <= _N_FEW else N_SPREAD // 2
        return maximize(acquisition, domain, best, rng, n_spread=n_spread)

    def predictor(self, domain, x, losses):
        """Predict losses, by quadrature over the output transform."""
        kept = _representatives(losses)
        gp, transform, _ = _fit(domain, x[kept], losses[kept], {})
        nodes, weights = np.polynomial.hermite_e.hermegauss(15)
        weights = weights / weights.sum()
        finite = losses[np.isfinite(losses)]
        low, high = transform.forward(np.array([finite.min(), finite.max()]))
        slope = np.exp(-transform.log_slope(finite.min()))

        def predict(points):
            mean, std = gp.predict(domain.features(points))
            v = mean[:, None] + std[:, None] * nodes
            # Beyond what was seen the inverse may grow without bound: it goes on along
            # its tangent below the best loss, and not at all above the worst.
            # Of a single loss nothing is known but the tangent.
            beyond = v - low if low == high else np.minimum(v - low, 0)
            values = transform.inverse(np.clip(v, low, high)) + slope * beyond
            mean = values @ weights
            return mean, np.sqrt((values - mean[:, None]) ** 2 @ weights)

        return predict

    def log_density(self, domain, x, losses):
        """Give the mean log density of each loss given all the others.

        Failures are left out, as they are no losses.
        """
        gp, transform, _ = _fit(domain, x, losses, {})
        finite = np.isfinite(losses)
        density = gp.leave_one_out()[finite] + transform.log_slope(losses[finite])
        return float(density.mean())

    def _acquisition(self, gp, pending, is_whole, best, margin, number, rng):
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
                best = draws[is_whole].min(axis=0, initial=best)
        if use_bound:
            low, high = np.log(KAPPA_RANGE)
            return ConfidenceBound(gp, np.exp(rng.uniform(low, high)))
        return ExpectedImprovement(gp, best - margin)


def _powers(power):
    """List the powers of the output transform to choose from, that of the losses first.

    See :class:`GaussianProcessSurrogate`.
    """
    return [power, 1.0, (1 + power) / 2] if power != 1 else [power]


def _fit(domain, x, losses, thetas):
    """Fit a process under each transform, and leave the hyperparameters in `thetas`.

    Returns the most likely one, its transform, and the place of this in the list.
    """
    first = fit_output_transform(losses)
    others = _powers(first[0].power)[1:]
    pairs = [first, *(fit_output_transform(losses, power=power) for power in others)]
    fits = [
        _fit_one(domain, x, losses, pair, thetas, place, restart=True)
        for place, pair in enumerate(pairs)
    ]
    chosen = int(np.argmax([likelihood for _, likelihood in fits]))
    gp, (transform, v) = fits[chosen][0], pairs[chosen]
    if len(gp.y) < len(x):
        gp = GaussianProcess(domain.features(x), v, domain.groups, gp.theta)
    return gp, transform, chosen


def _fit_one(domain, x, losses, pair, thetas, place, *, restart=False):
    """Fit a process under one transform, to no more observations than needed.

    `pair` has the transform and the losses under it. Returns the process and the log
    density of these losses, transform included.
    """
    transform, v = pair
    order = np.argsort(losses, kind="stable")
    n_kept = min(len(x), _N_TO_FIT)
    kept = np.sort(order[np.linspace(0, len(x) - 1, n_kept).astype(int)])
    finite = np.isfinite(losses)
    gp = fit(
        domain.features(x[kept]),
        v[kept],
        domain.groups,
        previous=thetas.get(place),
        restart=restart,
        min_noise=NOISE_SHARE * resolution(v[finite]) ** 2,
    )
    thetas[place] = gp.theta
    slopes = transform.log_slope(losses[kept][finite[kept]])
    return gp, gp.log_posterior() + slopes.sum()


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
