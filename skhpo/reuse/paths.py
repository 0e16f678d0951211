"""Paths of linear models: what has fewer coefficients lies on the way to more."""

from numbers import Integral

import numpy as np

from skhpo.reuse.base import Family, NotShared, copy_of, draws, tiny_data


class PathLeader:
    """An estimator with a path, and what its intercept is made of.

    Parameters
    ----------
    estimator : estimator
        It is changed.

    Attributes
    ----------
    estimator : estimator
        Fitted.
    offsets : tuple of ndarray
        Means of X and y, and scales.
    """

    def __init__(self, estimator):
        self.estimator = estimator

    def fit(self, X, y):
        """Fit the estimator."""
        set_intercept = self.estimator._set_intercept

        def record(*offsets):
            self.offsets = offsets
            set_intercept(*offsets)

        self.estimator._set_intercept = record
        try:
            self.estimator.fit(X, y)
        finally:
            del self.estimator._set_intercept
        return self

    def view(self, estimator, coef, **attributes):
        """Copy the estimator, with other coefficients and the intercept for them."""
        view = copy_of(self.estimator, estimator, coef_=coef, **attributes)
        view._set_intercept(*self.offsets)
        return view


class Lars(Family):
    """Least angle regression: the first steps."""

    shared = ("n_nonzero_coefs",)

    def key(self, estimator):
        if not estimator.fit_path or not isinstance(
            estimator.n_nonzero_coefs, Integral
        ):
            raise NotShared
        if draws(estimator):
            raise NotShared
        return ()

    def leader(self, estimators):
        return PathLeader(super().leader(estimators))

    def view(self, leader, estimator):
        whole, n = leader.estimator, estimator.n_nonzero_coefs
        flat = isinstance(whole.alphas_, np.ndarray)
        fitted = [getattr(whole, name) for name in ("alphas_", "active_", "n_iter_")]
        parts = [
            _first_steps(n, *part)
            for part in ([fitted] if flat else zip(*fitted, strict=True))
        ]
        if None in parts:
            return None
        ends = [n_steps + 1 for _, n_steps in parts]
        paths = [whole.coef_path_] if flat else whole.coef_path_
        paths = [path[:, :end] for path, end in zip(paths, ends, strict=True)]
        coef = np.array([path[:, -1] for path in paths])
        attributes = {
            "alphas_": [
                alphas[:end]
                for alphas, end in zip(
                    [whole.alphas_] if flat else whole.alphas_, ends, strict=True
                )
            ],
            "active_": [active for active, _ in parts],
            "n_iter_": [n_steps for _, n_steps in parts],
            "coef_path_": paths,
        }
        if flat:
            coef = coef[0]
            attributes = {name: value[0] for name, value in attributes.items()}
        return leader.view(estimator, coef, **attributes)

    def examples(self, cls):
        X, y = tiny_data(cls)
        for target in (y, np.c_[y, X[:, 0] ** 2]):
            yield X, target, [cls(n_nonzero_coefs=n) for n in (1, 4, 2)]


def _first_steps(n, alphas, active, n_steps):
    """Give the active features after at most `n` steps, and how many there were."""
    if n >= n_steps:
        return active, n_steps
    # Without that, some step did not bring a feature in.
    return (active[:n], n) if len(active) == n_steps else None
