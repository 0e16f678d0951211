"""The Gaussian process, unless a forest predicts better."""

import numpy as np
from sklearn.model_selection import KFold

from skhpo.gp.transforms import fit_output_transform
from skhpo.strategies.surrogates.forest import ForestSurrogate, fit_forest
from skhpo.strategies.surrogates.gaussian_process import (
    MAX_OBSERVATIONS,
    GaussianProcessSurrogate,
)

# With fewer observations a forest knows too little.
MIN_FOREST = 50


class AutoSurrogate:
    """Choose between a Gaussian process and a forest.

    The forest takes over above 1000 observations; and from 50 on, where more than half
    of the columns are categories and held-out losses are more likely under it.
    """

    predicts = True

    def __init__(self):
        self._gp = GaussianProcessSurrogate()
        self._forest = ForestSurrogate()
        self._use_forest = False
        self._due = MIN_FOREST
        self.step = 0.0

    def propose(self, domain, x, losses, pending, number, rng):
        """Ask the model that predicts better."""
        self._gp.step = self.step
        self._choose(domain, x, losses)
        model = self._forest if self._use_forest else self._gp
        return model.propose(domain, x, losses, pending, number, rng)

    def predictor(self, domain, x, losses):
        """Predict with the model that was used last."""
        model = self._forest if self._use_forest else self._gp
        return model.predictor(domain, x, losses)

    def _choose(self, domain, x, losses):
        n = np.isfinite(losses).sum()
        if n > MAX_OBSERVATIONS:
            self._use_forest = True
        elif n >= self._due and 2 * domain.categorical.sum() > domain.n_columns:
            self._due = n + max(1, n // 5)
            of_gp = self._gp.log_density(domain, x, losses)
            self._use_forest = _log_density_of_forest(domain, x, losses) > of_gp


def _log_density_of_forest(domain, x, losses):
    """Return the mean log density of held-out losses, ten folds; failures left out."""
    transform, v = fit_output_transform(losses)
    finite = np.isfinite(losses)
    densities = np.empty(len(x))
    for train, test in KFold(10, shuffle=True, random_state=0).split(x):
        predict = fit_forest(domain, x[train], v[train], 0)
        # What the trees do not disagree on, they may still get wrong.
        mean, _ = predict(x[train])
        noise = np.mean((v[train] - mean) ** 2) + 1e-4
        mean, std = predict(x[test])
        variance = std**2 + noise
        error = (v[test] - mean) ** 2
        densities[test] = -0.5 * (np.log(2 * np.pi * variance) + error / variance)
    return float(np.mean(densities[finite] + transform.log_slope(losses[finite])))
