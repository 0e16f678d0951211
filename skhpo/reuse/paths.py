"""Paths of linear models: what has fewer coefficients lies on the way to more.

Least angle regression drops a feature for good when active ones make up for it. When it
does so is not kept with the path, so it is cut only if features are independent of one
another.
"""

from abc import abstractmethod
from functools import cached_property
from numbers import Integral

import numpy as np
from sklearn.utils.validation import validate_data

from skhpo.reuse.base import Family, NotShared, copy_of, draws, tiny_data
from skhpo.reuse.centering import centered

_OF_PATH = ("alphas_", "active_", "n_iter_", "coef_path_")

# As in scikit-learn: what differs by less is the same place on a path.
_SAME = np.finfo(np.float32).eps

# A path is returned as a square, though most of it is never touched.
_MAX_FEATURES = 5000


def _targets(cls):
    """Yield data with one target, and with two."""
    X, y = tiny_data(cls)
    yield X, y
    yield X, np.c_[y, X[:, 0] ** 2]


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
    independent : bool
        Whether no feature is nearly a sum of others.
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
        self._X = np.asarray(X, dtype=np.float64) - self.offsets[0]
        return self

    @cached_property
    def independent(self):
        """bool : Whether no feature is nearly a sum of others."""
        if len(self._X) <= self._X.shape[1]:
            return False
        values = np.linalg.eigvalsh(self._X.T @ self._X)
        # scikit-learn drops a feature when what others do not explain has a norm of
        # 1e-7; the smallest eigenvalue is below the square of any such norm.
        return bool(values[0] > max(1e-12, 1e-8 * values[-1]))

    def view_of_parts(self, estimator, parts, flat):
        """Copy the estimator with parts of its path, and the coefficients at their end.

        Parameters
        ----------
        estimator : estimator
            Gives the parameters.
        parts : list of tuple
            For each target, attributes in the order of `_OF_PATH`.
        flat : bool
            Whether the target had one dimension.

        Returns
        -------
        view : estimator
            Fitted.
        """
        coef = np.array([path[:, -1] for *_, path in parts])
        values = parts[0] if flat else map(list, zip(*parts, strict=True))
        view = copy_of(
            self.estimator,
            estimator,
            coef_=coef[0] if flat else coef,
            **dict(zip(_OF_PATH, values, strict=True)),
        )
        view._set_intercept(*self.offsets)
        return view


class _LeastAngle(Family):
    """Something on the path of a least angle regression."""

    def key(self, estimator):
        if not estimator.fit_path or draws(estimator):
            raise NotShared
        return ()

    def alone(self, estimator, X):
        shape = getattr(X, "shape", ())
        return len(shape) == 2 and shape[0] <= shape[1]  # not independent

    def leader(self, estimators):
        return PathLeader(super().leader(estimators))

    def view(self, leader, estimator):
        if not leader.independent:
            return None
        fitted = [getattr(leader.estimator, name) for name in _OF_PATH]
        flat = isinstance(leader.estimator.alphas_, np.ndarray)
        paths = [fitted] if flat else zip(*fitted, strict=True)
        parts = [self._part(estimator, *path) for path in paths]
        if None in parts:
            return None
        return leader.view_of_parts(estimator, parts, flat)

    @abstractmethod
    def _part(self, estimator, alphas, active, n_steps, path):
        """Give what the path of an estimator's own fit has, or None if not known."""


class Lars(_LeastAngle):
    """Least angle regression: the first steps."""

    shared = ("n_nonzero_coefs",)

    def key(self, estimator):
        if not isinstance(estimator.n_nonzero_coefs, Integral):
            raise NotShared
        return super().key(estimator)

    def _part(self, estimator, alphas, active, n_steps, path):
        n = estimator.n_nonzero_coefs
        if n >= n_steps:
            return alphas, active, n_steps, path
        path = path[:, : n + 1]
        if np.any(np.all(path[:, 1:] == path[:, :-1], axis=0)):
            return None  # a step of no length brings a feature in that is not seen
        # Some steps bring none in.
        n_active = sum(bool(path[i].any()) for i in active)
        return alphas[: n + 1], active[:n_active], n, path

    def examples(self, cls):
        for X, y in _targets(cls):
            yield X, y, [cls(n_nonzero_coefs=n) for n in (1, 4, 2)]


class LassoLars(_LeastAngle):
    """The lasso by least angle regression: places on one path."""

    shared = ("alpha",)

    def size(self, estimator):
        return -estimator.alpha

    def view(self, leader, estimator):
        if estimator.alpha == leader.estimator.alpha:
            return copy_of(leader.estimator, estimator)
        return super().view(leader, estimator)

    def _part(self, estimator, alphas, active, n_steps, path):
        return _stopped_at(
            estimator.alpha, alphas, active, n_steps, path, exact=self.exact
        )

    def examples(self, cls):
        for X, y in _targets(cls):
            yield X, y, [cls(alpha) for alpha in (0.3, 0.001, 0.1, 0.02)]


class CloseLassoLars(LassoLars):
    """The same; places behind the last corner are found from where the path ends."""

    exact = False


