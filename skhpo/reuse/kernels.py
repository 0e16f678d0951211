"""Support vector machines: parameters that the kernel does not use."""

import numpy as np

from skhpo.reuse.base import Family, NotShared, copy_of, draws

_UNUSED = {
    "linear": ("gamma", "degree", "coef0"),
    "rbf": ("degree", "coef0"),
    "sigmoid": ("degree",),
    "precomputed": ("gamma", "degree", "coef0"),
}


class SupportVectors(Family):
    """Any candidate answers for all that differ in unused parameters only."""

    shared = ("gamma", "degree", "coef0")

    def key(self, estimator):
        unused = _UNUSED.get(estimator.kernel)
        if unused is None or draws(estimator, nested=False):
            raise NotShared
        # The others are used, and have to be equal.
        used = (name for name in self.shared if name not in unused)
        return tuple((name, repr(getattr(estimator, name))) for name in used)

    def size(self, estimator):
        return 0

    def view(self, leader, estimator):
        return copy_of(leader, estimator)

    def examples(self, cls):
        rng = np.random.default_rng(0)
        X = rng.normal(size=(30, 3))
        y = (X[:, 0] + rng.normal(size=30) > 0).astype(int)
        for kernel, name, values in (
            ("linear", "gamma", (0.1, "scale", 2.0)),
            ("rbf", "degree", (2, 5)),
            ("sigmoid", "degree", (3, 1)),
        ):
            yield X, y, [cls(kernel=kernel, **{name: value}) for value in values]