def _stopped_at(alpha, alphas, active, n_steps, path, *, exact):
    """Give what a path that ends at `alpha` has, or None if that is not known.

    The last place of `path` is not a corner of it, but where it was cut: what lies just
    in front of that is known up to round-off.
    """
    corner = int(np.argmax(alphas <= alpha + _SAME))
    is_last = corner == n_steps
    exact = exact or path.dtype != np.float64
    if alphas[corner] > alpha + _SAME or (is_last and exact):
        return None
    active = active if is_last else _active(path[:, : corner + 2])
    alphas, path = alphas[: corner + 1].copy(), path[:, : corner + 1].copy(order="K")
    if abs(alphas[corner] - alpha) > _SAME:
        if corner > 0:
            share = (alphas[-2] - alpha) / (alphas[-2] - alphas[-1])
            path[:, -1] = path[:, -2] + share * (path[:, -1] - path[:, -2])
        alphas[corner] = alpha
    return alphas, active, corner, path


def _active(path):
    """List the features that are active at the last but one place of a path."""
    rounding = 1e3 * np.finfo(path.dtype).eps
    negligible = np.abs(path) <= rounding * np.abs(path).max(axis=1, keepdims=True)
    active = []
    for before, after in zip(negligible.T[:-2], negligible.T[1:-1], strict=True):
        active = [i for i in active if not after[i]]
        active += [i for i in np.nonzero(before & ~after)[0] if i not in active]
    return active


class Pursuit(Family):
    """Orthogonal matching pursuit: the first features that it takes."""

    shared = ("n_nonzero_coefs",)

    def key(self, estimator):
        if estimator.n_nonzero_coefs is None or estimator.tol is not None:
            raise NotShared
        return ()

    def alone(self, estimator, X):
        if getattr(X, "dtype", None) == np.float32:
            return True  # its norms depend on how many features are taken in the end
        return len(getattr(X, "shape", ())) == 2 and X.shape[1] > _MAX_FEATURES

    def leader(self, estimators):
        return PursuitLeader(super().leader(estimators))

    def view(self, leader, estimator):
        n, paths = estimator.n_nonzero_coefs, leader.paths
        lengths = [min(n, path.shape[1]) for path in paths]
        if min(lengths) < n and (0 in lengths or n < leader.n_features):
            return None  # a fit of its own warns
        # In the memory layout of scikit-learn.
        ends = zip(paths, lengths, strict=True)
        coef = np.stack([path[:, length - 1] for path, length in ends], axis=1).T
        view = copy_of(
            leader.estimator,
            estimator,
            coef_=coef[0] if len(paths) == 1 else coef,
            n_nonzero_coefs_=n,
            n_iter_=lengths[0] if len(paths) == 1 else lengths,
        )
        view._set_intercept(*leader.offsets)
        return view

    def examples(self, cls):
        for X, y in _targets(cls):
            for precompute in (False, True):
                common = {"precompute": precompute}
                yield X + 2.0, y, [cls(n_nonzero_coefs=n, **common) for n in (1, 4, 2)]


class PursuitLeader:
    """The whole path of a pursuit, which scikit-learn's own fit does not keep.

    Parameters
    ----------
    estimator : OrthogonalMatchingPursuit
        With the largest number of features; it is changed.

    Attributes
    ----------
    estimator : OrthogonalMatchingPursuit
        Fitted, but for coefficients and intercept.
    n_features : int
        How many features were to be taken.
    offsets : tuple of ndarray
        Means of X and y, and scales.
    paths : list of ndarray of shape (n_features, n_taken)
        Coefficients after each step, for each target.
    """

    def __init__(self, estimator):
        self.estimator = estimator
        self.n_features = estimator.n_nonzero_coefs

    def fit(self, X, y):
        """Walk the path."""
        from sklearn.linear_model import orthogonal_mp, orthogonal_mp_gram

        estimator = self.estimator
        X, y = validate_data(
            estimator,
            X,
            y,
            dtype=[np.float64, np.float32],
            multi_output=True,
            y_numeric=True,
        )
        y = y.astype(X.dtype)
        X, y, self.offsets = centered(X, y, estimator.fit_intercept)
        estimator.coef_ = estimator.intercept_ = None  # each view has its own
        targets = y.reshape(-1, 1) if y.ndim == 1 else y
        precompute = estimator.precompute
        if precompute == "auto":
            precompute = X.shape[0] > X.shape[1]
        options = {"n_nonzero_coefs": self.n_features, "return_path": True}
        if precompute:
            gram = np.dot(X.T, X)
            products = np.dot(X.T, y) if y.ndim == 1 else np.dot(y.T, X).T
            products = products.reshape(X.shape[1], -1)
            paths = [
                orthogonal_mp_gram(gram, products[:, i].copy(), **options)
                for i in range(targets.shape[1])
            ]
        else:
            paths = [
                orthogonal_mp(X, targets[:, i].copy(), **options)
                for i in range(targets.shape[1])
            ]
        self.paths = [path.reshape(X.shape[1], -1) for path in paths]
        return self
